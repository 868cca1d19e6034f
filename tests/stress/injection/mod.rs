//! Lets each system call of an init fail in turn, in the main scenarios.
//!
//! The init is PID 1 of a namespace with its own /proc. Each of its calls fails once, or always,
//! with each errno. The outcome is the same, or the init refuses to start the command with a
//! message, or it logs a fallback. Everything else is wrong. `-- long` has more errnos and
//! occurrences, and the packaged inits.
//!
//! `cargo test --test stress -- inject=SCENARIO/PHASE/CALL/ERRNO/WHEN` repeats one case.

#![allow(clippy::print_stdout)] // The program prints its results.

mod calls;
mod scenario;
mod tracer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;

use crate::part::{Part, Plan};
use crate::setting::Mode;
use crate::support::{init_under_test, original, skip};
use calls::{Call, Fault, Phase, When};
use scenario::{SCENARIOS, Scenario, Verdict};

/// Prefix of the word that names one fault.
pub const ONE: &str = "inject=";
const AT_ONCE: usize = 2;

const ERRNOS: [Errno; 7] =
    [Errno::EPERM, Errno::ENOMEM, Errno::ENOSYS, Errno::EINTR, Errno::EAGAIN, Errno::EINVAL, Errno::EACCES];
const SHORT_ERRNOS: usize = 4;
const OCCURRENCES: [When; 4] = [When::Only(1), When::Every, When::Only(2), When::Only(3)];
const SHORT_OCCURRENCES: usize = 2;

/// Calls that never fail, or whose failure no program can handle.
const NOT_INJECTED: [(&str, &str); 7] = [
    ("brk", "reports a failure by the old address; an errno looks like a success"),
    ("exit_group", "does not return"),
    ("rt_sigreturn", "returns to where a signal has interrupted, not to a caller"),
    ("getpid", "cannot fail"),
    ("getppid", "cannot fail"),
    ("getpgrp", "cannot fail"),
    ("gettid", "cannot fail"),
];

/// Faults with which runs of the init under test may be wrong.
struct Exception {
    phase: Phase,
    call: &'static str,
    /// Why it stays so.
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 0] = [];

impl Exception {
    fn of(fault: &Fault) -> Option<&'static Self> {
        EXCEPTIONS
            .iter()
            .find(|exception| exception.phase == fault.phase && exception.call == fault.call.name())
    }
}

/// An init, and its options for a mode.
struct Init {
    name: String,
    path: PathBuf,
    options: fn(Mode) -> &'static [&'static str],
    is_peer: bool,
}

fn own_options(mode: Mode) -> &'static [&'static str] {
    if mode == Mode::Child { &["-c"] } else { &[] }
}

fn options_of_others(mode: Mode) -> &'static [&'static str] {
    if mode == Mode::Group { &["-g"] } else { &[] }
}

fn under_test() -> Init {
    let path = init_under_test();
    Init { name: "init under test".into(), path, options: own_options, is_peer: false }
}

fn peers() -> Vec<Init> {
    let peer = |name: &str, path: PathBuf, options| Init { name: name.into(), path, options, is_peer: true };
    vec![
        peer("dumb-init 1.2.5", original().unwrap_or_default(), own_options),
        peer("tini 0.19.0", "/usr/bin/tini".into(), options_of_others),
        peer("catatonit 0.1.7", "/usr/bin/catatonit".into(), options_of_others),
    ]
}

/// A line of the table.
#[derive(Default)]
struct Row {
    runs: u32,
    same: u32,
    refused: u32,
    fallback: u32,
    wrong: u32,
    /// Wrong runs that are in [`EXCEPTIONS`].
    listed: u32,
}

pub fn run(plan: &mut Plan) {
    let mut inits = vec![under_test()];
    if plan.count(0, 1) > 0 {
        for peer in peers() {
            if peer.path.exists() {
                inits.push(peer);
            } else {
                skip(&format!("{} is not installed (injection)", peer.name));
            }
        }
    }
    let mut table =
        String::from("| init | runs | same | refused | fallback | wrong |\n|---|---|---|---|---|---|\n");
    let mut listed = 0;
    for init in &inits {
        let mut row = Row::default();
        for scenario in SCENARIOS.iter().filter(|scenario| !init.is_peer || scenario.is_for_peers()) {
            try_all(plan, init, scenario, &mut row);
        }
        let Row { runs, same, refused, fallback, wrong, .. } = row;
        listed += row.listed;
        let name = &init.name;
        table += &format!("| {name} | {runs} | {same} | {refused} | {fallback} | {wrong} |\n");
    }
    print!("{table}");
    println!("of the wrong ones of the init under test {listed} are listed with a reason");
}

/// Runs a scenario with each fault.
fn try_all(plan: &mut Plan, init: &Init, scenario: &Scenario, row: &mut Row) {
    let errnos = usize::try_from(plan.count(SHORT_ERRNOS as u64, ERRNOS.len() as u64)).unwrap();
    let occurrences =
        usize::try_from(plan.count(SHORT_OCCURRENCES as u64, OCCURRENCES.len() as u64)).unwrap();
    let mut part = Part::new(plan, format_args!("injection, {}, {}", init.name, scenario.name), "faults");
    part.describe_all();
    let options = (init.options)(scenario.mode);
    let faultless = scenario.run(&init.path, options);
    if let Some(problem) = scenario.problem_without_fault(&faultless) {
        part.note(Err(format!("without a fault: {problem}")));
        return part.end();
    }
    let mut faults = faults(&faultless.seen.counts, &ERRNOS[..errnos], &OCCURRENCES[..occurrences]);
    let exception = |fault: &Fault| Exception::of(fault).filter(|_| !init.is_peer);
    if part.is_short() {
        faults.retain(|fault| exception(fault).is_none());
    }
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((index, fault)) = take(&faults, &next) {
                    // Peers often time out.
                    let is_known = init.is_peer || exception(fault).is_some();
                    let (report, verdict) =
                        scenario.run_with(&init.path, options, *fault, &faultless, is_known);
                    // A run may differ in its calls from the one before.
                    if report.seen.injected > 0 {
                        verdicts.lock().unwrap().insert(index, verdict);
                    }
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap();
    for (index, verdict) in verdicts {
        row.runs += 1;
        let result = match verdict {
            Verdict::Same => {
                row.same += 1;
                Ok(1)
            }
            Verdict::Refused => {
                row.refused += 1;
                Ok(1)
            }
            Verdict::Fallback(_) => {
                row.fallback += 1;
                Ok(1)
            }
            Verdict::Wrong(what) => {
                row.wrong += 1;
                let fault = &faults[index];
                let line = format!("{ONE}{}/{fault}: {what}", scenario.name);
                match exception(fault) {
                    Some(exception) => {
                        row.listed += 1;
                        println!("{line} (listed: {})", exception.reason);
                        Ok(1)
                    }
                    None if init.is_peer => {
                        println!("{}: {line}", init.name);
                        Ok(1)
                    }
                    None => Err(line),
                }
            }
        };
        part.note(result);
    }
    if init.is_peer {
        part.add(format_args!("{} wrong ones in all scenarios so far", row.wrong));
    }
    part.end();
}

fn take<'a>(faults: &'a [Fault], next: &AtomicUsize) -> Option<(usize, &'a Fault)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    faults.get(index).map(|fault| (index, fault))
}

/// All faults for the calls that a run without any makes.
fn faults(counts: &BTreeMap<(Phase, Call), u32>, errnos: &[Errno], occurrences: &[When]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (&(phase, call), &count) in counts {
        if NOT_INJECTED.iter().any(|(name, _)| *name == call.name()) {
            continue;
        }
        // From the exec on it is the same fault if the call is not made before.
        if phase == Phase::Exec && counts.get(&(Phase::Start, call)) == Some(&count) {
            continue;
        }
        for &when in occurrences.iter().filter(|when| !matches!(when, When::Only(number) if *number > count))
        {
            faults.extend(errnos.iter().map(|&errno| Fault { phase, call, errno, when }));
        }
    }
    faults
}

/// Runs one fault in the notation of [`run`], and prints its result.
pub fn run_one(plan: &mut Plan, name: &str) {
    let mut part = Part::new(plan, "injection", "faults");
    let (scenario, name) = name.split_once('/').expect("SCENARIO/PHASE/CALL/ERRNO/WHEN");
    let scenario = Scenario::named(scenario).expect("a scenario");
    let path = init_under_test();
    let is_other =
        [std::ffi::OsStr::new("tini"), "catatonit".as_ref()].contains(&path.file_name().unwrap_or_default());
    let options = if is_other { options_of_others } else { own_options }(scenario.mode);
    let faultless = scenario.run(&path, options);
    let all = faults(&faultless.seen.counts, &ERRNOS, &OCCURRENCES);
    let fault =
        all.into_iter().find(|fault| fault.to_string() == name).expect("a call that is made so often");
    let (report, verdict) = scenario.run_with(&path, options, fault, &faultless, false);
    println!("{} times: {report}", report.seen.injected);
    let result = match verdict {
        Verdict::Same => Ok("same"),
        Verdict::Refused => Ok("refused"),
        Verdict::Fallback(_) => Ok("fallback"),
        Verdict::Wrong(what) => Err(what),
    };
    part.add(result.as_ref().unwrap_or(&"wrong"));
    part.note(result.map(|_| 1));
    part.end();
}

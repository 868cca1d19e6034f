//! Scenarios with system calls that fail. Each has one result without a fault.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::calls::{Fault, When};
use super::tracer::{self, Seen, processor_time};
use crate::setting::{Mode, Place};
use crate::start::Start;
use crate::started::{self, End, Started};
use crate::state::{children, zombies};
use crate::support::{Order, probe, send};

/// Time limits of a line or the end, in each try. Either takes milliseconds, but a machine may
/// stand still for seconds.
const PATIENCE: [Duration; 3] = [Duration::from_millis(900), Duration::from_secs(5), Duration::from_secs(5)];
/// Time limit after a timeout.
const LESS_PATIENCE: Duration = Duration::from_millis(300);
/// A zombie that is older is left behind.
const REAPED_WITHIN: Duration = Duration::from_secs(1);
/// A run that takes so much longer than without a fault is late.
const LATE: Duration = Duration::from_secs(1);
/// Calls beyond those of a run without a fault, and processor time, that show a busy loop.
const SPINNING_CALLS: u32 = 3_000;
const SPINNING_TIME: Duration = Duration::from_millis(100);
/// Begin the lines that say so if descendants cannot be found.
const WITHOUT_PROC: [&str; 2] = ["Unable to find descendants", "Unable to look for descendants"];
const KILL_AFTER: Duration = Duration::from_millis(200);

pub struct Scenario {
    pub name: &'static str,
    pub mode: Mode,
    /// Options that no other init has.
    pub options: &'static [&'static str],
    /// Script in which `$0` is the probe.
    script: fn() -> String,
    ready: &'static [&'static str],
    play: fn(&mut Run),
    end: End,
    /// All lines on stdout, in any order.
    lines: &'static [&'static str],
    /// Those of a process that is not found without /proc.
    needs_proc: &'static [&'static str],
}

/// Command of several scenarios: it reports each signal, and exits with 42 on the last one.
const CATCH: fn() -> String = || format!("exec \"$0\" {}", Order::Catch(LAST));
const LAST: i32 = 64;

pub const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "exit",
        mode: Mode::Group,
        options: &[],
        script: || "echo ready; exit 7".to_owned(),
        ready: &[],
        play: |_| {},
        end: End::Exited(7),
        lines: &["ready"],
        needs_proc: &[],
    },
    Scenario {
        name: "forward",
        mode: Mode::Group,
        options: &[],
        script: CATCH,
        ready: &["ready"],
        play: forward,
        end: End::Exited(42),
        lines: &["ready", "got 15", "got 64"],
        needs_proc: &[],
    },
    Scenario {
        name: "forward-child",
        mode: Mode::Child,
        options: &[],
        script: CATCH,
        ready: &["ready"],
        play: forward,
        end: End::Exited(42),
        lines: &["ready", "got 15", "got 64"],
        needs_proc: &[],
    },
    Scenario {
        name: "reap",
        mode: Mode::Group,
        options: &[],
        script: || format!("exec \"$0\" {}", Order::WaitingOrphans(1)),
        ready: &["ready"],
        play: |run| {
            let first = children(run.started.pid).first().copied();
            first.into_iter().for_each(|command| send(command, libc::SIGUSR1));
            run.wait_for(&["ready", "ready"]);
            run.expect_no_orphan();
            run.ask_to_end();
        },
        end: End::Exited(128 + libc::SIGTERM),
        lines: &["ready", "ready"],
        needs_proc: &[],
    },
    Scenario {
        name: "drain",
        mode: Mode::Group,
        options: &["--drain", "2s"],
        script: || format!("setsid \"$0\" {} & exec \"$0\" {}", Order::Work("far", 50), Order::Catch(15)),
        ready: &["ready", "far ready"],
        play: Run::ask_to_end,
        end: End::Exited(42),
        lines: &["ready", "far ready", "got 15", "far got 15", "far finished"],
        needs_proc: &["far got 15", "far finished"],
    },
    Scenario {
        name: "tree",
        mode: Mode::Group,
        options: &["--forward", "tree"],
        // Its end is no news for the command, which reports SIGCHLD, too.
        script: || {
            format!("(setsid \"$0\" {} &); exec \"$0\" {}", Order::Work("far", 20), Order::Catch(LAST))
        },
        ready: &["ready", "far ready"],
        play: |run| {
            run.ask_to_end();
            run.wait_for(&["got 15", "far got 15", "far finished"]);
            run.signal(LAST);
        },
        end: End::Exited(42),
        lines: &["ready", "far ready", "got 15", "far got 15", "far finished", "got 64"],
        needs_proc: &["far got 15", "far finished"],
    },
    Scenario {
        name: "kill-after",
        mode: Mode::Group,
        options: &["--kill-after", "200ms"],
        script: CATCH,
        ready: &["ready"],
        play: |run| {
            run.ask_to_end();
            run.wait_for(&["got 15"]);
            run.wait_for_end();
            let early =
                |asked: Instant, seen: &Seen| seen.ended.saturating_duration_since(asked) < KILL_AFTER;
            if run.asked.zip(run.seen.as_ref()).is_some_and(|(asked, seen)| early(asked, seen)) {
                run.problems.push("ended before its time".into());
            }
        },
        end: End::Exited(128 + libc::SIGKILL),
        lines: &["ready", "got 15"],
        needs_proc: &[],
    },
];

/// The last signal shows that SIGTERM was lost, and that none comes twice.
fn forward(run: &mut Run) {
    run.ask_to_end();
    run.wait_for(&["got 15"]);
    run.signal(LAST);
}

/// A run of an init in a scenario.
pub struct Run {
    started: Started,
    ends: Receiver<Seen>,
    seen: Option<Seen>,
    hangs: bool,
    patience: Duration,
    /// Whether there was a timeout.
    has_waited: bool,
    asked: Option<Instant>,
    printed: Vec<String>,
    problems: Vec<String>,
}

/// Result of a run.
pub enum Verdict {
    Same,
    /// The command was not started, which a line says.
    Refused,
    /// The outcome is the same, but a line says that something failed.
    Fallback(String),
    Wrong(String),
}

/// All that is known of a run.
pub struct Report {
    pub seen: Seen,
    printed: Vec<String>,
    stderr: String,
    hangs: bool,
    has_waited: bool,
    problems: Vec<String>,
}

impl Scenario {
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Whether inits without our options can do it.
    pub fn is_for_peers(&self) -> bool {
        self.options.is_empty() && self.name != "reap"
    }

    /// Runs it with an init that has these options, without a fault.
    pub fn run(&self, init: &Path, options: &[&str]) -> Report {
        self.try_once(init, options, None, PATIENCE[1])
    }

    /// Runs it with a fault, and compares that with a run without. Repeats a run that timed out,
    /// since the machine may be busy, unless the scenario expects a timeout.
    pub fn run_with(
        &self,
        init: &Path,
        options: &[&str],
        fault: Fault,
        faultless: &Report,
        is_known: bool,
    ) -> (Report, Verdict) {
        let mut result = None;
        for patience in PATIENCE {
            let report = self.try_once(init, options, Some(fault), patience);
            let verdict = self.judge(&report, faultless, Some(fault));
            let is_late = report.has_waited || is_late(&report, faultless);
            let is_final = is_known || !is_late || !matches!(verdict, Verdict::Wrong(_));
            result = Some((report, verdict));
            if is_final {
                break;
            }
        }
        result.expect("a try")
    }

    fn try_once(&self, init: &Path, options: &[&str], fault: Option<Fault>, patience: Duration) -> Report {
        let string = |text: &[u8]| CString::new(text).expect("no zero");
        let probe = probe();
        let mut words = vec![string(init.as_os_str().as_bytes())];
        words.extend(options.iter().chain(self.options).map(|option| string(option.as_bytes())));
        words.extend(["--", "/bin/sh", "-c", &(self.script)()].map(|word| string(word.as_bytes())));
        words.push(string(probe.as_os_str().as_bytes()));
        let mut start = Start::program(Place::Pid1, words);
        start.piped_stderr = true;
        start.own_proc = true;
        start.traced = true;
        let (sender, ends) = channel();
        let started = tracer::start(start, fault, sender);
        let (seen, hangs, has_waited, asked) = (None, false, false, None);
        let (printed, problems) = (Vec::new(), Vec::new());
        let mut run = Run { started, ends, seen, hangs, patience, has_waited, asked, printed, problems };
        if run.wait_for(self.ready) {
            (self.play)(&mut run);
        }
        run.wait_for_end();
        run.report()
    }

    /// Compares a run with one without a fault.
    fn judge(&self, report: &Report, faultless: &Report, fault: Option<Fault>) -> Verdict {
        let Report { seen, printed, stderr, hangs, problems, .. } = report;
        let is_refused = !seen.command_ran && !hangs && !stderr.is_empty();
        if is_refused && matches!(seen.end, End::Exited(1 | 2 | 126 | 127)) {
            return Verdict::Refused;
        }
        let is_without_proc = WITHOUT_PROC.iter().any(|line| stderr.contains(line))
            && fault.is_some_and(|fault| fault.when == When::Every);
        let mut problems = problems.clone();
        if *hangs {
            problems.push("hangs".into());
        } else if seen.end != self.end {
            problems.push(format!("{:?} in place of {:?}", seen.end, self.end));
        }
        let count = |lines: &[&str], line: &str| lines.iter().filter(|other| **other == line).count();
        let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
        let mut all: Vec<&str> = self.lines.iter().copied().chain(printed.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        for line in all {
            let (expected, found) = (count(self.lines, line), count(&printed, line));
            let may_be_missing = is_without_proc && self.needs_proc.contains(&line) && found < expected;
            if expected != found && !may_be_missing {
                problems.push(format!("{found} of {expected} {line:?}"));
            }
        }
        // The run has timed out for missing lines.
        if !hangs && !is_without_proc && is_late(report, faultless) {
            problems.push(format!("late: {} ms", seen.lived.as_millis()));
        }
        let calls = seen.calls().saturating_sub(faultless.seen.calls());
        if calls > SPINNING_CALLS || (seen.used > SPINNING_TIME && seen.used * 2 > seen.lived) {
            let used = seen.used.as_millis();
            problems.push(format!(
                "spins: {used} ms of CPU in {} ms, {calls} more calls",
                seen.lived.as_millis()
            ));
        }
        if !problems.is_empty() {
            let lines: Vec<&str> = stderr.lines().take(3).collect();
            return Verdict::Wrong(format!("{}; stderr: {lines:?}", problems.join(", ")));
        }
        if *stderr == faultless.stderr { Verdict::Same } else { Verdict::Fallback(stderr.clone()) }
    }

    /// Problem of a run without a fault.
    pub fn problem_without_fault(&self, report: &Report) -> Option<String> {
        match self.judge(report, report, None) {
            Verdict::Same => None,
            Verdict::Refused => Some(format!("refused: {}", report.stderr)),
            Verdict::Fallback(what) | Verdict::Wrong(what) => Some(what),
        }
    }
}

fn is_late(report: &Report, faultless: &Report) -> bool {
    report.seen.lived.saturating_sub(faultless.seen.lived) > LATE
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, printed, stderr, .. } = self;
        let (End::Exited(status) | End::Killed(status)) = seen.end;
        let how = if matches!(seen.end, End::Exited(_)) { "exited with" } else { "killed by" };
        let (calls, milliseconds) = (seen.calls(), seen.lived.as_millis());
        write!(
            out,
            "{how} {status}, {calls} calls, {milliseconds} ms; stdout: {printed:?}; stderr: {stderr:?}"
        )
    }
}

impl Run {
    fn signal(&self, number: i32) {
        if self.seen.is_none() {
            send(self.started.pid, number);
        }
    }

    fn ask_to_end(&mut self) {
        self.asked = Some(Instant::now());
        self.signal(libc::SIGTERM);
    }

    /// Waits until each of these lines was printed, as often as it is here. False if that doesn't happen.
    fn wait_for(&mut self, lines: &[&str]) -> bool {
        let end = Instant::now() + self.patience;
        loop {
            let of = |line: &str| self.printed.iter().filter(|other| *other == line).count();
            if lines.iter().all(|line| of(line) >= lines.iter().filter(|other| other == &line).count()) {
                return true;
            }
            match self.started.stdout.next_within(end.saturating_duration_since(Instant::now())) {
                Some(line) => self.printed.push(line),
                None => {
                    self.lose_patience();
                    return false;
                }
            }
        }
    }

    fn lose_patience(&mut self) {
        self.patience = LESS_PATIENCE;
        self.has_waited = true;
    }

    /// Waits until the init has no child but the command.
    fn expect_no_orphan(&mut self) {
        let end = Instant::now() + REAPED_WITHIN;
        while children(self.started.pid).len() > 1 {
            if Instant::now() > end {
                let left = zombies(self.started.pid).len();
                self.problems.push(format!("{left} zombies left"));
                self.lose_patience();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end of the init, and brings it about if it doesn't come.
    fn wait_for_end(&mut self) {
        if self.seen.is_some() {
            return;
        }
        let mut seen = self.ends.recv_timeout(self.patience).ok();
        if seen.is_none() {
            self.hangs = true;
            self.lose_patience();
            let used = processor_time(self.started.pid);
            send(self.started.pid, libc::SIGKILL);
            seen = self.ends.recv_timeout(started::PATIENCE).ok().map(|seen| Seen { used, ..seen });
        }
        let seen = seen.expect("an end after SIGKILL");
        self.started.note_end(seen.end);
        self.seen = Some(seen);
    }

    fn report(mut self) -> Report {
        while let Some(line) = self.started.stdout.next_within(started::PATIENCE) {
            self.printed.push(line);
        }
        let stderr = self.started.stderr();
        let seen = self.seen.take().expect("an end");
        let Self { printed, hangs, has_waited, problems, .. } = self;
        Report { seen, printed, stderr, hangs, has_waited, problems }
    }
}

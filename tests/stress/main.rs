//! Thousands of tries: signals in the first moments, bursts, orphans, unruly processes, and refused
//! system calls.
//!
//! `cargo build --examples && cargo test --test stress` takes about two minutes. `-- long` tries
//! more, and names of parts (`-- early chaos`) leave the others out. A number (`-- early 1000`) is
//! the number of tries. `INIT_UNDER_TEST` names the
//! init, as with the suite. Each part prints a line. Failures are described, and the exit status is
//! 1. `SEED` repeats the random choices of a run.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic reports a broken set-up.
#![allow(unsafe_code, unreachable_pub)] // Raw clones and execs; a program has no public items.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // Parts that `injection` alone calls.

mod bursts;
mod chaos;
mod early;
mod faults;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_injection.rs")]
mod injection;
mod orphans;
mod part;
mod setting;
mod start;
mod started;
mod state;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)] // It serves the suite first.
mod support;

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};

use part::Plan;

/// Says that the namespace is there already.
const INSIDE: &str = "inside";
const PARTS: [(&str, fn(&mut Plan)); 6] = [
    ("early", early::run),
    ("bursts", bursts::run),
    ("orphans", orphans::run),
    ("chaos", chaos::run),
    ("faults", faults::run),
    ("injection", injection::run),
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == INSIDE) {
        return live_as_pid_1(&words[1..]);
    }
    if !support::can_have_pid_namespaces() {
        return ExitCode::SUCCESS;
    }
    // Nothing outlives this program in its own namespace.
    let namespace = support::namespace();
    let mut unshare = Command::new(namespace[0]);
    unshare
        .args(&namespace[1..])
        .arg(env::current_exe().expect("this program's path"))
        .arg(INSIDE)
        .args(&words);
    unshare.env_remove("DUMB_INIT_DEBUG").env_remove("DUMB_INIT_SETSID");
    // SAFETY: one system call, which allocates nothing and takes no lock.
    unsafe { unshare.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
    let status = unshare.status().expect("unshare");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reaps the orphans of the tests, and exits with the tests. They are not PID 1 themselves, so that
/// Ctrl-C works.
fn live_as_pid_1(words: &[String]) -> ExitCode {
    // SAFETY: there is no other thread yet.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => test(words),
        ForkResult::Parent { child } => loop {
            let (pid, status) = started::wait_for_any();
            if pid == child && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) {
                return if status == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
        },
    }
}

fn test(words: &[String]) -> ExitCode {
    let known = |word: &String| {
        word == "long"
            || word.parse::<u64>().is_ok()
            || word.starts_with(injection::ONE)
            || PARTS.iter().any(|(name, _)| name == word)
    };
    assert!(words.iter().all(known), "none of these is a part, or `long`: {words:?}");
    // Many of the processes are meant to be killed.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("RLIMIT_CORE");
    start::forget_what_std_ignores();
    let seed =
        env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("SEED is a number"));
    let tries = words.iter().find_map(|word| word.parse().ok());
    let mut plan = Plan::new(words.iter().any(|word| word == "long"), tries, seed);
    if let Some(fault) = words.iter().find_map(|word| word.strip_prefix(injection::ONE)) {
        injection::run_one(&mut plan, fault);
        return if plan.summarize() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    for (name, run) in PARTS {
        if words.iter().all(|word| PARTS.iter().all(|(part, _)| part != word))
            || words.iter().any(|word| word == name)
        {
            run(&mut plan);
        }
    }
    if plan.summarize() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

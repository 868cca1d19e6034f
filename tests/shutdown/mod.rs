//! Effects of `--drain`, `--linger`, `--kill-after`, `--delay` and `--forward tree` on a shutdown.
//!
//! Each test has real processes, and runs as a plain process and, if possible, as PID 1.
//! `Order::Work` reports each signal, and finishes some milliseconds after the first SIGTERM.

mod deadlines;
mod drain;
mod environments;
mod exit_map;
mod forward_tree;
mod helpers;
mod inits;
mod linger;
mod pipelines;
mod pre_stop;
mod promises;
mod random_trees;
mod snapshots;
mod terminals;

use std::thread;

use nix::unistd::Pid;

use crate::support::{
    Outcome, Running, Start, can_have_pid_namespaces, count_lines, init_beyond, is_emulated, probe, procfs,
    script,
};

/// Tries something as a plain process and as PID 1. An emulated init is tried as PID 1 only: qemu-user refuses
/// `PR_SET_CHILD_SUBREAPER`, so that the orphans of a plain process go elsewhere.
pub(crate) fn in_both_settings(scenario: impl Fn(Start) + Sync) {
    let Some(start) = init_beyond() else { return };
    let namespaces = can_have_pid_namespaces();
    thread::scope(|scope| {
        if !is_emulated() {
            scope.spawn(|| scenario(start));
        }
        if namespaces {
            scope.spawn(|| init_beyond().into_iter().map(Start::in_namespace).for_each(&scenario));
        }
    });
}

/// Expects each of these lines this number of times.
#[track_caller]
fn expect_lines(outcome: &Outcome, expected: &[(impl AsRef<str>, usize)]) {
    for (line, times) in expected {
        let line = line.as_ref();
        assert_eq!(count_lines(&outcome.stdout(), line), *times, "{line:?}\n{outcome}");
    }
}

fn wait_for_lines(running: &Running, lines: &[impl AsRef<str>]) {
    for line in lines {
        running.wait_for_line(line.as_ref());
    }
}

/// The probe with this word in its command line. Waits until there is one: a daemon has the same
/// words as its parent.
pub(crate) fn find(running: &Running, word: &str) -> Pid {
    let has_it = |pid: &Pid| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.starts_with(probe().as_os_str().as_encoded_bytes())
            && text.split(|&byte| byte == 0).any(|other| other == word.as_bytes())
    };
    let mut found = Vec::new();
    procfs::wait_until(&format!("there is one with {word}"), || {
        found = running.descendants().into_iter().filter(has_it).collect();
        found.len() == 1
    });
    found[0]
}

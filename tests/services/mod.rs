//! Real services behind a start script that does not exec them, as PID 1 with a drain.
//!
//! Each of these services stops its own workers after SIGTERM. A drain that signals the workers as
//! well loses their work.

mod celery;
pub(crate) mod postgresql;
mod su;
mod supervisord;

use std::path::{Path, PathBuf};

use crate::support::{Running, Scratch, Start, can_have_pid_namespaces, init_beyond, skip};

/// The init as PID 1 with a drain and this recipient of signals, or `None` if the test is skipped.
fn init_with_drain(forward: &str) -> Option<Start> {
    let start = init_beyond().filter(|_| can_have_pid_namespaces())?;
    Some(start.in_namespace().variable("DUMB_INIT_DRAIN", "12s").variable("DUMB_INIT_FORWARD", forward))
}

/// Starts a script whose shell waits for the service.
///
/// Some shells exec the last command, so another command follows.
fn start_behind_script(start: Start, scratch: &Scratch, service: &str) -> Running {
    start.word(scratch.file("start.sh", &format!("#!/bin/sh\n{service}\necho ended\n"), 0o755)).start()
}

/// Returns the path of an installed program, or skips the test.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.exists());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Creates a directory for a service.
fn directory(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    std::fs::create_dir(&path).expect("a directory for the service");
    path
}

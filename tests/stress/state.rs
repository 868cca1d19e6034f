//! The state of a process, as far as the suite doesn't ask for it.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::started::PATIENCE;
use crate::support::procfs;

/// The memory that a process has to itself, and all that it uses.
#[derive(Clone, Copy)]
pub struct Memory {
    private_dirty: u64,
    resident: u64,
}

impl Memory {
    pub fn of(pid: Pid) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kilobytes = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_suffix("kB")?.trim().parse().ok());
            value.unwrap_or(0)
        };
        Self { private_dirty: kilobytes("Private_Dirty:"), resident: kilobytes("Rss:") }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Private_Dirty {} kB, Rss {} kB", self.private_dirty, self.resident)
    }
}

/// The children of a single-threaded process, zombies included.
pub fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Those of the children of a process that wait to be reaped.
pub fn zombies(pid: Pid) -> Vec<Pid> {
    children(pid).into_iter().filter(|&child| procfs::state(child) == Some('Z')).collect()
}

/// Polls until a condition holds. False after the deadline.
pub fn becomes_so(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        // Not a time that something is expected to take: it only leaves the processor to those that
        // are waited for.
        std::thread::sleep(Duration::from_micros(100));
    }
    true
}

//! With a real engine: what `docker stop`, `kill`, `run`, `exec` and its other commands and options come to.
//!
//! Where there is no engine, or nobody lets us see a container's processes, these are skipped. Each looks for zombies before
//! its container ends, in the container's own /proc.

mod drains;
mod limits;
mod own_engines;
mod restarts;
mod shared_pids;
mod stops;
mod terminals;

use crate::support::docker::{Base, can_see_processes, image_on};

/// The image with this base, where an engine and the right to see what it runs can be had.
fn image(base: Base) -> Option<&'static str> {
    image_on(base).filter(|_| can_see_processes())
}

/// How often was this line printed?
fn count(text: &str, line: &str) -> usize {
    text.lines().filter(|candidate| candidate.trim_end() == line).count()
}

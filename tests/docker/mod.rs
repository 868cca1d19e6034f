//! `docker stop`, `kill`, `run`, `exec` and other commands with a real engine.
//!
//! The tests are skipped without an engine, or if the processes of containers are not visible. Each
//! looks for zombies in the container's own /proc before its container ends.

mod drains;
mod health_checks;
mod limits;
mod own_engines;
mod programs;
mod restarts;
mod shared_pids;
mod stops;
mod terminals;

use crate::support::count_lines;
use crate::support::docker::{Base, can_see_processes, image_on};

/// Image with this base, if there is an engine whose processes are visible.
fn image(base: Base) -> Option<&'static str> {
    image_on(base).filter(|_| can_see_processes())
}

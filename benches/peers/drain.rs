//! Cost of a drain in which many processes exit within one second.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::inits::Init;
use crate::measured::{Measured, in_turns, median};
use crate::roles;
use crate::started::{Started, send};

pub const CPU: &str = "drain";
pub const TIME: &str = "time of a drain";

/// Numbers of processes.
pub const COUNTS: [usize; 3] = [100, 1_000, 8_000];

/// Most microseconds of processor time for each process.
pub const MOST_CPU: f64 = 40.0;
/// Most seconds from the signal to the end.
pub const MOST_TIME: f64 = 1.3;

/// Measures the init's processor time for each process, and the time from SIGTERM to the end.
#[allow(clippy::cast_precision_loss)] // No drain takes that long.
pub fn drain(inits: &[Init], count: usize, rounds: usize) -> Vec<Measured> {
    let have_drain: Vec<bool> = inits.iter().map(Init::has_drain).collect();
    let mut times = vec![Vec::new(); inits.len()];
    let cpu = in_turns(inits.len(), rounds, |index| {
        if !have_drain[index] {
            return None;
        }
        let mut started =
            Started::new(&inits[index], &["--drain", "10s"], &[roles::CROWD, &count.to_string()]);
        let before = started.time_on_processor();
        let begin = Instant::now();
        send(started.pid(), Signal::SIGTERM);
        let cpu = started.time_on_processor_at_end() - before;
        times[index].push(begin.elapsed().as_secs_f64());
        started.wait();
        Some(cpu as f64 / 1e3 / count as f64)
    });
    let times = times.into_iter().map(median).collect();
    let row =
        |name, title, unit, medians| Measured { name, title, unit, medians, alone: None, two_execs: None };
    vec![
        row(CPU, format!("processor time of a drain for each of {count} processes"), "µs", cpu),
        row(TIME, format!("from SIGTERM to the end, where {count} processes end within 1 s"), "s", times),
    ]
}

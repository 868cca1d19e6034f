//! The multi-process start script: three programs, each of which takes its time to shut down.

use std::path::PathBuf;

use super::{Order, Report, Running, Scratch, with_probe};

pub const PROGRAMS: [&str; 3] = ["crond", "worker", "service"];

/// Lines of the script, in which `probe` is the probe.
pub fn lines() -> String {
    format!(
        "probe {crond} &\nprobe {worker} &\nprobe {service}\n",
        crond = Order::Work("crond", 500),
        worker = Order::Work("worker", 800),
        service = Order::Work("service", 1500)
    )
}

/// Writes the script.
pub fn write(scratch: &Scratch) -> PathBuf {
    scratch.file("start.sh", &format!("#!/bin/sh\n{}", with_probe(lines())), 0o755)
}

pub fn wait_for_all(running: &Running) {
    for name in PROGRAMS {
        running.wait_for_line(Report::Ready.by(name));
    }
}

/// Number of programs with this report.
pub fn count(text: &str, report: Report) -> usize {
    PROGRAMS.iter().filter(|name| text.contains(&report.by(name))).count()
}

/// Expects that all programs have received SIGTERM once, and finished.
#[track_caller]
pub fn expect_all_three(text: &str) {
    for name in PROGRAMS {
        let times = |report: Report| super::count_lines(text, &report.by(name));
        assert_eq!((times(Report::Got(15)), times(Report::Finished)), (1, 1), "{name}:\n{text}");
    }
}

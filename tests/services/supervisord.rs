//! supervisord (Debian's `supervisor`), which sends SIGTERM to its programs when it receives it.

use std::fmt::Write;

use super::{init_with_drain, installed, start_behind_script};
use crate::support::{Order, Report, Scratch, probe};

/// Names, and milliseconds from SIGTERM to the end. supervisord stops one after the other.
const PROGRAMS: [(&str, u32); 3] = [("first", 300), ("second", 900), ("third", 500)];

#[test]
fn supervisord_group_drain_signals_each_program_once() {
    expect_one_signal_each("group");
}

#[test]
fn supervisord_child_drain_signals_each_program_once() {
    expect_one_signal_each("child");
}

fn expect_one_signal_each(forward: &str) {
    let (Some(start), Some(supervisord)) = (init_with_drain(forward), installed("supervisord")) else {
        return;
    };
    let scratch = Scratch::new();
    let directory = scratch.path().display();
    let mut settings = format!("[supervisord]\nnodaemon=true\nlogfile=/dev/null\npidfile={directory}/pid\n");
    for (name, milliseconds) in PROGRAMS {
        let command = format!("{} {work}", probe().display(), work = Order::Work(name, milliseconds.into()));
        let output = "stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0";
        write!(settings, "[program:{name}]\ncommand={command}\n{output}\n").expect("a string");
    }
    let settings = scratch.file("supervisord.conf", &settings, 0o644);
    let service = format!("{} -c {}", supervisord.display(), settings.display());
    let running = start_behind_script(start, &scratch, &service);
    for (name, _) in PROGRAMS {
        running.wait_for_line(Report::Ready.by(name));
    }
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(143);
    for (name, _) in PROGRAMS {
        for line in [Report::Got(15).by(name), Report::Finished.by(name)] {
            let count = outcome.stdout().lines().filter(|candidate| *candidate == line).count();
            assert_eq!(count, 1, "{line:?}\n{outcome}");
        }
    }
}

//! Rows about inherited descriptors and dispositions, and about stderr.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use super::{Case, Init, Setting};
use crate::support::{Condition, Order, Property, Report, Scratch, Start, procfs};

pub fn broken_stderr_changes_nothing(case: Case) {
    let kinds: [fn(Start) -> Start; 3] = [
        |start| start.condition(Condition::Closed(2)),
        |start| start.condition(Condition::Full(2)),
        without_a_reader,
    ];
    for broken in kinds {
        for start in [Case::start, Case::start_verbose] {
            broken(start(case)).probe(Order::Exit(7)).run().expect_code(7);
            let running = broken(start(case)).probe(Order::Record(12)).start();
            running.wait_for_line(Report::Ready);
            for number in [10, 13] {
                running.signal(number);
                running.wait_for_line(Report::Got(number));
            }
            running.signal(12);
            let outcome = running.outcome();
            outcome.expect_code(42);
            // Some inits write to it.
            let stdout = outcome.stdout();
            let got: Vec<&str> = stdout.lines().filter(|line| line.starts_with("got")).collect();
            assert_eq!(got, ["got 10", "got 13", "got 12"], "{outcome}");
        }
    }
}

fn without_a_reader(start: Start) -> Start {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    start
        .stdin(File::from(OwnedFd::from(writer)))
        .condition(Condition::StderrAsStdin)
        .condition(Condition::Null(0))
}

pub fn closed_descriptor_stays_closed(case: Case) {
    for (closed, expected) in [(0, "1 2"), (1, "0 2"), (2, "0 1")] {
        let scratch = Scratch::new();
        let report = scratch.path().join("report");
        let start = case.start().condition(Condition::Closed(closed)).variable("REPORT_TO", &report);
        start.probe(Order::Report).run().expect_code(5);
        let text = fs::read_to_string(report).expect("a report");
        assert_eq!(
            crate::support::property(&text, Property::Descriptors).as_deref(),
            Some(expected),
            "{text}"
        );
    }
}

pub fn command_starts_with_default_dispositions(case: Case) {
    let start = match case.init {
        // The parent has changed a disposition and the mask.
        Init::UnderTest | Init::Original => {
            case.start().condition(Condition::Ignored(13)).condition(Condition::Blocked(10))
        }
        Init::Tini | Init::Catatonit => case.start(),
    };
    let outcome = start.probe(Order::Report).run();
    // glibc's posix_spawn(3) leaves 32 and 33 ignored, and an exec keeps that.
    assert!(["", "32 33"].contains(&outcome.report(Property::Dispositions).as_str()), "{outcome}");
    assert_eq!(outcome.report(Property::Blocked), "", "{outcome}");
}

pub fn init_closes_descriptors_above_2(case: Case) {
    // The init inherits a pipe as descriptor 5. The pipe has no end of file while a process holds
    // its other side.
    let scratch = Scratch::new();
    let fifo = scratch.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut pipe =
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).expect("its reading end");
    let running = case
        .start()
        .condition(Condition::Writes(fifo.display().to_string().leak()))
        .probe(Order::Close(5))
        .start();
    running.wait_for_line(Report::Ready);
    let mut ends = || matches!(pipe.read(&mut [0]), Ok(0));
    procfs::wait_until("the pipe has an end", &mut ends);
}

pub fn listen_pid_is_set_to_the_command(case: Case) {
    let outcome = case.start().condition(Condition::ListenPid).probe(Order::Report).run();
    assert_eq!(outcome.report(Property::ListenPid), outcome.report(Property::Pid), "{outcome}");
    if (case.init, case.setting) == (Init::UnderTest, Setting::Plain) {
        let outcome = case.start().variable("LISTEN_PID", "1").probe(Order::Report).run();
        assert_eq!(outcome.report(Property::ListenPid), "1", "{outcome}");
    }
}

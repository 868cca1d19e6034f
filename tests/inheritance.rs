//! Arguments, environment, descriptors, dispositions and mask of the command.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use crate::support::differences::{Original, wanted_difference};
use crate::support::{
    Condition, Order, Outcome, Property, Report, Scratch, init, probe_as, procfs, property,
};

#[test]
fn inherited_ignored_signals_are_default_in_the_command() {
    for options in [&[][..], &["-c"]] {
        let outcome = init().condition(Condition::AllIgnored).words(options).probe(Order::Report).run();
        let dispositions = outcome.report(Property::Dispositions);
        assert!(
            !dispositions.split(' ').any(|number| number.parse::<i32>().is_ok_and(|n| n < 32)),
            "{outcome}"
        );
        // Real-time signals keep their disposition.
        assert!(dispositions.split(' ').any(|number| number == "40"), "{outcome}");
    }
    for number in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGHUP, libc::SIGINT] {
        let outcome = init().condition(Condition::Ignored(number)).probe(Order::Report).run();
        assert_eq!(outcome.report(Property::Dispositions), "", "{outcome}");
    }
}

#[test]
fn command_ignores_no_signal() {
    for options in [&[][..], &["-c"]] {
        let outcome = init().words(options).probe(Order::Report).run();
        assert_eq!(outcome.report(Property::Dispositions), "", "{outcome}");
    }
}

#[test]
fn command_without_reader_dies_by_sigpipe() {
    for options in [&[][..], &["-c"]] {
        let outcome = init().words(options).words(["sh", "-c", "{ yes; echo $? >&2; } | head -n 1"]).run();
        outcome.expect_code(0).expect_stdout("y\n").expect_stderr("141\n");
    }
}

#[test]
fn command_signal_mask_is_empty() {
    for condition in
        [Condition::AllBlocked, Condition::Blocked(15), Condition::Blocked(34), Condition::Blocked(17)]
    {
        for options in [&[][..], &["-c"]] {
            let outcome = init().condition(condition).words(options).probe(Order::Report).run();
            let blocked: Vec<_> =
                outcome.report(Property::Blocked).split_whitespace().map(str::to_owned).collect();
            // glibc's calls don't reach the two that it keeps for itself.
            assert!(blocked.iter().all(|number| number == "32" || number == "33"), "{outcome}");
        }
    }
}

#[test]
fn ignored_sigchld_hides_no_exit() {
    for options in [&[][..], &["-c"]] {
        init().condition(Condition::Ignored(17)).words(options).probe(Order::Exit(7)).run().expect_code(7);
    }
}

/// Open descriptors of a command that starts with some of the standard ones closed.
fn descriptors_with(closed: &[i32], options: &[&str]) -> Vec<String> {
    let scratch = Scratch::new();
    let file = scratch.path().join("report");
    let mut start = init().variable("REPORT_TO", &file);
    for &descriptor in closed {
        start = start.condition(Condition::Closed(descriptor));
    }
    start.words(options).probe(Order::Report).run().expect_code(5);
    let report = std::fs::read_to_string(file).expect("a report");
    let descriptors = property(&report, Property::Descriptors).expect("descriptors");
    descriptors.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn closed_standard_descriptor_stays_closed() {
    for options in [&[][..], &["-c"]] {
        assert_eq!(descriptors_with(&[], options), ["0", "1", "2"]);
        assert_eq!(descriptors_with(&[0], options), ["1", "2"]);
        assert_eq!(descriptors_with(&[1], options), ["0", "2"]);
        assert_eq!(descriptors_with(&[2], options), ["0", "1"]);
        assert_eq!(descriptors_with(&[0, 1, 2], options), [""; 0]);
    }
}

/// Bytes as the report has them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn arguments_and_environment_are_passed_byte_for_byte() {
    let odd = OsStr::from_bytes(b"\xff\xfe = \n\t\x01");
    let words = [odd, OsStr::new(""), OsStr::new("--"), OsStr::new("-v"), OsStr::new("\u{e9}")];
    let outcome = init()
        .probe(Order::Report)
        .words(words)
        .variable("ODD", odd)
        .variable(OsStr::from_bytes(b"N\xffME"), "value")
        .variable("EMPTY", "")
        .variable("DUMB_INIT_SETSID", "1")
        .run();
    assert_eq!(
        outcome.report(Property::Words),
        words.map(|word| hex(word.as_bytes())).join(" "),
        "{outcome}"
    );
    let environment = outcome.report(Property::Environment);
    for entry in [&[b"ODD=", odd.as_bytes()].concat()[..], b"N\xffME=value", b"EMPTY=", b"DUMB_INIT_SETSID=1"]
    {
        assert!(environment.split(' ').any(|found| found == hex(entry)), "{entry:?}\n{outcome}");
    }
}

#[test]
fn environment_equals_that_without_an_init() {
    let lines = |outcome: Outcome| outcome.report(Property::Environment);
    let with =
        |start: crate::support::Start| lines(start.variable("A", "B=C").variable("LISTEN_PID", "1").run());
    let probe = probe_as(Order::Report);
    let without = crate::support::Start::program(&probe[0]).words(&probe[1..]);
    // The mark that the harness puts on each run is the only difference.
    let unmarked = |environment: String| -> Vec<String> {
        let mark = hex(b"RUN_OF_DUMB_INIT_TEST=");
        environment.split(' ').filter(|entry| !entry.starts_with(&mark)).map(str::to_owned).collect()
    };
    assert_eq!(unmarked(with(init().words(&probe))), unmarked(with(without)));
}

/// The entries that the command finds of those that name a process.
fn entries_of_a_service(outcome: &Outcome) -> Vec<String> {
    let environment = outcome.report(Property::Environment);
    let names = ["LISTEN_PID=", "LISTEN_PIDFDID=", "WATCHDOG_PID="];
    let value = |name: &str| {
        let begin = hex(name.as_bytes());
        let entry = environment.split(' ').find(|entry| entry.starts_with(&begin))?;
        let digit = |pair: &[u8]| char::from(pair[1]);
        // Each digit is a 3 and itself in hexadecimal.
        Some(entry.as_bytes()[begin.len()..].chunks(2).map(digit).collect::<String>())
    };
    names.map(|name| value(name).unwrap_or_default()).into()
}

#[test]
fn service_variables_naming_the_init_name_the_command() {
    wanted_difference("9. Descriptors and LISTEN_PID", Original::Fails, || {
        for options in [&[][..], &["-c"]] {
            let outcome = init().condition(Condition::Service).words(options).probe(Order::Report).run();
            let own = [
                outcome.report(Property::Pid),
                outcome.report(Property::PidfdId),
                outcome.report(Property::Pid),
            ];
            assert_eq!(entries_of_a_service(&outcome), own, "{outcome}");

            // It is better without that than with another's.
            let start = init()
                .condition(Condition::Service)
                .condition(Condition::Refused(libc::SYS_pidfd_open, libc::ENOSYS));
            let outcome = start.words(options).probe(Order::Report).run();
            let own = [outcome.report(Property::Pid), String::new(), outcome.report(Property::Pid)];
            assert_eq!(entries_of_a_service(&outcome), own, "{outcome}");
        }
    });
}

#[test]
fn service_variables_naming_another_process_are_kept() {
    for options in [&[][..], &["-c"]] {
        let start = ["LISTEN_PID", "LISTEN_PIDFDID", "WATCHDOG_PID"]
            .into_iter()
            .fold(init(), |start, name| start.variable(name, "1"));
        let outcome = start.words(options).probe(Order::Report).run();
        assert_eq!(entries_of_a_service(&outcome), ["1", "1", "1"], "{outcome}");
    }
}

#[test]
fn init_keeps_no_descriptor_of_the_command() {
    wanted_difference("9. Descriptors and LISTEN_PID", Original::Fails, || {
        // The shell gives the init a pipe as descriptor 5. It has no end of file while a process
        // holds the other side.
        let scratch = Scratch::new();
        let fifo = scratch.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let running = crate::support::Start::program("sh")
            .words(["-c", "exec 5>\"$0\"; echo opened >&5; exec \"$@\""])
            .word(&fifo)
            .word(crate::support::init_under_test())
            .probe(Order::Close(5))
            .start();
        let mut pipe = File::open(&fifo).unwrap();
        running.wait_for_line(Report::Ready);
        let mut text = String::new();
        // Not blocking: at the pipe's end there is something to read, which is nothing.
        nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        let held = |pid| {
            let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            entries
                .filter(|entry| entry.file_name().to_str().is_some_and(|fd| fd.parse::<i32>().unwrap() > 2))
                .count()
        };
        procfs::wait_until("the init has closed its copies", || held(running.pid()) == 0);
        pipe.read_to_string(&mut text).expect("the end of the pipe");
        assert_eq!(text, "opened\n");
    });
}

#[test]
fn inherited_descriptors_reach_the_command() {
    let script = "exec 5</dev/null 9>/dev/null; exec \"$@\"";
    for options in [&[][..], &["-c"]] {
        let outcome = crate::support::Start::program("sh")
            .words(["-c", script, "sh"])
            .word(crate::support::init_under_test())
            .words(options)
            .probe(Order::Report)
            .run();
        assert_eq!(outcome.report(Property::Descriptors), "0 1 2 5 9", "{outcome}");
    }
}

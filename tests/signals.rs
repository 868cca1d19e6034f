//! Recipients of forwarded signals.

use crate::support::differences::{Original, wanted_difference};
use crate::support::{Condition, Order, Report, Running, init, is_emulated, probe_as, procfs, send};

/// The last signal. The kernel delivers the lowest pending signal first, so all others precede it.
const SENTINEL: i32 = 64;

fn recorder(options: &[&str]) -> Running {
    let running = init().words(options).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    running
}

/// Signals that a recorder has received before the sentinel.
fn recorded(running: Running) -> Vec<i32> {
    running.signal(SENTINEL);
    let outcome = running.outcome();
    outcome.expect_code(42);
    outcome.stdout().lines().filter_map(|line| line.strip_prefix("got ")?.parse().ok()).collect()
}

/// Every signal except those that cannot be caught, suspend a terminal's job, are SIGCHLD, or are
/// reserved by C libraries.
fn forwarded() -> impl Iterator<Item = i32> {
    (1..SENTINEL).filter(|number| ![9, 17, 19, 20, 21, 22, 32, 33].contains(number))
}

#[test]
fn signals_are_forwarded_to_the_group() {
    forwards_every_signal(&[]);
}

#[test]
fn signals_are_forwarded_to_the_single_child() {
    forwards_every_signal(&["-c"]);
}

fn forwards_every_signal(options: &[&str]) {
    let running = recorder(options);
    for number in forwarded() {
        // qemu-user loses SIGILL, SIGBUS and SIGSEGV from other processes while the init does not wait.
        if is_emulated() {
            procfs::wait_for_state(running.pid(), 'S');
        }
        running.signal(number);
        running.wait_for_line(Report::Got(number));
    }
    let expected: Vec<i32> = forwarded().chain([SENTINEL]).collect();
    assert_eq!(recorded(running), expected);
}

#[test]
fn signals_reserved_by_c_libraries_are_forwarded() {
    wanted_difference("5. Signals 32 and 33", Original::Fails, || {
        for options in [&[][..], &["-c"]] {
            let running = recorder(options);
            for number in [32, 33] {
                running.signal(number);
                running.wait_for_line(Report::Got(number));
            }
            assert_eq!(recorded(running), [32, 33, SENTINEL]);
        }
    });
}

#[test]
fn signal_to_the_single_child_reaches_no_other_process() {
    let [probe, record, until] = <[_; 3]>::try_from(probe_as(Order::Record(64))).unwrap();
    let script = "\"$@\" & first=$!; exec \"$@\"";
    let both = |options: &[&str]| {
        let running =
            init().words(options).words(["sh", "-c", script, "sh"]).words([&probe, &record, &until]).start();
        running.wait_for_stdout("two lines \"ready\"", |text| {
            text.matches(&Report::Ready.to_string()).count() == 2
        });
        running.signal(libc::SIGUSR1);
        running.wait_for_line(Report::Got(10));
        running
    };
    // Both members of the group receive it.
    let running = both(&[]);
    running.wait_for_stdout("two lines \"got 10\"", |text| {
        text.matches(&Report::Got(10).to_string()).count() == 2
    });
    // This signal goes to the child alone. The other process reports only its last signal.
    let mut running = both(&["-c"]);
    running.signal(SENTINEL);
    running.wait();
    for pid in running.descendants() {
        send(pid, SENTINEL);
    }
    running.wait_for_stdout("the last signal, twice", |text| {
        text.matches(&Report::Got(64).to_string()).count() == 2
    });
    assert_eq!(running.stdout().matches(&Report::Got(10).to_string()).count(), 1, "{running}");
}

#[test]
fn rewritten_signal_arrives_and_dropped_signal_does_not() {
    for mode in [&[][..], &["-c"]] {
        let options: Vec<&str> =
            mode.iter().copied().chain(["-r", "15:2", "-r15:10", "-r1:0", "-r", "12:12"]).collect();
        let running = recorder(&options);
        running.signal(libc::SIGHUP);
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Got(10));
        running.signal(libc::SIGUSR2);
        running.wait_for_line(Report::Got(12));
        assert_eq!(recorded(running), [10, 12, SENTINEL]);
    }
}

#[test]
fn signal_can_be_rewritten_to_sigkill_or_sigstop() {
    let running = init().words(["-r", "15:9"]).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(137);
}

#[test]
fn signal_is_forwarded_as_often_as_received() {
    let running = recorder(&[]);
    // Real-time signals queue; each of these is one.
    for _ in 0..200 {
        running.signal(40);
    }
    running.wait_for_stdout("all of them", |text| text.matches(&Report::Got(40).to_string()).count() == 200);
    assert_eq!(recorded(running).len(), 201);
}

#[test]
fn ignored_signal_ends_nothing() {
    for options in [&[][..], &["-c"]] {
        let script = "trap '' TERM; echo ready; while read line; do [ \"$line\" = end ] && exit 9; done";
        let (reader, mut writer) = std::io::pipe().unwrap();
        let running = init()
            .words(options)
            .words(["sh", "-c", script])
            .stdin(std::os::fd::OwnedFd::from(reader))
            .start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        std::io::Write::write_all(&mut writer, b"end\n").unwrap();
        running.outcome().expect_code(9);
    }
}

#[test]
fn command_exit_sends_sigterm_to_its_group() {
    for (options, expected) in [(&[][..], "got 15"), (&["-r", "15:10"], "got 10")] {
        let script = "\"$@\" & while read line; do exit 6; done";
        let (reader, writer) = std::io::pipe().unwrap();
        let mut running = init()
            .words(options)
            .words(["sh", "-c", script, "sh"])
            .probe(Order::Record(64))
            .stdin(std::os::fd::OwnedFd::from(reader))
            .start();
        running.wait_for_line(Report::Ready);
        std::io::Write::write_all(&mut &writer, b"end\n").unwrap();
        assert_eq!(running.wait().code(), Some(6));
        running.wait_for_line(expected);
    }
}

#[test]
fn signal_during_start_is_not_lost() {
    wanted_difference("2. Signals of the first milliseconds", Original::IsNotTried, || {
        for round in 0..200 {
            let options: &[&str] = if round % 2 == 0 { &[] } else { &["-c"] };
            let running = init().words(options).probe(Order::Hang).start();
            // A moment that nothing determines, from before the exec to after the command's start.
            for _ in 0..(round * 200) {
                std::hint::spin_loop();
            }
            running.signal(libc::SIGTERM);
            // The init dies by the signal before it can block it, or the command dies by it later.
            let code = running.outcome().code();
            assert!(code == 143 || code == -15, "round {round}: {code}");
        }
    });
}

#[test]
fn pending_real_time_signal_reaches_the_command() {
    wanted_difference("2. Signals of the first milliseconds", Original::IsNotTried, || {
        // musl unblocks 34 for its own use when a handler is set.
        for number in [34, 64] {
            for options in [&[][..], &["-c"]] {
                let start = init().condition(Condition::Pending(number)).words(options);
                let outcome = start.probe(Order::Record(number)).run();
                // The recorder dies by the signal before it can block it.
                assert!([42, 128 + number].contains(&outcome.code()), "{outcome}");
            }
        }
    });
}

//! The first line, the events and the zombies.

use std::fs;
use std::path::Path;

use super::{Report, command_of, sender, start_waiting, verdict};
use crate::shutdown::{find, in_both_settings};
use crate::support::{
    Condition, Order, Report as Line, Scratch, Start, can_have_pid_namespaces, init, init_beyond,
    init_under_test, procfs, script, send, without_pids,
};

#[test]
fn exit_of_the_command_is_its_own() {
    in_both_settings(|start| {
        let outcome = start.words(["--report", "-", "sh", "-c", "exit 7"]).run();
        let report = Report::of(outcome.expect_code(7));
        assert_eq!(report.verdict, "exited by itself; exit status 7");
        assert_eq!(report.texts(), ["sh -c exit 7 (PID N) exited with status 7"]);
        assert_eq!((report.events[0].0, report.end.len()), (0.0, 0), "{outcome}");
    });
}

#[test]
fn fault_of_the_command_is_its_own() {
    in_both_settings(|start| {
        let outcome = start.words(["--report", "-", "sh", "-c", "kill -SEGV $$"]).run();
        let report = Report::of(outcome.expect_code(139));
        assert_eq!(report.verdict, "exited by itself: killed by SIGSEGV; exit status 139");
        assert_eq!(report.texts(), ["sh -c kill -SEGV $$ (PID N) killed by SIGSEGV"]);
    });
}

#[test]
fn request_from_outside_names_the_sender() {
    in_both_settings(|start| {
        let (running, _input) = start_waiting(start.words(["--report", "-"]), "echo ready; read line");
        running.wait_for_line("ready");
        let (sender, command) = (sender(&running), command_of(&running));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(143));
        assert_eq!(report.verdict, format!("stopped on request: SIGTERM from {sender}; exit status 143"));
        let events: Vec<&str> = report.events.iter().map(|(_, event)| event.as_str()).collect();
        let forwarded = format!("SIGTERM forwarded to process group {command} (1 process)");
        let killed = format!("sh -c echo ready; read line (PID {command}) killed by SIGTERM");
        assert_eq!(events, [&forwarded, &killed], "{outcome}");
    });
}

#[test]
fn request_from_inside_names_the_process() {
    in_both_settings(|start| {
        // The sender lives until it receives the signal itself.
        let text = "sh -c \"kill -TERM $PPID; sleep 60; :\" & wait";
        let outcome = start.words(["--report", "-", "sh", "-c", text]).run();
        let expected = "stopped on request: SIGTERM from PID N (sh); exit status 143";
        assert_eq!(verdict(&outcome), expected, "{outcome}");
    });
    in_both_settings(|start| {
        let outcome = start.words(["--report", "-", "sh", "-c", "kill -INT $PPID; exec sleep 60"]).run();
        let sender = "PID N (sh -c kill -INT $PPID; exec sleep 60)";
        let expected = format!("stopped on request: SIGINT from {sender}; exit status 130");
        assert_eq!(verdict(&outcome), expected, "{outcome}");
    });
}

#[test]
fn key_is_a_request_from_the_terminal() {
    in_both_settings(|start| {
        let start = start.words(["-c", "--report", "-"]).probe(Order::Hang);
        let (running, mut terminal) = start.start_on_terminal();
        running.wait_for_line(Line::Ready);
        terminal.keys("\x03");
        let outcome = running.outcome();
        let expected = "stopped on request: SIGINT from the terminal; exit status 130";
        assert_eq!(verdict(&outcome), expected, "{outcome}");
    });
}

#[test]
fn key_to_the_command_alone_is_from_outside() {
    in_both_settings(|start| {
        let (running, mut terminal) = start.words(["--report", "-"]).probe(Order::Hang).start_on_terminal();
        running.wait_for_line(Line::Ready);
        terminal.keys("\x03");
        let outcome = running.outcome();
        let expected = "killed from outside: SIGINT; exit status 130";
        assert_eq!(verdict(&outcome), expected, "{outcome}");
    });
}

#[test]
fn rewritten_request_names_both_signals() {
    for (rewrite, number, signals, status) in [
        ("TERM:QUIT", libc::SIGTERM, "SIGQUIT (received as SIGTERM)", 131),
        ("USR1:TERM", libc::SIGUSR1, "SIGTERM (received as SIGUSR1)", 143),
        ("USR1:HUP", libc::SIGUSR1, "SIGHUP (received as SIGUSR1)", 129),
    ] {
        in_both_settings(|start| {
            let running = start.words(["--report", "-", "-r", rewrite]).probe(Order::Hang).start();
            running.wait_for_line(Line::Ready);
            let sender = sender(&running);
            // Another signal comes between.
            running.signal(libc::SIGWINCH);
            running.signal(number);
            let outcome = running.outcome();
            let expected = format!("stopped on request: {signals} from {sender}; exit status {status}");
            assert_eq!(Report::of(&outcome).verdict, expected, "{outcome}");
        });
    }
}

#[test]
fn forwarded_signal_that_kills_the_command_is_a_request() {
    in_both_settings(|start| {
        let running = start.words(["--report", "-"]).probe(Order::Hang).start();
        running.wait_for_line(Line::Ready);
        let sender = sender(&running);
        running.signal(libc::SIGHUP);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(129));
        assert_eq!(report.verdict, format!("stopped on request: SIGHUP from {sender}; exit status 129"));
        assert!(report.events[0].0 <= 0.0 && report.texts()[0].starts_with("SIGHUP forwarded"), "{outcome}");
    });
}

#[test]
fn signal_to_the_command_alone_is_from_outside() {
    in_both_settings(|start| {
        let running = start.words(["--report", "-"]).probe(Order::Hang).start();
        running.wait_for_line(Line::Ready);
        send(running.command_pid(), libc::SIGKILL);
        let outcome = running.outcome();
        let expected = "killed from outside: SIGKILL; exit status 137";
        assert_eq!(verdict(outcome.expect_code(137)), expected, "{outcome}");
    });
}

#[test]
fn command_that_ignores_sigterm_is_killed_at_the_deadline() {
    in_both_settings(|start| {
        let text = "trap '' TERM; echo ready; read line";
        let (running, _input) = start_waiting(start.words(["--report", "-", "--kill-after", "300ms"]), text);
        running.wait_for_line("ready");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(137));
        assert_eq!(report.verdict, "killed at the deadline: --kill-after 300ms; exit status 137");
        let killed = format!("sh -c {text} (PID N) killed by dumb-init: kill-after deadline (300 ms)");
        assert_eq!(report.texts()[1..], [killed], "{outcome}");
        assert!(report.events[0].0 == 0.0 && report.events[1].0 >= 0.3, "{outcome}");
    });
}

#[test]
fn drain_deadline_names_the_worker_and_keeps_the_verdict() {
    in_both_settings(|start| {
        let text = "exec 3<&0; sh -c 'trap \"\" TERM; echo worker; read line' <&3 & read line";
        let (running, _input) = start_waiting(start.words(["--report", "-", "--drain", "300ms"]), text);
        running.wait_for_line("worker");
        let (sender, command) = (sender(&running), command_of(&running));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(143));
        assert_eq!(report.verdict, format!("stopped on request: SIGTERM from {sender}; exit status 143"));
        let forwarded = format!("SIGTERM forwarded to process group {command} (2 processes)");
        let ended = format!("sh -c {text} (PID N) killed by SIGTERM");
        let killed = "sh (PID N) killed by dumb-init: drain deadline (300 ms)";
        assert_eq!(report.texts(), [&forwarded, &ended, killed], "{outcome}");
        // The drain begins when the command has exited. Times are cut after three decimals.
        assert!(report.events[2].0 - report.events[1].0 > 0.298, "{outcome}");
    });
}

#[test]
fn exit_of_a_helper_is_the_reason() {
    in_both_settings(|start| {
        let words = ["--report", "-", "--with", "sh -c 'exit 3'"];
        let outcome = start.words(words).probe(Order::Hang).run();
        let report = Report::of(outcome.expect_code(3));
        let helper = "sh -c exit 3 (PID N) exited with status 3";
        let verdict = without_pids(&report.verdict);
        assert_eq!(verdict, format!("a helper exited: {helper}; exit status 3"), "{outcome}");
        assert_eq!(report.texts()[0], helper, "{outcome}");
        assert!(report.texts()[1].starts_with("SIGTERM forwarded to process group "), "{outcome}");
    });
}

#[test]
fn exit_of_an_optional_helper_is_an_earlier_event() {
    in_both_settings(|start| {
        let start = start.words(["--report", "-", "--with", "-sh -c 'exit 4'"]);
        let running = start.probe(Order::Hang).start();
        running.wait_for_line(Line::Ready);
        procfs::wait_until("the helper is reaped", || procfs::children(running.pid()).len() == 1);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(143));
        assert!(report.verdict.starts_with("stopped on request: SIGTERM from "), "{outcome}");
        assert_eq!(report.texts()[0], "sh -c exit 4 (PID N) exited with status 4", "{outcome}");
        assert!(report.texts()[1].starts_with("SIGTERM forwarded to process group "), "{outcome}");
        assert!(report.events[0].0 <= 0.0 && report.events[1].0 == 0.0, "{outcome}");
    });
}

#[test]
fn drain_of_another_session_is_an_event() {
    in_both_settings(|start| {
        // The worker takes its time, and the command none.
        let worker = Order::Work("worker", 300);
        let text = format!("setsid probe {worker} & echo ready; exec probe {hang}", hang = Order::Hang);
        let running = start.words(["--report", "-", "--drain", "60s"]).words(script(text)).start();
        running.wait_for_line(Line::Ready.by("worker"));
        running.wait_for_line(Line::Ready);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(143));
        let texts = report.texts();
        assert!(texts[0].ends_with("(1 process)") && texts[1].ends_with("killed by SIGTERM"), "{outcome}");
        let ended = "work worker 300 (PID N) exited with status 0";
        assert_eq!(texts[2..], ["SIGTERM forwarded to 1 descendant", ended], "{outcome}");
        assert!(report.events[3].0 >= 0.3, "{outcome}");
    });
}

#[test]
fn zombies_are_counted_by_their_living_parent() {
    in_both_settings(|start| {
        // `sh` starts two children, and becomes a program that reaps none.
        let text = "sh -c 'true & true & exec probe hang' & wait";
        let running = start.words(["--report", "-"]).words(script(text)).start();
        running.wait_for_line(Line::Ready);
        let parent = find(&running, "hang");
        procfs::wait_until("there are two zombies", || procfs::zombies(parent) == 2);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let report = Report::of(outcome.expect_code(143));
        let end: Vec<String> = report.end.iter().map(|line| without_pids(line)).collect();
        assert_eq!(end, ["unreaped zombies: 2, parent hang (PID N)"], "{outcome}");
        // A zombie receives nothing.
        assert!(report.events[0].1.ends_with("(2 processes)"), "{outcome}");
    });
}

#[test]
fn names_of_other_inits_report_by_the_variable() {
    if init_beyond().is_none() {
        return;
    }
    let scratch = Scratch::new();
    for (name, not_found) in [("tini", 127), ("catatonit", 1)] {
        let link = scratch.path().join(name);
        std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
        for start in in_settings_as(&link) {
            let running = start.probe(Order::Hang).start();
            running.wait_for_line(Line::Ready);
            let sender = sender(&running);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            let expected = format!("stopped on request: SIGTERM from {sender}; exit status 143");
            assert_eq!(Report::of(&outcome).verdict, expected, "{name}\n{outcome}");
        }
        for start in in_settings_as(&link) {
            let outcome = start.word("/nonexistent").run();
            let reason = "not started: /nonexistent: No such file or directory";
            let expected = format!("{reason}; exit status {not_found}");
            assert_eq!(verdict(outcome.expect_code(not_found)), expected, "{name}\n{outcome}");
        }
    }
}

/// The init at this path as a plain process and, if possible, as PID 1, with a report on stderr.
fn in_settings_as(path: &Path) -> impl Iterator<Item = Start> {
    let start = |()| Start::program(path).variable("DUMB_INIT_REPORT", "-");
    let (plain, first) = (Some(()), can_have_pid_namespaces().then_some(()));
    plain.map(start).into_iter().chain(first.map(start).map(Start::in_namespace))
}

#[test]
fn pause_and_usage_errors_write_no_report() {
    if init_beyond().is_none() {
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.path().join("report");
    let link = scratch.path().join("catatonit");
    std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
    let running = Start::program(&link).variable("DUMB_INIT_REPORT", &file).word("-P").start();
    procfs::wait_until("it waits for signals", || procfs::waits_without_a_signal(running.pid()));
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(0).expect_stderr("");
    let refused = Condition::Refused(libc::SYS_rt_sigtimedwait, libc::ENOSYS);
    let start = Start::program(&link).variable("DUMB_INIT_REPORT", &file).condition(refused);
    start.word("-P").run().expect_code(1);
    for words in [&["--drain", "soon", "true"][..], &["--report", "relative", "true"], &[]] {
        let start = init().variable("DUMB_INIT_REPORT", &file).words(words);
        start.run().expect_code(1);
    }
    assert!(fs::metadata(&file).is_err());
}

//! Deadlines of a drain, and delayed signals.

use std::time::{Duration, Instant};

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{Order, Report, Scratch, init_beyond, patience, probe, procfs, send};

#[test]
fn kill_after_counts_from_first_signal_and_names_the_killed() {
    in_both_settings(|start| {
        let running = start.words(["--kill-after", "300ms"]).probe(Order::Work("stubborn", 999_999)).start();
        running.wait_for_line(Report::Ready.by("stubborn"));
        // SIGHUP starts no clock.
        running.signal(libc::SIGHUP);
        running.wait_for_line(Report::Got(1).by("stubborn"));
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(before.elapsed() >= Duration::from_millis(300), "{outcome}");
        assert!(
            outcome.stderr().contains("Killing PID ") && outcome.stderr().contains("work stubborn"),
            "{outcome}"
        );
    });
}

#[test]
fn kill_after_kills_processes_in_other_sessions() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & exec probe {main}",
            far = Order::Work("far", 999_999),
            main = Order::Work("main", 999_999)
        );
        let options = ["--subreaper", "--linger", "--kill-after", "1.5"];
        let running = start.words(options).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.by("main")]);
        running.signal(libc::SIGINT);
        let outcome = running.outcome();
        outcome.expect_code(137);
        for name in ["work far", "work main"] {
            assert_eq!(outcome.stderr().matches(name).count(), 1, "{outcome}");
        }
    });
}

#[test]
fn kill_after_ends_an_endless_drain() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {stubborn} & probe {quick} & wait",
            stubborn = Order::Work("stubborn", 999_999),
            quick = Order::Work("quick", 10)
        );
        let running = start.words(["--drain", "forever", "--kill-after", "2"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("stubborn"), Report::Ready.by("quick")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[(Report::Got(15).by("stubborn"), 1), (Report::Finished.by("quick"), 1)]);
        assert!(outcome.stderr().contains("work stubborn"), "{outcome}");
    });
}

#[test]
fn deadline_survives_a_suspension() {
    // The deadline passes during the suspension, or later.
    for while_stopped in [4, 0].map(Duration::from_secs) {
        let Some(start) = init_beyond() else { return };
        let start = start.own_group().words(["-v", "--kill-after", "2s"]);
        let running = start.probe(Order::Work("stubborn", 999_999)).start();
        running.wait_for_line(Report::Ready.by("stubborn"));
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Got(15).by("stubborn"));
        running.signal(libc::SIGTSTP);
        procfs::wait_for_state(running.pid(), 'T');
        // This test measures time.
        procfs::wait_until("it has been stopped for so long", || before.elapsed() >= while_stopped);
        running.signal(libc::SIGCONT);
        let continued = Instant::now();
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(before.elapsed() >= Duration::from_secs(2), "{outcome}");
        // A deadline that passed during the suspension has expired.
        if !while_stopped.is_zero() {
            assert!(continued.elapsed() < patience(Duration::from_millis(1500)), "{outcome}");
        }
    }
}

#[test]
fn delayed_signal_is_forwarded_when_due_and_others_at_once() {
    in_both_settings(|start| {
        let running = start.words(["--delay", "TERM:2s"]).probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR1);
        running.wait_for_line(Report::Got(10));
        let outcome = running.outcome();
        assert!(before.elapsed() >= Duration::from_secs(2), "{outcome}");
        outcome.expect_code(42).expect_reports(&[Report::Ready, Report::Got(10), Report::Got(15)]);
    });
}

#[test]
fn orphans_are_reaped_while_a_signal_is_delayed() {
    in_both_settings(|start| {
        let text = format!(
            "probe {orphan}; exec probe {record}",
            orphan = Order::Daemon("orphan", 0),
            record = Order::Record(15)
        );
        let running = start.words(["-v", "--subreaper", "--delay", "TERM:1h"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("orphan"), Report::Ready.to_string()]);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        let orphan = find(&running, "orphan");
        send(orphan, libc::SIGTERM);
        procfs::wait_until("the orphan is reaped", || procfs::state(orphan).is_none());
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(42);
    });
}

#[test]
fn repeated_signal_ends_its_delay() {
    in_both_settings(|start| {
        let running = start.words(["-v", "--delay", "TERM:1h"]).probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(15)]);
    });
}

#[test]
fn command_exit_ends_the_delay() {
    in_both_settings(|start| {
        let running = start.words(["-v", "--delay", "TERM:1h"]).probe(Order::Record(10)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(10)]);
    });
}

#[test]
fn command_exit_ends_the_delay_and_starts_the_drain() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & exec probe {record}",
            far = Order::Work("far", 100),
            record = Order::Record(10)
        );
        let running = start.words(["-v", "--delay", "TERM:1h", "--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.to_string()]);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGUSR1);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("far"), 1),
                (Report::Finished.by("far"), 1),
                (Report::Got(15).to_string(), 0),
            ],
        );
    });
}

#[test]
fn delay_precedes_kill_after_and_drain_follows() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & exec probe {main}",
            far = Order::Work("far", 999_999),
            main = Order::Work("main", 50)
        );
        let options = ["--delay", "TERM:300ms", "--drain", "1s", "--kill-after", "1h"];
        let running = start.words(options).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.by("main")]);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let took = before.elapsed();
        assert!(took >= Duration::from_millis(1350), "{took:?}\n{outcome}");
        outcome.expect_code(0);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("main"), 1),
                (Report::Got(15).by("far"), 1),
                (Report::Finished.by("main"), 1),
            ],
        );
        assert!(outcome.stderr().contains("work far"), "{outcome}");
    });
}

#[test]
fn delayed_stop_signal_does_not_block_command_exit() {
    let Some(start) = init_beyond() else { return };
    let running = start.own_group().words(["-v", "--delay", "TSTP:1h"]).probe(Order::Record(10)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGTSTP);
    running.wait_for_debug_line("Holding signal 20");
    running.signal(libc::SIGUSR1);
    running.outcome().expect_code(42);
}

#[test]
fn killed_process_is_named_without_control_or_format_characters() {
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let copy = scratch.executable_copy(&probe());
        // The kernel keeps 15 bytes of it.
        let odd = scratch.path().join("a\u{202e}b\u{2028}c\u{200b}d\u{9b}e");
        std::fs::rename(copy, &odd).expect("an odd name");
        let start = start.words(["--kill-after", "100ms"]).word(&odd).words(["work", "stubborn", "999999"]);
        let running = start.start();
        running.wait_for_line(Report::Ready.by("stubborn"));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(outcome.stderr().contains(r"(a\u{202e}b\u{2028}c\u{200b}d\u{9b})"), "{outcome}");
    });
}

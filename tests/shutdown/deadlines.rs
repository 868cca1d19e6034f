//! Deadlines of a drain, and delayed signals.

use std::time::{Duration, Instant};

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{Scratch, init_beyond, probe, procfs, role, send};

#[test]
fn kill_after_counts_from_first_signal_and_names_the_killed() {
    in_both_settings(|start| {
        let running =
            start.words(["--kill-after", "300ms"]).words(role(["work", "stubborn", "999999"])).start();
        running.wait_for_line("stubborn ready");
        // This one starts no clock.
        running.signal(libc::SIGHUP);
        running.wait_for_line("stubborn got 1");
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
        let text = "setsid probe work far 999999 & exec probe work main 999999";
        let options = ["--subreaper", "--linger", "--kill-after", "1.5"];
        let running = start.words(options).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "main ready"]);
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
        let text = "setsid probe work stubborn 999999 & probe work quick 10 & wait";
        let running = start.words(["--drain", "forever", "--kill-after", "2"]).words(script(text)).start();
        wait_for_lines(&running, &["stubborn ready", "quick ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[("stubborn got 15", 1), ("quick finished", 1)]);
        assert!(outcome.stderr().contains("work stubborn"), "{outcome}");
    });
}

#[test]
fn deadline_survives_a_suspension() {
    // The deadline passes during the suspension, or later.
    for while_stopped in [4, 0].map(Duration::from_secs) {
        let Some(start) = init_beyond() else { return };
        let start = start.own_group().words(["-v", "--kill-after", "2s"]);
        let running = start.words(role(["work", "stubborn", "999999"])).start();
        running.wait_for_line("stubborn ready");
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.wait_for_line("stubborn got 15");
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
            assert!(continued.elapsed() < Duration::from_millis(1500), "{outcome}");
        }
    }
}

#[test]
fn delayed_signal_is_forwarded_when_due_and_others_at_once() {
    in_both_settings(|start| {
        let running = start.words(["--delay", "TERM:2s"]).words(role(["record", "15"])).start();
        running.wait_for_line("ready");
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR1);
        running.wait_for_line("got 10");
        let outcome = running.outcome();
        assert!(before.elapsed() >= Duration::from_secs(2), "{outcome}");
        outcome.expect_code(42).expect_stdout("ready\ngot 10\ngot 15\n");
    });
}

#[test]
fn orphans_are_reaped_while_a_signal_is_delayed() {
    in_both_settings(|start| {
        let text = "probe daemon work orphan 0; exec probe record 15";
        let running = start.words(["-v", "--subreaper", "--delay", "TERM:1h"]).words(script(text)).start();
        wait_for_lines(&running, &["orphan ready", "ready"]);
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
        let running = start.words(["-v", "--delay", "TERM:1h"]).words(role(["record", "15"])).start();
        running.wait_for_line("ready");
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(42).expect_stdout("ready\ngot 15\n");
    });
}

#[test]
fn command_exit_ends_the_delay() {
    in_both_settings(|start| {
        let running = start.words(["-v", "--delay", "TERM:1h"]).words(role(["record", "10"])).start();
        running.wait_for_line("ready");
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(42).expect_stdout("ready\ngot 10\n");
    });
}

#[test]
fn command_exit_ends_the_delay_and_starts_the_drain() {
    in_both_settings(|start| {
        let text = "setsid probe work far 100 & exec probe record 10";
        let running = start.words(["-v", "--delay", "TERM:1h", "--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "ready"]);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        running.signal(libc::SIGUSR1);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(&outcome, &[("far got 15", 1), ("far finished", 1), ("got 15", 0)]);
    });
}

#[test]
fn delay_precedes_kill_after_and_drain_follows() {
    in_both_settings(|start| {
        let text = "setsid probe work far 999999 & exec probe work main 50";
        let options = ["--delay", "TERM:300ms", "--drain", "1s", "--kill-after", "1h"];
        let running = start.words(options).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "main ready"]);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let took = before.elapsed();
        assert!(took >= Duration::from_millis(1350), "{took:?}\n{outcome}");
        outcome.expect_code(0);
        expect_lines(&outcome, &[("main got 15", 1), ("far got 15", 1), ("main finished", 1)]);
        assert!(outcome.stderr().contains("work far"), "{outcome}");
    });
}

#[test]
fn delayed_stop_signal_does_not_block_command_exit() {
    let Some(start) = init_beyond() else { return };
    let running = start.own_group().words(["-v", "--delay", "TSTP:1h"]).words(role(["record", "10"])).start();
    running.wait_for_line("ready");
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
        running.wait_for_line("stubborn ready");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(outcome.stderr().contains(r"(a\u{202e}b\u{2028}c\u{200b}d\u{9b})"), "{outcome}");
    });
}

//! The last resort after a bug or exhausted memory. With the feature `deliberate-panic` the init panics on
//! signal 62, and asks for too much memory on signal 63.

use crate::pid_1::flood;
use crate::support::{
    Order, Report, Scratch, Start, can_have_pid_namespaces, init, init_under_test, probe, procfs, send,
};

#[test]
fn failed_init_forwards_signals_and_reports_the_status() {
    let panic = "[dumb-init] A bug: panic at src/supervisor/mod.rs:";
    for (number, line) in [(62, panic), (63, "[dumb-init] Out of memory. Going on without options.")] {
        for options in [&[][..], &["-c"]] {
            let start = || init().words(options).probe(Order::Record(64));
            let mut starts = vec![start()];
            if can_have_pid_namespaces() {
                starts.push(start().in_namespace());
            }
            for start in starts {
                let running = start.start();
                running.wait_for_line(Report::Ready);
                running.signal(number);
                running.wait_for_debug_line(line);
                for number in [10, 15, 40] {
                    running.signal(number);
                    running.wait_for_line(Report::Got(number));
                }
                running.signal(64);
                running.outcome().expect_code(42);
            }
        }
    }
}

#[test]
fn failed_init_reaps_orphans() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().probe(Order::ExitTogether(50, 7)).start();
    running.wait_for_line(Report::Ready);
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    let (pid, command) = (running.pid(), running.command_pid());
    procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
    running.signal(libc::SIGUSR1);
    running.outcome().expect_code(7);
}

#[test]
fn init_that_fails_among_exits_reaps_the_others() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().probe(Order::WaitingOrphans(200)).start();
    running.wait_for_line(Report::Ready);
    let (pid, command) = (running.pid(), running.command_pid());
    // It panics when it has collected the first of them.
    flood(pid, || send(command, libc::SIGUSR1), 62);
    running.wait_for_debug_line("Going on.");
    procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
}

#[test]
fn failed_pause_ends_by_sigterm() {
    if !can_have_pid_namespaces() {
        return;
    }
    let scratch = Scratch::new();
    let link = scratch.path().join("catatonit");
    std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
    let running = Start::program(&link).in_namespace().variable("CATATONIT_DEBUG", "").word("-P").start();
    procfs::wait_until("it reports a signal", || {
        running.signal(libc::SIGHUP);
        running.stderr().contains("Received signal 1.")
    });
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    running.signal(40);
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(0);
}

#[test]
fn failed_drain_waits_for_the_rest_and_reports_the_status() {
    if !can_have_pid_namespaces() {
        return;
    }
    let probe = probe().display().to_string();
    let script = format!(
        "setsid {probe} {far} & exec {probe} {record}",
        far = Order::Work("far", 1500),
        record = Order::Record(64)
    );
    for option in [&["--drain", "60s"][..], &["--linger"]] {
        let running = init().in_namespace().word("-v").words(option).words(["sh", "-c", &script]).start();
        running.wait_for_line(Report::Ready.by("far"));
        running.wait_for_line(Report::Ready);
        running.signal(64);
        running.wait_for_debug_line("exited with exit status 42.");
        running.signal(62);
        running.wait_for_debug_line("Going on.");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(outcome.stdout().ends_with("far finished\n"), "{outcome}");
    }
}

#[test]
fn failed_init_forwards_delayed_signals() {
    let running =
        init().words(["-v", "--delay", "TERM:1h", "--delay", "USR1:1h"]).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    for number in [libc::SIGTERM, libc::SIGUSR1] {
        running.signal(number);
        running.wait_for_debug_line(&format!("Holding signal {number}"));
    }
    running.signal(62);
    running.wait_for_line(Report::Got(libc::SIGTERM));
    running.wait_for_line(Report::Got(libc::SIGUSR1));
    running.signal(64);
    running.outcome().expect_code(42);
}

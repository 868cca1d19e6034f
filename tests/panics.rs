//! With the feature `deliberate-panic` the init panics on signal 62.

use crate::pid_1::flood;
use crate::support::{
    Order, Report, Scratch, Start, can_have_pid_namespaces, init, init_under_test, probe, procfs, send,
};

#[test]
fn panic_is_logged_and_ends_nothing() {
    for options in [&[][..], &["-c"]] {
        let start = || init().words(options).probe(Order::Record(64));
        let mut starts = vec![start()];
        if can_have_pid_namespaces() {
            starts.push(start().in_namespace());
        }
        for start in starts {
            let running = start.start();
            running.wait_for_line(Report::Ready);
            running.signal(62);
            running.wait_for_debug_line("[dumb-init] A bug: panic at src/panics.rs:");
            for number in [10, 15, 40] {
                running.signal(number);
                running.wait_for_line(Report::Got(number));
            }
            running.signal(64);
            let outcome = running.outcome();
            outcome.expect_code(42);
            assert!(outcome.stderr().ends_with(": signal 62. Going on.\n"), "{outcome}");
        }
    }
}

#[test]
fn exits_after_a_panic_are_reaped_and_logged() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().word("-v").probe(Order::ExitTogether(50, 7)).start();
    running.wait_for_line(Report::Ready);
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    let (pid, command) = (running.pid(), running.command_pid());
    procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
    running.signal(libc::SIGUSR1);
    let outcome = running.outcome();
    outcome.expect_code(7);
    assert!(outcome.stderr().ends_with("[dumb-init] Child exited with status 7. Goodbye.\n"), "{outcome}");
}

#[test]
fn panic_during_reaping_leaves_no_zombie() {
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
fn second_panic_aborts() {
    let running = init().probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    running.signal(62);
    running.outcome().expect_code(-libc::SIGABRT);
}

#[test]
fn panic_during_pause_ends_nothing() {
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
    running.wait_for_debug_line("Received signal 40.");
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(0);
}

#[test]
fn panic_keeps_drain_and_delayed_signal() {
    let probe = probe().display().to_string();
    let script = format!(
        "setsid {probe} {far} & exec {probe} {record}",
        far = Order::Work("far", 100),
        record = Order::Record(15)
    );
    let running =
        init().words(["-v", "--drain", "60s", "--delay", "TERM:1h"]).words(["sh", "-c", &script]).start();
    running.wait_for_line(Report::Ready.by("far"));
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGTERM);
    running.wait_for_debug_line("Holding signal 15");
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    // The second signal releases the first. The command exits, and the drain begins and ends.
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(42);
    for line in ["got 15", "far got 15", "far finished"] {
        assert_eq!(
            outcome.stdout().lines().filter(|candidate| *candidate == line).count(),
            1,
            "{line}\n{outcome}"
        );
    }

    let script = format!(
        "setsid {probe} {far} & exec {probe} {exit}",
        far = Order::Work("far", 100),
        exit = Order::Exit(7)
    );
    let running = init().words(["-v", "--linger"]).words(["sh", "-c", &script]).start();
    running.wait_for_line(Report::Ready.by("far"));
    running.wait_for_debug_line("Lingering");
    running.signal(62);
    running.wait_for_debug_line("Going on.");
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(7).expect_stdout("far ready\nfar got 15\nfar finished\n");
}

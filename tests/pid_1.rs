//! The init as PID 1 of a namespace.

use nix::unistd::Pid;

use crate::support::differences::{Original, tests_the_original, wanted_difference};
use crate::support::{
    Condition, Order, Outcome, Property, Report, Start, can_have_pid_namespaces, init, procfs, send,
};

#[test]
fn pid_1_forwards_and_reports() {
    if !can_have_pid_namespaces() {
        return;
    }
    for options in [&[][..], &["-c"]] {
        let running = init().in_namespace().words(options).probe(Order::Record(64)).start();
        running.wait_for_line(Report::Ready);
        for number in [1, 2, 3, 10, 13, 15, 28, 34, 37] {
            running.signal(number);
            running.wait_for_line(Report::Got(number));
        }
        running.signal(64);
        running.outcome().expect_code(42);
        init().in_namespace().words(options).probe(Order::Exit(7)).run().expect_code(7);
        init().in_namespace().words(options).probe(Order::Die(6)).run().expect_code(134);
        init().in_namespace().words(options).words(["/nonexistent"]).run().expect_code(2);
    }
}

#[test]
fn init_is_pid_1_and_its_command_is_not() {
    if !can_have_pid_namespaces() {
        return;
    }
    let outcome = init().in_namespace().probe(Order::Report).run();
    outcome.expect_code(5);
    assert_eq!(outcome.report(Property::Ppid), "1", "{outcome}");
    assert_eq!(outcome.report(Property::Pid), "2", "{outcome}");
    assert_eq!(outcome.report(Property::Sid), "2", "{outcome}");
}

#[test]
fn pid_1_reaps_every_orphan() {
    if !can_have_pid_namespaces() {
        return;
    }
    expect_orphans_to_be_reaped(init());
}

/// As PID 1, it has no child but the command when that has left its orphans behind.
pub(crate) fn expect_orphans_to_be_reaped(start: Start) {
    let running = start.in_namespace().probe(Order::Orphans(300)).start();
    running.wait_for_line(Report::Ready);
    let pid = running.pid();
    procfs::wait_until("the command is its only child", || procfs::children(pid).len() == 1);
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
}

#[test]
fn pid_1_continues_on_a_stop_signal() {
    // The kernel stops no PID 1 at its own request, so it must not wait for a SIGCONT.
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().word("-c").probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGTSTP);
    running.wait_for_line(Report::Got(20));
    running.signal(64);
    running.outcome().expect_code(42);
}

#[test]
fn pid_1_hands_the_terminal_to_the_command() {
    if !can_have_pid_namespaces() {
        return;
    }
    let (running, mut terminal) = init().in_namespace().probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    terminal.keys("\x03");
    running.wait_for_stdout("the key", |text| text.contains(&Report::Got(2).to_string()));
    terminal.keys("\x1c");
    running.wait_for_stdout("the key", |text| text.contains(&Report::Got(3).to_string()));
}

#[test]
fn pid_1_forwards_signals_during_a_flood_of_exits() {
    if !can_have_pid_namespaces() {
        return;
    }
    wanted_difference("14. The order of signals and deaths", Original::Fails, || {
        let running = init().in_namespace().word("-v").probe(Order::WaitingOrphans(200)).start();
        running.wait_for_line(Report::Ready);
        flood(running.pid(), || send(running.command_pid(), libc::SIGUSR1), 40);
        let outcome = running.outcome();
        outcome.expect_code(168);
        expect_to_come_amid_deaths(&outcome, 40);
    });
}

#[test]
fn refused_waitid_loses_no_exit_in_a_flood() {
    if tests_the_original() || !can_have_pid_namespaces() {
        return;
    }
    let start = init().condition(Condition::Refused(libc::SYS_waitid, libc::ENOSYS)).in_namespace();
    let running = start.word("-v").probe(Order::WaitingOrphans(200)).start();
    running.wait_for_line(Report::Ready);
    // A signal without an effect on the command, with a higher number than SIGCHLD.
    flood(running.pid(), || send(running.command_pid(), libc::SIGUSR1), libc::SIGWINCH);
    let exits = || running.stderr().matches("[dumb-init] A child with PID ").count();
    procfs::wait_until("all exits are logged", || exits() == 200);
}

/// While the init is stopped, 200 of its children end, and it gets this signal, which has a higher
/// number than SIGCHLD.
pub(crate) fn flood(init: Pid, end: impl FnOnce(), number: i32) {
    send(init, libc::SIGSTOP);
    procfs::wait_for_state(init, 'T');
    end();
    procfs::wait_until("the orphans have ended", || procfs::zombies(init) >= 200);
    send(init, number);
    send(init, libc::SIGCONT);
}

/// The signal got its turn before all of them were reaped.
#[track_caller]
pub(crate) fn expect_to_come_amid_deaths(outcome: &Outcome, number: i32) {
    let stderr = outcome.stderr();
    let (before, after) = stderr.split_once(&format!("] Received signal {number}.")).expect("the signal");
    let reaped = |text: &str| text.matches("] A child with PID ").count();
    assert!(reaped(before) < 200 && reaped(after) > 0, "{} before, {} after", reaped(before), reaped(after));
}

//! A sandbox refuses the calls by which signals are blocked and fetched, from the start or from
//! some moment on.

use std::time::Duration;

use crate::support::differences::tests_the_original;
use crate::support::{
    Condition, Order, Report, Start, can_inject_faults, init, init_beyond, init_under_test, injecting,
    is_fast, patience, procfs,
};

/// Expects that the init starts no command if a call is refused.
fn expect_no_start(refused: Condition, line: &str) {
    for options in [&[][..], &["-v"], &["-c"], &["--drain", "1s"]] {
        let Some(init) = init_beyond() else { return };
        let outcome = init.condition(refused).words(options).probe(Order::Exit(7)).run();
        outcome.expect_code(1).expect_stdout("").expect_stderr(line);
    }
    // The version needs no signal.
    init().condition(refused).word("--version").run().expect_code(0);
}

#[test]
fn start_is_refused_if_signals_cannot_be_blocked() {
    expect_no_start(
        Condition::Refused(libc::SYS_rt_sigprocmask, libc::EPERM),
        "[dumb-init] Unable to block signals (errno=1 Operation not permitted).\n",
    );
}

#[test]
fn start_is_refused_if_signals_cannot_be_waited_for() {
    let line = "[dumb-init] Unable to wait for signals (errno=38 Function not implemented). Exiting.\n";
    expect_no_start(Condition::Refused(libc::SYS_rt_sigtimedwait, libc::ENOSYS), line);
}

/// The init under strace(1), which lets system calls fail.
fn faulty(faults: &[&str], options: &[&str]) -> Start {
    let words = injecting(faults);
    Start::program(&words[0]).words(&words[1..]).word(init_under_test()).words(options)
}

#[test]
fn child_refuses_to_exec_with_signals_blocked() {
    if tests_the_original() || !can_inject_faults() {
        return;
    }
    // The first call of the init's child, or the fourth with musl, whose signal(3) makes three. The helper, which does
    // without it, and the init are one process, whose second call is the init's.
    let outcomes = [1, 4].map(|number| {
        let words = injecting(&[&format!("rt_sigprocmask:error=EPERM:when={number}")]);
        let start = Start::program(&words[0]).words(&words[1..]).word("-f").probe(Order::With);
        let start = start.words([&*Condition::Null(0).to_string(), "--"]).word(init_under_test());
        start.probe(Order::Exit(7)).run()
    });
    let outcome = outcomes.iter().find(|outcome| outcome.code() == 1).expect("a refusal");
    let line = "[dumb-init] Unable to unblock signals (errno=1 Operation not permitted). Exiting.\n";
    outcome.expect_stdout("").expect_stderr(line);
}

const BY_SIGNALFD: &str = "going on with signalfd.";
const BY_LOOKING: &str = "looking for signals every 100 ms.";

/// Expects that signals are forwarded and the exit is noticed in spite of these faults.
fn expect_fallback(faults: &[&str], options: &[&str], lines: &[&str]) {
    let running = faulty(faults, options).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    for number in [10, 15, 40] {
        crate::support::send(init_of(&running), number);
        running.wait_for_line(Report::Got(number));
    }
    // It sleeps in between.
    procfs::wait_for_state(init_of(&running), 'S');
    let used = Duration::from_millis(10) * procfs::cpu_ticks(init_of(&running)).try_into().unwrap();
    assert!(used < patience(Duration::from_millis(500)), "{running}");
    crate::support::send(init_of(&running), 64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    for line in [BY_SIGNALFD, BY_LOOKING] {
        let count = outcome.stderr().matches(line).count();
        assert_eq!(count, usize::from(lines.contains(&line)), "{line}\n{outcome}");
    }
}

/// The init gives up after failures without an error that stays, if they come at once. On a slow machine,
/// strace(1) takes longer than that.
fn failures_come_at_once() -> bool {
    is_fast()
}

/// strace(1)'s child.
fn init_of(running: &crate::support::Running) -> nix::unistd::Pid {
    running.command_pid()
}

#[test]
fn signalfd_replaces_a_later_refused_sigtimedwait() {
    if tests_the_original() || !can_inject_faults() {
        return;
    }
    let mut faults = vec!["rt_sigtimedwait:error=EPERM:when=2+", "rt_sigtimedwait:error=ENOSYS:when=4+"];
    if failures_come_at_once() {
        faults.extend(["rt_sigtimedwait:error=EAGAIN:when=2+", "rt_sigtimedwait:error=EINTR:when=4+"]);
    }
    for fault in faults {
        for options in [&[][..], &["-c"], &["-vv"], &["--delay", "40:50ms"]] {
            expect_fallback(&[fault], options, &[BY_SIGNALFD]);
        }
    }
    // Once is nothing.
    expect_fallback(&["rt_sigtimedwait:error=EINTR:when=4..8"], &[], &[]);
}

#[test]
fn pending_signals_are_polled_if_signalfd_is_refused() {
    if tests_the_original() || !can_inject_faults() {
        return;
    }
    let waiting = "rt_sigtimedwait:error=EPERM:when=2+";
    for other in ["signalfd4:error=ENOSYS", "ppoll:error=EPERM"] {
        expect_fallback(&[waiting, other], &[], &[BY_SIGNALFD, BY_LOOKING]);
    }
    if failures_come_at_once() {
        expect_fallback(&[waiting, "ppoll:error=EINTR"], &[], &[BY_SIGNALFD, BY_LOOKING]);
    }
    expect_fallback(
        &[waiting, "signalfd4:error=ENOSYS"],
        &["--delay", "40:50ms"],
        &[BY_SIGNALFD, BY_LOOKING],
    );
}

#[test]
fn command_exit_is_noticed_if_no_signal_can_be_read() {
    if tests_the_original() || !can_inject_faults() {
        return;
    }
    let faults =
        ["rt_sigtimedwait:error=EPERM:when=2+", "signalfd4:error=EPERM", "rt_sigpending:error=EPERM"];
    faulty(&faults, &[]).probe(Order::Exit(7)).run().expect_code(7);
    faulty(&faults, &["-c"]).probe(Order::Die(9)).run().expect_code(137);
}

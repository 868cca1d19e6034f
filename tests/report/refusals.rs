//! Programs that cannot be started.

use super::verdict;
use crate::shutdown::in_both_settings;
use crate::support::{Condition, Order, Scratch, init_beyond, init_under_test, is_root};

#[test]
fn program_that_cannot_be_executed_is_named() {
    in_both_settings(|start| {
        let outcome = start.words(["--report", "-", "/nonexistent/app", "-x"]).run();
        let expected = "not started: /nonexistent/app: No such file or directory; exit status 2";
        assert_eq!(verdict(outcome.expect_code(2)), expected, "{outcome}");
    });
    in_both_settings(|start| {
        let start = start.words(["--report", "-", "--with", "sleep 60", "--with", "/nonexistent/helper -y"]);
        let outcome = start.probe(Order::Exit(0)).run();
        let expected = "not started: /nonexistent/helper: No such file or directory; exit status 2";
        assert_eq!(verdict(outcome.expect_code(2)), expected, "{outcome}");
    });
}

#[test]
fn refused_fork_is_reported_with_the_program() {
    // For root there is no limit of processes.
    if !is_root() {
        return;
    }
    for (options, program) in [(&[][..], "/bin/app"), (&["--with", "/bin/helper -f"], "/bin/helper")] {
        let Some(start) = init_beyond() else { return };
        let scratch = Scratch::new();
        let start = start.program_at(&scratch.executable_copy(&init_under_test()));
        let start = start.condition(Condition::User(65534)).condition(Condition::Processes(0));
        let outcome = start.words(["--report", "-"]).words(options).words(["/bin/app", "-x"]).run();
        let reason = format!("not started: {program}: Resource temporarily unavailable; exit status 1");
        assert_eq!(verdict(outcome.expect_code(1)), reason, "{outcome}");
        assert!(outcome.stderr().starts_with("[dumb-init] Unable to fork. Exiting.\n"), "{outcome}");
    }
}

#[test]
fn refused_signal_calls_are_reported() {
    for (call, errno, text) in [
        (libc::SYS_rt_sigprocmask, libc::EPERM, "Operation not permitted"),
        (libc::SYS_rt_sigtimedwait, libc::ENOSYS, "Function not implemented"),
    ] {
        in_both_settings(|start| {
            let start = start.condition(Condition::Refused(call, errno)).words(["--report", "-"]);
            let outcome = start.words(["/bin/app", "-x"]).run();
            let expected = format!("not started: /bin/app: {text}; exit status 1");
            assert_eq!(verdict(outcome.expect_code(1)), expected, "{outcome}");
        });
    }
}

#[test]
fn refused_session_is_not_an_exit_of_the_command() {
    in_both_settings(|start| {
        let start = start.condition(Condition::Refused(libc::SYS_setsid, libc::EPERM));
        let outcome = start.words(["--report", "-", "/bin/sh", "-c", "exit 7"]).run();
        let expected = "not started: /bin/sh: Operation not permitted; exit status 1";
        assert_eq!(verdict(outcome.expect_code(1)), expected, "{outcome}");
    });
}

#[test]
fn child_without_shared_memory_reports_only_the_status() {
    in_both_settings(|start| {
        let start = start.condition(Condition::RefusedCloneVm(libc::EPERM));
        let outcome = start.words(["--report", "-", "/nonexistent"]).run();
        assert_eq!(verdict(outcome.expect_code(2)), "exited by itself; exit status 2", "{outcome}");
    });
}

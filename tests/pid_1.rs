//! As PID 1 of a namespace, which is what it is made for.

use crate::support::differences::{Original, wanted_difference};
use crate::support::{can_have_pid_namespaces, init, procfs, role, send};

#[test]
fn as_pid_1_it_forwards_and_reports_as_anywhere() {
    if !can_have_pid_namespaces() {
        return;
    }
    for options in [&[][..], &["-c"]] {
        let running = init().in_namespace().words(options).words(role(["record", "64"])).start();
        running.wait_for_line("ready");
        for number in [1, 2, 3, 10, 13, 15, 28, 34, 37] {
            running.signal(number);
            running.wait_for_line(&format!("got {number}"));
        }
        running.signal(64);
        running.outcome().expect_code(42);
        init().in_namespace().words(options).words(role(["exit", "7"])).run().expect_code(7);
        init().in_namespace().words(options).words(role(["die", "6"])).run().expect_code(134);
        init().in_namespace().words(options).words(["/nonexistent"]).run().expect_code(2);
    }
}

#[test]
fn as_pid_1_it_is_pid_1_and_its_command_is_not() {
    if !can_have_pid_namespaces() {
        return;
    }
    let outcome = init().in_namespace().words(role(["report"])).run();
    outcome.expect_code(5);
    assert_eq!(outcome.report("ppid"), "1", "{outcome}");
    assert_eq!(outcome.report("pid"), "2", "{outcome}");
    assert_eq!(outcome.report("sid"), "2", "{outcome}");
}

#[test]
fn as_pid_1_it_leaves_no_orphan_as_a_zombie() {
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().words(role(["orphans", "300"])).start();
    running.wait_for_line("ready");
    let pid = running.pid();
    procfs::wait_until("the command is its only child", || procfs::children(pid).len() == 1);
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
}

#[test]
fn as_pid_1_it_goes_on_where_a_plain_process_is_suspended() {
    // The kernel stops no PID 1 at its own request, so it must not wait for a SIGCONT.
    if !can_have_pid_namespaces() {
        return;
    }
    let running = init().in_namespace().word("-c").words(role(["record", "64"])).start();
    running.wait_for_line("ready");
    running.signal(libc::SIGTSTP);
    running.wait_for_line("got 20");
    running.signal(64);
    running.outcome().expect_code(42);
}

#[test]
fn on_a_terminal_as_pid_1_the_command_gets_it() {
    if !can_have_pid_namespaces() {
        return;
    }
    let (running, mut terminal) = init().in_namespace().words(role(["record", "64"])).start_on_terminal();
    running.wait_for_line("ready");
    terminal.keys("\x03");
    running.wait_for_stdout("the key", |text| text.contains("got 2"));
    terminal.keys("\x1c");
    running.wait_for_stdout("the key", |text| text.contains("got 3"));
}

#[test]
fn as_pid_1_a_flood_of_deaths_does_not_keep_a_signal_waiting() {
    if !can_have_pid_namespaces() {
        return;
    }
    wanted_difference("14. The order of signals and deaths", Original::Fails, || {
        let running = init().in_namespace().word("-v").words(role(["orphans-that-wait", "200"])).start();
        running.wait_for_line("ready");
        let pid = running.pid();
        // While it is stopped, all of them end, and a signal comes whose number is higher than SIGCHLD's.
        send(pid, libc::SIGSTOP);
        procfs::wait_for_state(pid, 'T');
        send(running.command_pid(), libc::SIGUSR1);
        let zombies = || procfs::children(pid).into_iter().filter(|&child| procfs::state(child) == Some('Z')).count();
        procfs::wait_until("the orphans have ended", || zombies() == 200);
        send(pid, 40);
        send(pid, libc::SIGCONT);
        let outcome = running.outcome();
        outcome.expect_code(168);
        let stderr = outcome.stderr();
        let reaped = |text: &str| text.matches("[dumb-init] A child with PID ").count();
        let (before, after) = stderr.split_once("[dumb-init] Received signal 40.").expect("signal 40");
        assert!(reaped(before) < 200 && reaped(after) > 0, "{} before, {} after", reaped(before), reaped(after));
    });
}

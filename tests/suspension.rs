//! SIGTSTP, SIGTTIN and SIGTTOU stop the command and the init.

use crate::support::{Order, Report, Running, init, procfs};

const SENTINEL: i32 = 64;

fn recorder(options: &[&str]) -> Running {
    let running = init().words(options).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    running
}

/// Sends a terminal's stop signal, waits until the init has stopped, and resumes it.
fn suspend_and_go_on(running: &Running, number: i32) {
    let command = running.command_pid();
    running.signal(number);
    procfs::wait_for_state(running.pid(), 'T');
    // A SIGCONT takes back a stop signal that has not been acted on (signal(7)).
    procfs::wait_until("the command has its signal", || procfs::waits_without_a_signal(command));
    running.signal(libc::SIGCONT);
    running.wait_for_line(Report::Got(18));
}

fn recorded(running: Running) -> Vec<i32> {
    running.signal(SENTINEL);
    let outcome = running.outcome();
    outcome.expect_code(42);
    outcome.stdout().lines().filter_map(|line| line.strip_prefix("got ")?.parse().ok()).collect()
}

#[test]
fn stop_signal_stops_the_group_and_the_init() {
    for number in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let running = recorder(&[]);
        let command = running.command_pid();
        running.signal(number);
        procfs::wait_for_state(running.pid(), 'T');
        procfs::wait_for_state(command, 'T');
        running.signal(libc::SIGCONT);
        running.wait_for_line(Report::Got(18));
        assert_eq!(recorded(running), [18, SENTINEL]);
    }
}

#[test]
fn stop_signal_reaches_the_single_child_unchanged() {
    for number in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let running = recorder(&["-c"]);
        suspend_and_go_on(&running, number);
        assert_eq!(recorded(running), [number, 18, SENTINEL]);
    }
}

#[test]
fn rewritten_stop_signal_reaches_the_group() {
    for (rewrite, got) in
        [("20:20", &[20, 18, SENTINEL][..]), ("20:15", &[15, 18, SENTINEL]), ("20:0", &[18, SENTINEL])]
    {
        for mode in [&[][..], &["-c"]] {
            let options: Vec<&str> = mode.iter().copied().chain(["-r", rewrite]).collect();
            let running = recorder(&options);
            suspend_and_go_on(&running, libc::SIGTSTP);
            assert_eq!(recorded(running), got, "{options:?}");
        }
    }
}

#[test]
fn signals_during_suspension_are_forwarded_after_resume() {
    let running = recorder(&["-c"]);
    running.signal(libc::SIGTSTP);
    procfs::wait_for_state(running.pid(), 'T');
    running.wait_for_line(Report::Got(20));
    running.signal(libc::SIGUSR1);
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGCONT);
    running.wait_for_line(Report::Got(18));
    let mut got = recorded(running);
    got.sort_unstable();
    assert_eq!(got, [1, 10, 18, 20, SENTINEL]);
}

#[test]
fn exit_during_suspension_is_reported_after_resume() {
    let mut running = recorder(&["-r", "20:15", "-c"]);
    running.signal(libc::SIGTSTP);
    procfs::wait_for_state(running.pid(), 'T');
    crate::support::send(running.command_pid(), libc::SIGKILL);
    running.signal(libc::SIGCONT);
    assert_eq!(running.wait().code(), Some(137));
}

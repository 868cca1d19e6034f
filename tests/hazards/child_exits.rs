//! Rows about processes that end or stop.

use super::{Case, Setting};
use crate::support::{procfs, role, send};

pub fn ignored_sigchld_hides_no_exit(case: Case) {
    case.start().condition("ignored=17").words(role(["exit", "7"])).run().expect_code(7);
}

pub fn simultaneous_exits_are_all_reaped(case: Case) {
    for _ in 0..3 {
        let running = case.start().words(role(["crowd", "200", "7"])).start();
        running.wait_for_line("ready");
        let pid = running.pid();
        let command = running.command_pid();
        if case.setting == Setting::Pid1 {
            procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
        }
        // Two hundred children end together with the command.
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(7);
    }
}

pub fn traced_child_resumes(case: Case) {
    // On with what it was about to do: nothing, for a stop that is meant for the tracer; dying of SIGTERM.
    case.start().words(role(["trapped", "19"])).run().expect_code(7).expect_stdout("goes on\n");
    case.start().words(role(["trapped", "15"])).run().expect_code(143).expect_stdout("");
}

pub fn inherited_child_is_not_mistaken_for_the_command(case: Case) {
    let running = case.start().condition("zombie=9").words(role(["record", "64"])).start();
    running.wait_for_line("ready");
    let pid = running.pid();
    // Whenever it is reaped: with the next that ends, at the latest.
    running.signal(libc::SIGUSR1);
    running.wait_for_line("got 10");
    assert!(procfs::state(pid).is_some_and(|state| state != 'Z'), "{running}");
    running.signal(64);
    running.outcome().expect_code(42);
}

pub fn thousand_orphans_are_reaped_and_no_signal_is_lost(case: Case) {
    if case.setting == Setting::Pid1 {
        let running = case.start().words(role(["orphans-that-wait", "1000"])).start();
        running.wait_for_line("ready");
        let (pid, command) = (running.pid(), running.command_pid());
        procfs::wait_until("all are adopted", || procfs::children(pid).len() == 1001);
        send(command, libc::SIGUSR1);
        procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(143);
    }
    let running = case.start().words(role(["record", "64"])).start();
    running.wait_for_line("ready");
    // Real-time signals queue.
    for round in 1..=2 {
        for number in (34..=63).cycle().take(500) {
            running.signal(number);
        }
        running.wait_for_stdout("all of them", |text| text.lines().count() == 1 + round * 500);
    }
    running.signal(64);
    running.outcome().expect_code(42);
}

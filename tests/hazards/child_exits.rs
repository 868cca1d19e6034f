//! Rows about processes that end or stop.

use super::{Case, Setting};
use crate::support::{Condition, Order, Report, procfs, send};

pub fn ignored_sigchld_hides_no_exit(case: Case) {
    case.start().condition(Condition::Ignored(17)).probe(Order::Exit(7)).run().expect_code(7);
}

pub fn simultaneous_exits_are_all_reaped(case: Case) {
    for _ in 0..3 {
        let running = case.start().probe(Order::ExitTogether(200, 7)).start();
        running.wait_for_line(Report::Ready);
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
    // It resumes: SIGSTOP is meant for the tracer and has no effect; SIGTERM kills it.
    case.start().probe(Order::StopTraced(19)).run().expect_code(7).expect_reports(&[Report::Resumed]);
    case.start().probe(Order::StopTraced(15)).run().expect_code(143).expect_stdout("");
}

pub fn inherited_child_is_not_mistaken_for_the_command(case: Case) {
    let running = case.start().condition(Condition::Zombie(9)).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    let pid = running.pid();
    // Whenever it is reaped: with the next that ends, at the latest.
    running.signal(libc::SIGUSR1);
    running.wait_for_line(Report::Got(10));
    assert!(procfs::state(pid).is_some_and(|state| state != 'Z'), "{running}");
    running.signal(64);
    running.outcome().expect_code(42);
}

pub fn thousand_orphans_are_reaped_and_no_signal_is_lost(case: Case) {
    if case.setting == Setting::Pid1 {
        let running = case.start().probe(Order::WaitingOrphans(1000)).start();
        running.wait_for_line(Report::Ready);
        let (pid, command) = (running.pid(), running.command_pid());
        procfs::wait_until("all are adopted", || procfs::children(pid).len() == 1001);
        send(command, libc::SIGUSR1);
        procfs::wait_until("the command is its only child", || procfs::children(pid) == [command]);
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(143);
    }
    let running = case.start().probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
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

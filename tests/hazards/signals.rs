//! Rows about signals on their way to the command.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use super::{Case, Init, Setting};
use crate::support::trace::Traced;
use crate::support::{Condition, Order, Report, is_root, procfs, send, without_pids};

pub fn signal_before_exec_is_not_lost(case: Case) {
    // It is pending before the init is executed.
    for _ in 0..3 {
        let outcome = case.start().condition(Condition::Pending(15)).probe(Order::Record(15)).run();
        // By default, or once the recorder has it blocked, which it may be from the beginning: some
        // inits leave the command the mask that they were started with.
        assert!([143, 42].contains(&outcome.code()), "{outcome}");
    }
}

pub fn signal_refused_with_eperm_is_logged_and_ends_nothing(case: Case) {
    if !is_root() {
        return;
    }
    let running = case.start().condition(Condition::WithoutCapKill).probe(Order::RecordAs(65534, 64)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGUSR1);
    running.wait_for_debug_line("10");
    // The test has CAP_KILL.
    send(running.command_pid(), 64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    if case.init == Init::UnderTest {
        let told = "[dumb-init] Unable to forward signal 10 to PID N (errno=1 Operation not permitted).\n";
        assert_eq!(without_pids(&outcome.stderr()), told, "{outcome}");
    }
}

pub fn group_member_refused_with_eperm_is_logged(case: Case) {
    if !is_root() {
        return;
    }
    let script = "\"$0\" record-as 65534 64 & exec \"$0\" record 64";
    let running = case
        .start()
        .condition(Condition::WithoutCapKill)
        .words(["sh", "-c", script])
        .word(crate::support::probe())
        .start();
    running
        .wait_for_stdout("two lines \"ready\"", |text| text.matches(&Report::Ready.to_string()).count() == 2);
    running.signal(libc::SIGTERM);
    running.wait_for_line(Report::Got(15));
    // kill(2) succeeds, although only one of the two members has received it.
    let member = *procfs::children(running.command_pid()).first().expect("a member");
    let pids = procfs::status_field(member, "NSpid").expect("its PIDs");
    let pid = pids.split_whitespace().last().expect("its PID in the namespace").to_owned();
    running.wait_for_debug_line(&format!("signal 15 to PID {pid} "));
    send(running.command_pid(), 64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    assert_eq!(outcome.stderr().lines().count(), 1, "{outcome}");
}

pub fn stopped_command_exits_on_a_termination_signal(case: Case) {
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        let running = case.start().probe(Order::Hang).start();
        running.wait_for_line(Report::Ready);
        let command = running.command_pid();
        send(command, libc::SIGSTOP);
        procfs::wait_for_state(command, 'T');
        running.signal(number);
        running.outcome().expect_code(128 + number);
    }
}

pub fn real_time_signals_are_forwarded_and_reported(case: Case) {
    let running = case.start().probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    for number in 34..=64 {
        running.signal(number);
        running.wait_for_line(Report::Got(number));
    }
    running.outcome().expect_code(42);
    for number in [34, 37, 64] {
        case.start().probe(Order::Die(number)).run().expect_code(128 + number);
    }
}

pub fn pid_of_a_reaped_process_is_never_signalled(case: Case) {
    the_leader_ends(case, "\"$@\" & while read line; do exit 6; done", Before::Nobody);
    // The SIGCHLD of an orphan comes first, together with the leader's exit.
    if case.setting == Setting::Pid1 {
        the_leader_ends(case, "\"$@\" & (sleep 1000 &) ; while read line; do exit 6; done", Before::AnOrphan);
    }
}

/// Process that exits before the leader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nobody,
    AnOrphan,
}

fn the_leader_ends(case: Case, script: &str, before: Before) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let running = case
        .start()
        .words(["sh", "-c", script, "sh"])
        .probe(Order::Record(64))
        .stdin(File::from(OwnedFd::from(reader)))
        .start();
    running.wait_for_line(Report::Ready);
    let command = running.command_pid();
    let pids = procfs::status_field(command, "NSpid").expect("its PIDs");
    let number: i32 = pids.split_whitespace().last().expect("a PID").parse().expect("a number");

    // While the init is held, the command ends, and signals come.
    let children = || procfs::children(running.pid());
    procfs::wait_until("orphans are adopted", || {
        children().len() == 1 + usize::from(before == Before::AnOrphan)
    });
    let init = Traced::hold(running.pid()).expect("ptrace(2)");
    for orphan in children().into_iter().filter(|&child| child != command) {
        send(orphan, libc::SIGKILL);
        procfs::wait_for_state(orphan, 'Z');
    }
    writer.write_all(b"end\n").expect("the shell reads");
    procfs::wait_for_state(command, 'Z');
    // There is no SIGTERM beside an orphan, since the test looks for the SIGTERM that the init
    // sends at the end.
    let signals: &[i32] =
        if before == Before::AnOrphan { &[libc::SIGUSR1, 40] } else { &[libc::SIGUSR1, libc::SIGTERM, 40] };
    for &signal in signals {
        running.signal(signal);
    }
    let mut reaped = false;
    let mut too_late = Vec::new();
    let mut rest_is_asked = false;
    for (call, result) in init.calls_until_its_end() {
        rest_is_asked |= match call.number {
            libc::SYS_kill => call.int(0) == -number && call.int(1) == libc::SIGTERM,
            // The group of the process that the pidfd stands for, PIDFD_SIGNAL_PROCESS_GROUP.
            libc::SYS_pidfd_send_signal => result == 0 && call.int(1) == libc::SIGTERM && call.int(3) == 4,
            _ => false,
        };
        match call.number {
            libc::SYS_wait4 => reaped |= result == i64::from(number),
            libc::SYS_waitid => reaped |= result == 0 && call.int(3) & libc::WNOWAIT == 0,
            libc::SYS_kill if reaped && call.int(0).abs() == number => too_late.push(call.int(1)),
            _ => {}
        }
    }
    assert!(reaped, "{running}");
    assert!(rest_is_asked || case.init != Init::UnderTest, "{running}");
    assert!(
        too_late.is_empty(),
        "signals {too_late:?} were sent to a number that may be another's\n{running}"
    );
    running.outcome().expect_code(6);
}

//! Rows about the controlling terminal.

use super::Case;
use crate::support::{Condition, Order, Property, Report, procfs};

pub fn key_on_a_shared_terminal_reaches_command_once(case: Case) {
    // Two pending signals of the same number become one, so a second signal shows only sometimes.
    for _ in 0..10 {
        let (running, mut terminal) = case.start().probe(Order::Record(64)).start_on_terminal();
        running.wait_for_line(Report::Ready);
        terminal.keys("\x03");
        running.wait_for_line(Report::Got(2));
        // This signal has a higher number, so the key's signal is forwarded first.
        running.signal(64);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert_eq!(outcome.stdout().matches(&Report::Got(2).to_string()).count(), 1, "{outcome}");
    }
}

pub fn genuine_hangup_after_hand_off_reaches_command(case: Case) {
    // Not in the foreground, so the hand-off's own signals go to another group.
    let (running, _terminal) =
        case.start().condition(Condition::Background).probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGHUP);
    running.wait_for_line(Report::Got(1));
    running.signal(64);
    running.outcome().expect_code(42);
}

pub fn command_gets_the_terminal_with_redirected_stdin(case: Case) {
    let (running, _terminal) =
        case.start().condition(Condition::Null(0)).probe(Order::Report).start_on_terminal();
    let outcome = running.outcome();
    assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
}

pub fn init_output_with_tostop_never_stops_the_init(case: Case) {
    for _ in 0..3 {
        let (running, _terminal) = case
            .start_verbose()
            .condition(Condition::StderrAsStdout)
            .condition(Condition::Tostop)
            .probe(Order::Record(64))
            .start_on_terminal();
        running.wait_for_stdout("the command", |text| text.contains(&Report::Ready.to_string()));
        // The command has the foreground by now, and the init something to say.
        running.signal(libc::SIGUSR1);
        running.wait_for_stdout("the signal", |text| text.contains(&Report::Got(10).to_string()));
        assert_ne!(procfs::state(running.pid()), Some('T'), "{running}");
        running.signal(64);
        running.outcome().expect_code(42);
    }
}

//! On a terminal.

use super::{Names, PEERS, Peer};
use crate::support::{Condition, Order, Property, Report};
use crate::terminals::type_before_the_exec;

#[test]
fn foreground_command_receives_each_key_once() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let (running, mut terminal) =
            names.init(peer.name()).words(["-g", "--"]).probe(Order::Record(64)).start_on_terminal();
        running.wait_for_line(Report::Ready);
        for (key, line) in [("\x03", "got 2"), ("\x1c", "got 3"), ("\x1a", "got 20")] {
            terminal.keys(key);
            running.wait_for_stdout(line, |text| text.contains(line));
        }
        running.signal(64);
        let outcome = running.outcome();
        outcome.expect_code(42);
        for line in ["got 2\r", "got 3\r", "got 20\r"] {
            assert_eq!(outcome.stdout().matches(line).count(), 1, "{line:?} {outcome}");
        }
    }
}

#[test]
fn key_before_exec_reaches_the_command() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        type_before_the_exec("\x03", || names.init(peer.name()).word("--")).expect_code(130);
    }
}

#[test]
fn command_keeps_session_and_terminal() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let (running, _terminal) =
            names.init(peer.name()).word("--").probe(Order::Report).start_on_terminal();
        let outcome = running.outcome();
        outcome.expect_code(5);
        assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
        assert_eq!(outcome.report(Property::Foreground), "true", "{outcome}");
        assert_ne!(outcome.report(Property::Sid), outcome.report(Property::Pid), "{outcome}");
    }
}

#[test]
fn redirected_stdin_hides_the_terminal_from_tini_only() {
    let Some(names) = Names::new() else { return };
    for peer in PEERS {
        let (running, _terminal) = names
            .init(peer.name())
            .condition(Condition::Null(0))
            .word("--")
            .probe(Order::Record(64))
            .start_on_terminal();
        running.wait_for_line(Report::Ready);
        let field = |index: usize| {
            let text =
                std::fs::read_to_string(format!("/proc/{}/stat", running.command_pid())).expect("stat");
            text.rsplit(") ")
                .next()
                .and_then(|rest| rest.split(' ').nth(index))
                .map(str::to_owned)
                .expect("a field")
        };
        // Its group, and the terminal's foreground group (proc_pid_stat(5)).
        assert_eq!(field(2) == field(5), peer == Peer::Catatonit, "{}", peer.name());
        running.signal(64);
        running.outcome().expect_code(42);
    }
}

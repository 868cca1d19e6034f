//! Rows about the controlling terminal.

use super::Case;
use crate::support::{procfs, role};

pub fn key_on_a_shared_terminal_reaches_command_once(case: Case) {
    // Two pending signals of the same number become one, so a second signal shows only sometimes.
    for _ in 0..10 {
        let (running, mut terminal) = case.start().words(role(["record", "64"])).start_on_terminal();
        running.wait_for_line("ready");
        terminal.keys("\x03");
        running.wait_for_line("got 2");
        // What the init forwards for the key comes before this one, whose number is higher.
        running.signal(64);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert_eq!(outcome.stdout().matches("got 2").count(), 1, "{outcome}");
    }
}

pub fn genuine_hangup_after_hand_off_reaches_command(case: Case) {
    // Not in the foreground, so the hand-off's own signals go to another group.
    let (running, _terminal) =
        case.start().condition("background").words(role(["record", "64"])).start_on_terminal();
    running.wait_for_line("ready");
    running.signal(libc::SIGHUP);
    running.wait_for_line("got 1");
    running.signal(64);
    running.outcome().expect_code(42);
}

pub fn command_gets_the_terminal_with_redirected_stdin(case: Case) {
    let (running, _terminal) = case.start().condition("null=0").words(role(["report"])).start_on_terminal();
    let outcome = running.outcome();
    assert_eq!(outcome.report("terminal"), "true", "{outcome}");
}

pub fn init_output_with_tostop_never_stops_the_init(case: Case) {
    for _ in 0..3 {
        let (running, _terminal) = case
            .start_verbose()
            .condition("stderr-as-stdout")
            .condition("tostop")
            .words(role(["record", "64"]))
            .start_on_terminal();
        running.wait_for_stdout("the command", |text| text.contains("ready"));
        // The command has the foreground by now, and the init something to say.
        running.signal(libc::SIGUSR1);
        running.wait_for_stdout("the signal", |text| text.contains("got 10"));
        assert_ne!(procfs::state(running.pid()), Some('T'), "{running}");
        running.signal(64);
        running.outcome().expect_code(42);
    }
}

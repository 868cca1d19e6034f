//! `--exit-map` with a condition.

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{Order, Report, send};

/// The way in which a test ends the command.
#[derive(Clone, Copy, Debug)]
enum End {
    /// A signal to the init.
    Forwarded(i32),
    /// A signal to the command.
    Direct(i32),
    /// A signal to the init that is not forwarded before the command receives the other one.
    Held(i32, i32),
}

use End::{Direct, Forwarded, Held};

#[test]
fn asked_rule_applies_after_a_forwarded_request_only() {
    for (options, order, end, code) in [
        (&["--exit-map", "asked:143"][..], Order::Hang, Forwarded(15), 0),
        (&["--exit-map", "asked:143"], Order::Hang, Direct(15), 143),
        (&["--exit-map", "asked:130:7"], Order::Hang, Forwarded(2), 7),
        (&["--exit-map", "asked:131"], Order::Hang, Forwarded(3), 0),
        // SIGHUP is no request.
        (&["--exit-map", "asked:129"], Order::Hang, Forwarded(1), 129),
        (&["--exit-map", "asked:42:143"], Order::Record(15), Forwarded(15), 143),
        (&["--exit-map", "asked:42:143"], Order::Record(15), Direct(15), 42),
        // The last rule that matches counts.
        (&["--exit-map", "143:1,asked:143:2"], Order::Hang, Forwarded(15), 2),
        (&["--exit-map", "143:1,asked:143:2"], Order::Hang, Direct(15), 1),
        (&["--exit-map", "asked:143:2,143:1"], Order::Hang, Forwarded(15), 1),
        (&["--exit-map", "asked:143:2", "--exit-map", "143:1"], Order::Hang, Forwarded(15), 1),
        (&["--exit-map", "asked:143:9,deadline:143:1"], Order::Hang, Forwarded(15), 9),
        // A rewrite to a request is one, and a dropped signal is none.
        (&["--exit-map", "asked:143", "-r", "USR2:TERM"], Order::Hang, Forwarded(12), 0),
        (&["--exit-map", "asked:140", "-r", "TERM:USR2"], Order::Hang, Forwarded(15), 0),
        (&["--exit-map", "asked:143", "-r", "TERM:0"], Order::Hang, Held(15, 15), 143),
        // Not forwarded yet.
        (&["--exit-map", "asked:143", "--delay", "TERM:1h"], Order::Hang, Held(15, 15), 143),
        (&["--exit-map", "asked:143", "--delay", "TERM:1ms"], Order::Hang, Forwarded(15), 0),
        (&["--exit-map", "asked:143", "--drain", "60s"], Order::Hang, Forwarded(15), 0),
        (&["--exit-map", "asked:143", "-c"], Order::Hang, Forwarded(15), 0),
    ] {
        in_both_settings(|start| {
            let running = start.words(options).variable("DUMB_INIT_DEBUG", "1").probe(order).start();
            running.wait_for_line(Report::Ready);
            let command = running.command_pid();
            match end {
                Forwarded(signum) => running.signal(signum),
                Direct(signum) => send(command, signum),
                Held(received, signum) => {
                    running.signal(received);
                    running.wait_for_debug_line(&format!("Received signal {received}."));
                    send(command, signum);
                }
            }
            let outcome = running.outcome();
            assert_eq!(outcome.code(), code, "{options:?} {end:?}\n{outcome}");
        });
    }
}

#[test]
fn deadline_rule_applies_after_our_own_sigkill_only() {
    let rule = "deadline:137:124";
    for (options, end, code) in [
        (&["--kill-after", "200ms"][..], Forwarded(15), 124),
        (&["--linger", "--drain", "200ms"], Forwarded(15), 124),
        (&["--kill-after", "1h"], Direct(9), 137),
        (&["--linger", "--drain", "1h"], Direct(9), 137),
        // Another rule for the same status.
        (&["--kill-after", "200ms", "--exit-map", "137:1"], Forwarded(15), 1),
        (&["--kill-after", "200ms", "--exit-map", "asked:137:2"], Forwarded(2), 2),
    ] {
        in_both_settings(|start| {
            let start = start.words(["--exit-map", rule]).words(options);
            let running = start.probe(Order::Work("stubborn", 999_999)).start();
            running.wait_for_line(Report::Ready.by("stubborn"));
            match end {
                Forwarded(signum) => running.signal(signum),
                Direct(signum) | Held(_, signum) => send(running.command_pid(), signum),
            }
            let outcome = running.outcome();
            assert_eq!(outcome.code(), code, "{options:?} {end:?}\n{outcome}");
        });
    }
}

#[test]
fn deadline_of_other_processes_is_none_of_the_command() {
    in_both_settings(|start| {
        let text = "setsid probe work stubborn 999999 & exec probe record 15";
        let options = ["--drain", "2s", "--exit-map", "deadline:42:1,deadline:137:2"];
        let running = start.words(options).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("stubborn"), Report::Ready.to_string()]);
        send(find(&running, "15"), libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(outcome.stderr().contains("work stubborn"), "{outcome}");
        expect_lines(&outcome, &[(Report::Got(15).by("stubborn"), 1)]);
    });
}

#[test]
fn condition_of_the_variable_applies() {
    in_both_settings(|start| {
        let start = start.variable("DUMB_INIT_EXIT_MAP", "asked:143,130:0").probe(Order::Hang);
        let running = start.start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(0);
    });
}

//! `--linger`: the init outlives the command.

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::procfs::{state, wait_until};
use crate::support::{init_beyond, role, send, skip};

#[test]
fn linger_waits_for_the_last_daemon() {
    in_both_settings(|start| {
        let text = "setsid probe work daemon 200 & exit 6";
        let running = start.words(["-v", "--linger"]).words(script(text)).start();
        running.wait_for_line("daemon ready");
        running.wait_for_debug_line("Lingering");
        // Nobody sends a SIGTERM but we.
        running.signal(libc::SIGUSR1);
        running.wait_for_line("daemon got 10");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(6).expect_stdout("daemon ready\ndaemon got 10\ndaemon got 15\ndaemon finished\n");
    });
}

#[test]
fn linger_forwards_to_other_sessions() {
    in_both_settings(|start| {
        let text = "setsid probe work daemon 10 & probe work main 10";
        let running = start.words(["-c", "--linger"]).words(script(text)).start();
        wait_for_lines(&running, &["daemon ready", "main ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let each = ["daemon got 15", "main got 15", "daemon finished", "main finished"];
        expect_lines(&outcome, &each.map(|line| (line, 1)));
    });
}

#[test]
fn linger_waits_for_a_program_that_reexecutes_itself() {
    in_both_settings(|start| {
        // Each generation ends when it has started the next one.
        let text = "probe daemon work first 10; exit 0";
        let running = start.words(["--linger", "--exit-map", "0:9"]).words(script(text)).start();
        running.wait_for_line("first ready");
        send(find(&running, "first"), libc::SIGTERM);
        running.outcome().expect_code(9).expect_stdout("first ready\nfirst got 15\nfirst finished\n");
    });
}

#[test]
fn linger_drain_begins_at_the_signal_and_kills_at_deadline() {
    for signum in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        in_both_settings(|start| {
            let text = "setsid probe work daemon 999999 & setsid probe work other 50 & exit 6";
            let running = start.words(["-v", "--linger", "--drain", "2s"]).words(script(text)).start();
            wait_for_lines(&running, &["daemon ready", "other ready"]);
            running.wait_for_debug_line("Lingering");
            running.signal(signum);
            let outcome = running.outcome();
            outcome.expect_code(6);
            expect_lines(&outcome, &[("daemon got 15", 1), ("other got 15", 1), ("other finished", 1)]);
            let killed = outcome.stderr().lines().filter(|line| line.contains("Killing PID")).count();
            assert!(killed == 1 && outcome.stderr().contains("work daemon"), "{outcome}");
        });
    }
}

#[test]
fn linger_drain_begins_while_the_command_runs() {
    in_both_settings(|start| {
        let text = "setsid probe work daemon 50 & exec probe work main 100";
        let running = start.words(["--linger", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &["daemon ready", "main ready"]);
        running.signal(libc::SIGINT);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["daemon", "main"] {
            let (int, term) = (format!("{name} got 2"), format!("{name} got 15"));
            expect_lines(&outcome, &[(&int, 1), (&term, 1), (&format!("{name} finished"), 1)]);
        }
    });
}

#[test]
fn linger_does_not_wake_up_without_a_deadline() {
    in_both_settings(|start| {
        let options = ["--drain", "10s", "--kill-after", "10s", "--delay", "HUP:1s", "--linger"];
        let running = start.words(options).words(role(["record", "64"])).start();
        running.wait_for_line("ready");
        wait_until("it sleeps", || state(running.pid()) == Some('S'));
        // rt_sigtimedwait without a timeout, which is its third argument.
        match std::fs::read_to_string(format!("/proc/{}/syscall", running.pid())) {
            Ok(call) => {
                let words: Vec<&str> = call.split_whitespace().collect();
                assert_eq!(
                    (words[0], words[3]),
                    (libc::SYS_rt_sigtimedwait.to_string().as_str(), "0x0"),
                    "{call}"
                );
            }
            Err(error) => drop(skip(&format!("/proc/PID/syscall can't be read: {error}"))),
        }
        running.signal(64);
        running.outcome().expect_code(42);
    });
}

#[test]
fn linger_key_reaches_each_group_once() {
    let Some(start) = init_beyond() else { return };
    // Not on the terminal: a key throws away what that hasn't shown yet (termios(3), NOFLSH).
    let text = "exec >&2; setsid probe record 64 & exec probe record 64";
    let (running, mut terminal) = start.words(["-c", "--linger"]).words(script(text)).start_on_terminal();
    let lines =
        |text: &str, line: &str| text.lines().filter(|candidate| candidate.trim_end() == line).count();
    wait_until("two are ready", || lines(&running.stderr(), "ready") == 2);
    terminal.keys("\x03");
    wait_until("each has got the key", || lines(&running.stderr(), "got 2") == 2);
    running.signal(64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    assert_eq!(lines(&outcome.stderr(), "got 2"), 2, "{outcome}");
    assert_eq!(lines(&outcome.stderr(), "got 64"), 2, "{outcome}");
}

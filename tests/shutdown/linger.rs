//! What if the end of the command isn't the end?

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::procfs::{state, wait_until};
use crate::support::{init_beyond, role, send, skip};

#[test]
fn it_stays_until_the_last_daemon_has_ended() {
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
fn it_forwards_to_those_in_other_sessions_too() {
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
fn a_program_that_executes_itself_anew_by_forking_is_waited_for() {
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
fn a_drain_begins_with_the_signal_and_kills_at_its_end() {
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
fn a_drain_begins_while_the_command_runs_too() {
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
fn nobody_wakes_up_while_no_deadline_is_set() {
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
fn lingering_init_forwards_key_to_processes_in_other_groups() {
    let Some(start) = init_beyond() else { return };
    // On stderr, since a key discards output that the terminal has not shown yet (termios(3), NOFLSH).
    let text = "exec >&2; setsid probe work far 50 & exec probe work near 50";
    let (running, mut terminal) = start.words(["-c", "--linger"]).words(script(text)).start_on_terminal();
    let has = |line: &str| running.stderr().lines().any(|other| other.trim_end() == line);
    wait_until("both are ready", || has("far ready") && has("near ready"));
    terminal.keys("\x03");
    wait_until("both have received the key", || has("far got 2") && has("near got 2"));
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(0);
}

//! `--linger`: the init outlives the command.

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::procfs::{state, wait_until};
use crate::support::{Order, Report, init_beyond, send, skip};

#[test]
fn linger_waits_for_the_last_daemon() {
    in_both_settings(|start| {
        let text = format!("setsid probe {daemon} & exit 6", daemon = Order::Work("daemon", 200));
        let running = start.words(["-v", "--linger"]).words(script(text)).start();
        running.wait_for_line(Report::Ready.by("daemon"));
        running.wait_for_debug_line("Lingering");
        // Nobody sends a SIGTERM but we.
        running.signal(libc::SIGUSR1);
        running.wait_for_line(Report::Got(10).by("daemon"));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(6).expect_stdout("daemon ready\ndaemon got 10\ndaemon got 15\ndaemon finished\n");
    });
}

#[test]
fn linger_forwards_to_other_sessions() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {daemon} & probe {main}",
            daemon = Order::Work("daemon", 10),
            main = Order::Work("main", 10)
        );
        let running = start.words(["-c", "--linger"]).words(script(text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("daemon".to_owned()), Report::Ready.by("main".to_owned())],
        );
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
        let text = format!("probe {first}; exit 0", first = Order::Daemon("first", 10));
        let running = start.words(["--linger", "--exit-map", "0:9"]).words(script(text)).start();
        running.wait_for_line(Report::Ready.by("first"));
        send(find(&running, "first"), libc::SIGTERM);
        running.outcome().expect_code(9).expect_stdout("first ready\nfirst got 15\nfirst finished\n");
    });
}

#[test]
fn linger_drain_begins_at_the_signal_and_kills_at_deadline() {
    for signum in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        in_both_settings(|start| {
            let text = format!(
                "setsid probe {daemon} & setsid probe {other} & exit 6",
                daemon = Order::Work("daemon", 999_999),
                other = Order::Work("other", 50)
            );
            let running = start.words(["-v", "--linger", "--drain", "2s"]).words(script(text)).start();
            wait_for_lines(
                &running,
                &[Report::Ready.by("daemon".to_owned()), Report::Ready.by("other".to_owned())],
            );
            running.wait_for_debug_line("Lingering");
            running.signal(signum);
            let outcome = running.outcome();
            outcome.expect_code(6);
            expect_lines(
                &outcome,
                &[
                    (Report::Got(15).by("daemon"), 1),
                    (Report::Got(15).by("other"), 1),
                    (Report::Finished.by("other"), 1),
                ],
            );
            let killed = outcome.stderr().lines().filter(|line| line.contains("Killing PID")).count();
            assert!(killed == 1 && outcome.stderr().contains("work daemon"), "{outcome}");
        });
    }
}

#[test]
fn linger_drain_begins_while_the_command_runs() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {daemon} & exec probe {main}",
            daemon = Order::Work("daemon", 50),
            main = Order::Work("main", 100)
        );
        let running = start.words(["--linger", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("daemon".to_owned()), Report::Ready.by("main".to_owned())],
        );
        running.signal(libc::SIGINT);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["daemon", "main"] {
            expect_lines(&outcome, &[2, 15].map(|signum| (Report::Got(signum).by(name), 1)));
            expect_lines(&outcome, &[(Report::Finished.by(name), 1)]);
        }
    });
}

#[test]
fn linger_does_not_wake_up_without_a_deadline() {
    in_both_settings(|start| {
        let options = ["--drain", "10s", "--kill-after", "10s", "--delay", "HUP:1s", "--linger"];
        let running = start.words(options).probe(Order::Record(64)).start();
        running.wait_for_line(Report::Ready);
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
    let text = format!(
        "exec >&2; setsid probe {far} & exec probe {near}",
        far = Order::Work("far", 50),
        near = Order::Work("near", 50)
    );
    let (running, mut terminal) = start.words(["-c", "--linger"]).words(script(text)).start_on_terminal();
    let has = |line: &str| running.stderr().lines().any(|other| other.trim_end() == line);
    wait_until("both are ready", || has("far ready") && has("near ready"));
    terminal.keys("\x03");
    wait_until("both have received the key", || has("far got 2") && has("near got 2"));
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(0);
}

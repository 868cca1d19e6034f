//! A drain on a terminal: keys, job control and the terminal's end.

use std::time::{Duration, Instant};

use super::{count_lines, in_both_settings, script};
use crate::support::{Condition, Order, Report, Running, Start, Terminal, patience, procfs, skip};

/// The ways to ask for a drain.
fn with_drain(start: Start, way: usize) -> Start {
    match way {
        0 => start.words(["--drain", "60s"]),
        1 => start.variable("DUMB_INIT_DRAIN", "60s"),
        2 => start.words(["--linger", "--drain", "60s"]),
        _ => start.words(["-c", "--drain", "60s"]),
    }
}

const WAYS: usize = 4;

#[test]
fn shell_has_job_control() {
    for way in 0..WAYS {
        in_both_settings(|start| {
            let start = with_drain(start, way).variable("PS1", "prompt> ").variable("TERM", "dumb");
            let (running, mut terminal) =
                start.words(["bash", "--norc", "--noediting", "-i"]).start_on_terminal();
            // The shell prints its prompts on stderr.
            let prompts = |times: usize| {
                procfs::wait_until(&format!("{times} prompts"), || {
                    (running.stdout() + &running.stderr()).matches("prompt> ").count() >= times
                });
            };
            prompts(1);
            terminal.keys(&format!("{}\r", script(format!("probe {hang}", hang = Order::Hang))[2]));
            running.wait_for_line(Report::Ready);
            terminal.keys("\x1a");
            prompts(2);
            terminal.keys("jobs; fg\r");
            let hang = || {
                running
                    .descendants()
                    .into_iter()
                    .find(|&pid| procfs::status_field(pid, "Name").as_deref() == Some("hang"))
            };
            procfs::wait_until("the job resumes", || {
                hang().is_some_and(|pid| procfs::state(pid) == Some('S'))
            });
            terminal.keys("\x03");
            prompts(3);
            terminal.keys("echo status $?; exit 7\r");
            let outcome = running.outcome();
            outcome.expect_code(7);
            let text = outcome.stdout() + &outcome.stderr();
            assert!(text.contains("Stopped") && text.contains("status 130"), "{outcome}");
            assert!(!text.contains("job control"), "{outcome}");
        });
    }
}

/// Program without a shell on a terminal. It reports on stderr, since a key discards pending output
/// of the terminal.
const PLAIN: &str = "exec >&2; trap 'echo got 2' INT; trap 'echo got 1; exit 9' HUP; trap 'exit 5' TERM; echo ready; \
                     while :; do sleep 0.05; done";

fn start_plain(start: Start, way: usize) -> (Running, Terminal) {
    let (running, terminal) = with_drain(start, way).words(["sh", "-c", PLAIN]).start_on_terminal();
    running.wait_for_debug_line("ready");
    (running, terminal)
}

fn wait_for_interrupts(running: &Running, times: usize) {
    procfs::wait_until(&format!("{times} interrupts"), || {
        count_lines(&running.stderr(), &Report::Got(2).to_string()) >= times
    });
}

#[test]
fn key_reaches_command_once_before_and_after_ctrl_z() {
    // With -c the init stops itself too, as the original does, so that a shell above it sees that.
    for way in 0..WAYS - 1 {
        in_both_settings(|start| {
            // It starts no programs: while a shell does, Ctrl-Z stops the program and blocks the
            // shell (vfork(2)).
            let text = "exec >&2; trap 'echo got 2' INT; trap 'exit 5' TERM; echo ready; while :; do read line; done";
            let (running, mut terminal) =
                with_drain(start, way).words(["sh", "-c", text]).start_on_terminal();
            running.wait_for_debug_line("ready");
            terminal.keys("\x03");
            wait_for_interrupts(&running, 1);
            // Nobody could continue it.
            terminal.keys("\x1a");
            terminal.keys("\x03");
            wait_for_interrupts(&running, 2);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(5);
            assert_eq!(count_lines(&outcome.stderr(), &Report::Got(2).to_string()), 2, "{outcome}");
        });
    }
}

#[test]
fn program_stopped_by_ctrl_z_exits_on_sigterm() {
    in_both_settings(|start| {
        // As with a shell that waits for the exec of a program that Ctrl-Z stops: the shell is not stopped.
        let text = "exec >&2; trap : TSTP; sh -c 'echo ready; while :; do sleep 1; done'; exit 5";
        let (running, mut terminal) = start.words(["--drain", "60s", "bash", "-c", text]).start_on_terminal();
        running.wait_for_debug_line("ready");
        let stopped = || running.descendants().into_iter().any(|pid| procfs::state(pid) == Some('T'));
        terminal.keys("\x1a");
        procfs::wait_until("the program is stopped", stopped);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(143);
        assert!(before.elapsed() < patience(Duration::from_secs(30)));
    });
}

#[test]
fn closed_terminal_hangs_up_the_command() {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can hang a terminal up");
        return;
    }
    for way in 0..WAYS {
        for condition in [None, Some(Condition::Null(0))] {
            in_both_settings(|start| {
                let start = condition.into_iter().fold(start, Start::condition);
                let (running, terminal) = start_plain(start, way);
                terminal.hang_up();
                running.wait_for_debug_line("got 1");
            });
        }
    }
}

/// Three programs without a handler for SIGHUP, which a plain end of the command must not send.
const THREE_PROGRAMS: &str = r#"trap 'exit 5' TERM
for name in first second third; do
    sh -c 'trap "sleep 0.3; echo $0 finished >&2; exit" TERM; echo $0 ready >&2; while :; do sleep 0.05; done' $name &
done
while :; do sleep 0.05; done"#;

#[test]
fn command_exit_hangs_up_no_process() {
    for way in 0..WAYS {
        for condition in [None, Some(Condition::Null(0)), Some(Condition::Background)] {
            in_both_settings(|start| {
                let start = condition.into_iter().fold(start, Start::condition);
                let (running, _terminal) =
                    with_drain(start, way).words(["sh", "-c", THREE_PROGRAMS]).start_on_terminal();
                for name in ["first", "second", "third"] {
                    running.wait_for_debug_line(&format!("{name} ready"));
                }
                let begin = Instant::now();
                running.signal(libc::SIGTERM);
                let outcome = running.outcome();
                outcome.expect_code(5);
                assert_eq!(outcome.stderr().matches(" finished").count(), 3, "{way} {condition:?} {outcome}");
                assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
            });
        }
    }
}

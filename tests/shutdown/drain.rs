//! Recipients, duration and end of a drain.

use std::time::{Duration, Instant};

use super::{count, expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{
    Start, can_have_pid_namespaces, init_beyond, init_under_test, probe, procfs, role, send, skip,
};

#[test]
fn drain_signals_unsignalled_processes_in_other_sessions() {
    in_both_settings(|start| {
        let text = "setsid probe work far 200 & probe work near 400 & wait";
        let running = start.words(["--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "near ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143).expect_stderr("");
        expect_lines(
            &outcome,
            &[("far got 15", 1), ("far finished", 1), ("near got 15", 1), ("near finished", 1)],
        );
    });
}

#[test]
fn drain_signals_processes_around_a_single_child() {
    in_both_settings(|start| {
        let text = "probe work other 100 & exec probe work main 50";
        let running = start.words(["-c", "--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &["other ready", "main ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        let order: Vec<String> = outcome.stdout().lines().skip(2).map(str::to_owned).collect();
        assert_eq!(order, ["main got 15", "main finished", "other got 15", "other finished"], "{outcome}");
    });
}

#[test]
fn drain_signals_processes_started_later() {
    in_both_settings(|start| {
        let text = "trap 'probe daemon work late 100; exit 7' TERM; probe work early 300 & wait";
        let running = start.words(["--drain", "10s"]).words(script(text)).start();
        running.wait_for_line("early ready");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(7).expect_stderr("");
        expect_lines(
            &outcome,
            &[("early got 15", 1), ("early finished", 1), ("late got 15", 1), ("late finished", 1)],
        );
    });
}

#[test]
fn drain_begins_without_a_signal() {
    in_both_settings(|start| {
        let text = "probe daemon work left 100; exit 5";
        let outcome = start.words(["--drain", "10s"]).words(script(text)).run();
        outcome.expect_code(5).expect_stderr("");
        expect_lines(&outcome, &[("left got 15", 1), ("left finished", 1)]);
    });
}

/// A worker that answers SIGTERM by a helper, which it waits for; and a main program, `record`, that is to end before.
/// The helper is no child of the worker's but of a shell of its.
const WITH_A_HELPER: &str = "(trap '' USR2; trap 'sh -c \"probe record 10; :\"; exit' TERM; probe work worker 1; \
                             while :; do probe with waits -- /bin/true; done) & exec probe record 12";

#[test]
fn drain_spares_shutdown_helpers_of_a_program() {
    for forward in ["group", "tree"] {
        in_both_settings(|start| {
            let start = start.words(["-v", "--drain", "60s", "--forward", forward]);
            let running = start.words(script(WITH_A_HELPER)).start();
            wait_for_lines(&running, &["ready", "worker ready"]);
            running.signal(libc::SIGTERM);
            running.wait_for_stdout("a helper", |text| count(text, "ready") == 2);
            running.signal(libc::SIGUSR2);
            running.wait_for_debug_line("Draining");
            // With that it ends, and the worker with it.
            send(find(&running, "10"), libc::SIGUSR1);
            let outcome = running.outcome();
            outcome.expect_code(42);
            // The other one's.
            expect_lines(&outcome, &[("got 15", 1), ("got 10", 1)]);
        });
    }
}

#[test]
fn drain_spares_helpers_of_programs_it_signalled() {
    in_both_settings(|start| {
        let text = format!("probe daemon work other 999999; {WITH_A_HELPER}");
        // The worker's shell waits for it, so that it gets its signal at half time.
        let running = start.words(["-vc", "--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(&running, &["ready", "worker ready", "other ready"]);
        running.signal(libc::SIGUSR2);
        running.wait_for_debug_line("Draining");
        running.wait_for_stdout("a helper", |text| count(text, "ready") == 2);
        // A death, at which orphans are looked for.
        let other = find(&running, "other");
        send(other, libc::SIGKILL);
        running.wait_for_debug_line("was terminated by signal 9");
        send(find(&running, "10"), libc::SIGUSR1);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(&outcome, &[("got 15", 0), ("got 10", 1), ("other got 15", 1)]);
    });
}

#[test]
fn drain_signals_helpers_at_half_time() {
    in_both_settings(|start| {
        // The deadline comes first.
        let running =
            start.words(["--drain", "60s", "--kill-after", "6s"]).words(script(WITH_A_HELPER)).start();
        wait_for_lines(&running, &["ready", "worker ready"]);
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("a helper", |text| count(text, "ready") == 2);
        let helper = find(&running, "10");
        send(helper, libc::SIGSTOP);
        procfs::wait_for_state(helper, 'T');
        running.signal(libc::SIGUSR2);
        // It wasn't stopped when the others were asked; asleep, it would act on nothing.
        running.wait_for_stdout("its signal", |text| count(text, "got 15") == 2);
        send(helper, libc::SIGUSR1);
        running.outcome().expect_code(42);
    });
}

#[test]
fn drain_signals_orphans_at_once() {
    in_both_settings(|start| {
        let text = "(trap '' USR2; trap 'probe daemon work helper 50; probe work worker 1; exit' TERM; \
                    while :; do probe with waits -- /bin/true; done) & exec probe record 12";
        let running = start.words(["-v", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &["ready", "waits"]);
        running.signal(libc::SIGTERM);
        // The shell's trap follows the end of what it waits for.
        wait_for_lines(&running, &["helper ready", "worker ready"]);
        running.signal(libc::SIGUSR2);
        // The helper is ours by now, the worker is the shell's; with its parent it loses who it helps.
        running.wait_for_line("helper finished");
        assert_eq!(count(&running.stdout(), "worker got 15"), 0, "{running}");
        let worker = find(&running, "worker");
        let shell = procfs::parent(worker).expect("a parent");
        send(shell, libc::SIGKILL);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(&outcome, &[("helper got 15", 1), ("worker got 15", 1), ("worker finished", 1)]);
    });
}

#[test]
fn drain_sends_the_rewritten_sigterm_once() {
    in_both_settings(|start| {
        let text = "trap 'exit 0' QUIT; setsid probe record 3 & probe record 3 & wait";
        let running = start.words(["--drain", "10s", "-r", "TERM:QUIT"]).words(script(text)).start();
        running.wait_for_stdout("two that are ready", |text| count(text, "ready") == 2);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0);
        expect_lines(&outcome, &[("got 3", 2), ("got 15", 0)]);
    });
}

#[test]
fn drain_names_the_processes_it_kills() {
    in_both_settings(|start| {
        // It gets SIGTERM, and stays for ever.
        let text = "setsid probe work stubborn 999999 & probe work quick 10 & wait";
        let running = start.words(["--drain", "2s"]).words(script(text)).start();
        wait_for_lines(&running, &["stubborn ready", "quick ready"]);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let took = before.elapsed();
        assert!(took >= Duration::from_secs(2), "{took:?}\n{outcome}");
        outcome.expect_code(143);
        let stderr = outcome.stderr();
        assert_eq!(stderr.lines().count(), 1, "{outcome}");
        assert!(stderr.contains("work stubborn") && stderr.contains("Killing PID "), "{outcome}");
        expect_lines(&outcome, &[("stubborn got 15", 1), ("quick finished", 1), ("stubborn finished", 0)]);
    });
}

#[test]
fn drain_of_zero_is_off_and_overrides_the_variable() {
    in_both_settings(|start| {
        let start = start.variable("DUMB_INIT_DRAIN", "60s").words(["-v", "--drain", "0"]);
        let outcome = start.words(script("setsid probe hang & exit 3")).run();
        outcome.expect_code(3);
        assert!(!outcome.stderr().contains("Draining"), "{outcome}");
    });
}

#[test]
fn drain_with_no_process_remaining_ends_at_once() {
    in_both_settings(|start| {
        let before = Instant::now();
        start.words(["--drain", "60s"]).words(role(["exit", "9"])).run().expect_code(9).expect_stderr("");
        assert!(before.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn drain_resumes_stopped_processes() {
    in_both_settings(|start| {
        let text = "probe hang & probe work other 10; exit 3";
        let running = start.words(["--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &["ready", "other ready"]);
        let hang = find(&running, "hang");
        send(hang, libc::SIGSTOP);
        procfs::wait_for_state(hang, 'T');
        send(find(&running, "other"), libc::SIGTERM);
        // Stopped, it would stay until the deadline.
        running.outcome().expect_code(3);
    });
}

#[test]
fn second_signal_during_drain_reaches_all_remaining() {
    in_both_settings(|start| {
        let text = "setsid probe work far 999999 & probe work near 999999 & wait";
        let running = start.words(["-v", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &["far ready", "near ready"]);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Draining");
        wait_for_lines(&running, &["far got 15", "near got 15"]);
        running.signal(libc::SIGTERM);
        for name in ["far", "near"] {
            running.wait_for_stdout("a second one each", |text| count(text, &format!("{name} got 15")) == 2);
        }
    });
}

#[test]
fn drain_works_with_refused_system_calls() {
    // Pidfds, in part or whole; and prctl, by which orphans would be adopted that go elsewhere without it. (With that
    // refused, nothing more can be.)
    for refused in [&["pidfd_send_signal:1"][..], &["pidfd_send_signal:38"], &["pidfd_open:38", "prctl:1"]] {
        in_both_settings(|start| {
            let start = refused.iter().fold(start, |start, call| start.condition(format!("refused={call}")));
            let text = "setsid probe work far 100 & exec probe work near 200";
            let running = start.words(["--drain", "10s"]).words(script(text)).start();
            wait_for_lines(&running, &["far ready", "near ready"]);
            let namespaced = running.is_in_namespace();
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            expect_lines(&outcome, &[("near got 15", 1), ("near finished", 1)]);
            if namespaced || !refused.contains(&"prctl:1") {
                expect_lines(&outcome, &[("far got 15", 1), ("far finished", 1)]);
            }
        });
    }
}

#[test]
fn drain_does_not_wait_for_inherited_pipe_process() {
    in_both_settings(|start| {
        // As `exec dumb-init ... > >(cat)` makes it in bash: a child from before that ends when we close its stdin. Nothing is lost
        // of what it has to pass on when we are PID 1.
        let start = start.condition("logger");
        let outcome =
            start.words(["--drain", "60s"]).words(script("probe daemon work left 100; exit 5")).run();
        outcome.expect_code(5).expect_stderr("");
        expect_lines(&outcome, &[("left got 15", 1), ("left finished", 1)]);
    });
}

#[test]
fn traced_inherited_pipe_process_is_resumed() {
    in_both_settings(|start| {
        let outcome =
            start.condition("logger=trapped").words(["--drain", "60s"]).words(script("echo last")).run();
        outcome.expect_code(0).expect_stdout("last\ngoes on\n");
    });
}

#[test]
fn drain_without_proc_signals_the_group_and_logs_it() {
    in_both_settings(|start| {
        if !nix::unistd::geteuid().is_root() {
            skip("only for root");
            return;
        }
        let text = "probe work near 100 & exec probe work main 50";
        let running = start.condition("hidden=/proc").words(["--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &["near ready", "main ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr(
            "[dumb-init] Unable to find descendants: /proc does not show this PID namespace.\n",
        );
        expect_lines(
            &outcome,
            &[("near got 15", 1), ("near finished", 1), ("main got 15", 1), ("main finished", 1)],
        );
    });
}

#[test]
fn drain_signals_hidden_children_and_logs_hidden_processes() {
    if init_beyond().is_none() || !can_have_pid_namespaces() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("only for root");
        return;
    }
    // With a part of our plumbing that is to be seen, which must not hide that somebody is left.
    let start = Start::program(probe()).in_namespace().condition("hidepid").words(["with", "logger", "--"]);
    let text = "setsid probe with user=1000 -- probe work other 300 & exec probe work main 50";
    let running = start.word(init_under_test()).words(["--drain", "60s"]).words(script(text)).start();
    wait_for_lines(&running, &["other ready", "main ready"]);
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(0).expect_stderr(
        "[dumb-init] Unable to find all descendants: /proc hides other users' processes (hidepid).\n",
    );
    for name in ["other", "main"] {
        expect_lines(&outcome, &[(&format!("{name} got 15"), 1), (&format!("{name} finished"), 1)]);
    }
}

#[test]
fn drain_without_proc_signals_the_group_beside_an_orphan() {
    let Some(start) = init_beyond().filter(|_| can_have_pid_namespaces()) else { return };
    let start = start.in_namespace().condition("hidden=/proc");
    let text = "probe work member 50 & (probe hang &); exec probe record 10";
    let running = start.words(["--drain", "60s"]).words(script(text)).start();
    procfs::wait_until("both are ready, and the orphan is adopted", || {
        running.stdout().matches("ready\n").count() == 3 && procfs::children(running.pid()).len() == 2
    });
    let command = procfs::oldest_child(running.pid()).expect("the command");
    let orphan =
        procfs::children(running.pid()).into_iter().find(|&child| child != command).expect("an orphan");
    // SIGCHLD reports the orphan, and the command has exited as well.
    send(running.pid(), libc::SIGSTOP);
    procfs::wait_for_state(running.pid(), 'T');
    for (process, signal) in [(orphan, libc::SIGKILL), (command, 10)] {
        send(process, signal);
        procfs::wait_for_state(process, 'Z');
    }
    send(running.pid(), libc::SIGCONT);
    let outcome = running.outcome();
    outcome.expect_code(42);
    expect_lines(&outcome, &[("member got 15", 1), ("member finished", 1)]);
}

#[test]
fn drain_does_not_repeat_a_signal_sent_by_a_key() {
    let Some(start) = init_beyond() else { return };
    let start = start.words(["-c", "--drain", "60s", "-r", "TERM:INT"]);
    // A key throws away what the terminal hasn't shown yet (termios(3), NOFLSH), so they tell it elsewhere.
    let text = "exec >&2; probe record 64 & exec probe record 2";
    let (running, mut terminal) = start.words(script(text)).start_on_terminal();
    let lines =
        |text: &str, line: &str| text.lines().filter(|candidate| candidate.trim_end() == line).count();
    procfs::wait_until("two are ready", || lines(&running.stderr(), "ready") == 2);
    let command = running.command_pid();
    terminal.keys("\x03");
    procfs::wait_until("the command is reaped", || procfs::state(command).is_none());
    running.signal(64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    assert_eq!((lines(&outcome.stderr(), "got 2"), lines(&outcome.stderr(), "got 64")), (2, 1), "{outcome}");
}

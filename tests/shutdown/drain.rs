//! Recipients, duration and end of a drain.

use std::time::{Duration, Instant};

use super::{count_lines, expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{
    Condition, END_OF_CONDITIONS, Order, Report, Start, can_have_pid_namespaces, init_beyond,
    init_under_test, is_root, patience, probe, procfs, send,
};

#[test]
fn drain_signals_unsignalled_processes_in_other_sessions() {
    in_both_settings(|start| {
        let text = format!(
            "setsid probe {far} & probe {near} & wait",
            far = Order::Work("far", 200),
            near = Order::Work("near", 400)
        );
        let running = start.words(["--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.by("near")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143).expect_stderr("");
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("far"), 1),
                (Report::Finished.by("far"), 1),
                (Report::Got(15).by("near"), 1),
                (Report::Finished.by("near"), 1),
            ],
        );
    });
}

#[test]
fn drain_signals_processes_around_a_single_child() {
    in_both_settings(|start| {
        let text = format!(
            "probe {other} & exec probe {main}",
            other = Order::Work("other", 100),
            main = Order::Work("main", 50)
        );
        let running = start.words(["-c", "--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("other"), Report::Ready.by("main")]);
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
        let text = format!(
            "trap 'probe {late}; exit 7' TERM; probe {early} & wait",
            late = Order::Daemon("late", 100),
            early = Order::Work("early", 300)
        );
        let running = start.words(["--drain", "10s"]).words(script(text)).start();
        running.wait_for_line(Report::Ready.by("early"));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(7).expect_stderr("");
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("early"), 1),
                (Report::Finished.by("early"), 1),
                (Report::Got(15).by("late"), 1),
                (Report::Finished.by("late"), 1),
            ],
        );
    });
}

#[test]
fn drain_begins_without_a_signal() {
    in_both_settings(|start| {
        let text = format!("probe {left}; exit 5", left = Order::Daemon("left", 100));
        let outcome = start.words(["--drain", "10s"]).words(script(text)).run();
        outcome.expect_code(5).expect_stderr("");
        expect_lines(&outcome, &[(Report::Got(15).by("left"), 1), (Report::Finished.by("left"), 1)]);
    });
}

/// A worker that answers SIGTERM by a helper, which it waits for; and a main program, `record`,
/// that is to end before. The helper is no child of the worker's but of a shell of its.
fn with_a_helper() -> String {
    format!(
        "(trap '' USR2; trap 'sh -c \"probe {record}; :\"; exit' TERM; probe {worker}; \
                             while :; do probe {with} {waits} -- /bin/true; done) & exec probe {record_2}",
        record = Order::Record(10),
        worker = Order::Work("worker", 1),
        with = Order::With,
        waits = Condition::Waits,
        record_2 = Order::Record(12)
    )
}

#[test]
fn drain_spares_shutdown_helpers_of_a_program() {
    for forward in ["group", "tree"] {
        in_both_settings(|start| {
            let start = start.words(["-v", "--drain", "60s", "--forward", forward]);
            let running = start.words(script(with_a_helper())).start();
            wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("worker")]);
            running.signal(libc::SIGTERM);
            running.wait_for_stdout("a helper", |text| count_lines(text, &Report::Ready.to_string()) == 2);
            running.signal(libc::SIGUSR2);
            running.wait_for_debug_line("Draining");
            // With that it ends, and the worker with it.
            send(find(&running, "10"), libc::SIGUSR1);
            let outcome = running.outcome();
            outcome.expect_code(42);
            // The other process is killed.
            expect_lines(&outcome, &[(Report::Got(15).to_string(), 1), (Report::Got(10).to_string(), 1)]);
        });
    }
}

#[test]
fn drain_spares_helpers_of_programs_it_signalled() {
    in_both_settings(|start| {
        let text = format!(
            "probe {other}; {with_a_helper}",
            with_a_helper = with_a_helper(),
            other = Order::Daemon("other", 999_999)
        );
        // The worker's shell waits for it, so that it gets its signal at half time.
        let running = start.words(["-vc", "--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.to_string(), Report::Ready.by("worker"), Report::Ready.by("other")],
        );
        running.signal(libc::SIGUSR2);
        running.wait_for_debug_line("Draining");
        running.wait_for_stdout("a helper", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        // A death, at which orphans are looked for.
        let other = find(&running, "other");
        send(other, libc::SIGKILL);
        running.wait_for_debug_line("was terminated by signal 9");
        send(find(&running, "10"), libc::SIGUSR1);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).to_string(), 0),
                (Report::Got(10).to_string(), 1),
                (Report::Got(15).by("other"), 1),
            ],
        );
    });
}

#[test]
fn drain_signals_helpers_at_half_time() {
    in_both_settings(|start| {
        // The deadline comes first.
        let running =
            start.words(["--drain", "60s", "--kill-after", "6s"]).words(script(with_a_helper())).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("worker")]);
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("a helper", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        let helper = find(&running, "10");
        send(helper, libc::SIGSTOP);
        procfs::wait_for_state(helper, 'T');
        running.signal(libc::SIGUSR2);
        // It wasn't stopped when the others were asked; asleep, it would act on nothing.
        running.wait_for_stdout("its signal", |text| count_lines(text, &Report::Got(15).to_string()) == 2);
        send(helper, libc::SIGUSR1);
        running.outcome().expect_code(42);
    });
}

#[test]
fn drain_signals_orphans_at_once() {
    in_both_settings(|start| {
        let text = format!(
            "(trap '' USR2; trap 'probe {helper}; probe {worker}; exit' TERM; \
                    while :; do probe {with} {waits} -- /bin/true; done) & exec probe {record}",
            helper = Order::Daemon("helper", 50),
            worker = Order::Work("worker", 1),
            with = Order::With,
            waits = Condition::Waits,
            record = Order::Record(12)
        );
        let running = start.words(["-v", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Waiting.to_string()]);
        running.signal(libc::SIGTERM);
        // The shell runs its trap after the exit of its child.
        wait_for_lines(&running, &[Report::Ready.by("helper"), Report::Ready.by("worker")]);
        running.signal(libc::SIGUSR2);
        // The helper is now a child of the init, and the worker is a child of the shell. The
        // helper's parent is gone.
        running.wait_for_line(Report::Finished.by("helper"));
        assert_eq!(count_lines(&running.stdout(), &Report::Got(15).by("worker")), 0, "{running}");
        let worker = find(&running, "worker");
        let shell = procfs::parent(worker).expect("a parent");
        send(shell, libc::SIGKILL);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("helper"), 1),
                (Report::Got(15).by("worker"), 1),
                (Report::Finished.by("worker"), 1),
            ],
        );
    });
}

#[test]
fn drain_sends_the_rewritten_sigterm_once() {
    in_both_settings(|start| {
        let text = format!(
            "trap 'exit 0' QUIT; setsid probe {record} & probe {record} & wait",
            record = Order::Record(3)
        );
        let running = start.words(["--drain", "10s", "-r", "TERM:QUIT"]).words(script(text)).start();
        running
            .wait_for_stdout("two that are ready", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0);
        expect_lines(&outcome, &[(Report::Got(3).to_string(), 2), (Report::Got(15).to_string(), 0)]);
    });
}

#[test]
fn drain_names_the_processes_it_kills() {
    in_both_settings(|start| {
        // It gets SIGTERM, and stays for ever.
        let text = format!(
            "setsid probe {stubborn} & probe {quick} & wait",
            stubborn = Order::Work("stubborn", 999_999),
            quick = Order::Work("quick", 10)
        );
        let running = start.words(["--drain", "2s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("stubborn"), Report::Ready.by("quick")]);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        let took = before.elapsed();
        assert!(took >= Duration::from_secs(2), "{took:?}\n{outcome}");
        outcome.expect_code(143);
        let stderr = outcome.stderr();
        assert_eq!(stderr.lines().count(), 1, "{outcome}");
        assert!(stderr.contains("work stubborn") && stderr.contains("Killing PID "), "{outcome}");
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("stubborn"), 1),
                (Report::Finished.by("quick"), 1),
                (Report::Finished.by("stubborn"), 0),
            ],
        );
    });
}

#[test]
fn drain_of_zero_is_off_and_overrides_the_variable() {
    in_both_settings(|start| {
        let start = start.variable("DUMB_INIT_DRAIN", "60s").words(["-v", "--drain", "0"]);
        let outcome = start.words(script(format!("setsid probe {hang} & exit 3", hang = Order::Hang))).run();
        outcome.expect_code(3);
        assert!(!outcome.stderr().contains("Draining"), "{outcome}");
    });
}

#[test]
fn drain_with_no_process_remaining_ends_at_once() {
    in_both_settings(|start| {
        let before = Instant::now();
        start.words(["--drain", "60s"]).probe(Order::Exit(9)).run().expect_code(9).expect_stderr("");
        assert!(before.elapsed() < patience(Duration::from_secs(30)));
    });
}

#[test]
fn drain_resumes_stopped_processes() {
    in_both_settings(|start| {
        let text = format!(
            "probe {hang} & probe {other}; exit 3",
            hang = Order::Hang,
            other = Order::Work("other", 10)
        );
        let running = start.words(["--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("other")]);
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
        let text = format!(
            "setsid probe {far} & probe {near} & wait",
            far = Order::Work("far", 999_999),
            near = Order::Work("near", 999_999)
        );
        let running = start.words(["-v", "--drain", "60s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.by("near")]);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Draining");
        wait_for_lines(&running, &[Report::Got(15).by("far"), Report::Got(15).by("near")]);
        running.signal(libc::SIGTERM);
        for name in ["far", "near"] {
            running.wait_for_stdout("a second one each", |text| {
                count_lines(text, &format!("{name} got 15")) == 2
            });
        }
    });
}

#[test]
fn drain_works_with_refused_system_calls() {
    // Pidfds, in part or whole; and prctl, by which orphans would be adopted that go elsewhere
    // without it. (With that refused, nothing more can be.)
    let prctl = Condition::Refused(libc::SYS_prctl, libc::EPERM);
    for refused in [
        &[Condition::Refused(libc::SYS_pidfd_send_signal, libc::EPERM)][..],
        &[Condition::Refused(libc::SYS_pidfd_send_signal, libc::ENOSYS)],
        &[Condition::Refused(libc::SYS_pidfd_open, libc::ENOSYS), prctl],
    ] {
        in_both_settings(|start| {
            let start = refused.iter().copied().fold(start, Start::condition);
            let text = format!(
                "setsid probe {far} & exec probe {near}",
                far = Order::Work("far", 100),
                near = Order::Work("near", 200)
            );
            let running = start.words(["--drain", "10s"]).words(script(text)).start();
            wait_for_lines(&running, &[Report::Ready.by("far"), Report::Ready.by("near")]);
            let namespaced = running.is_in_namespace();
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            expect_lines(&outcome, &[(Report::Got(15).by("near"), 1), (Report::Finished.by("near"), 1)]);
            if namespaced || !refused.contains(&prctl) {
                expect_lines(&outcome, &[(Report::Got(15).by("far"), 1), (Report::Finished.by("far"), 1)]);
            }
        });
    }
}

#[test]
fn drain_does_not_wait_for_inherited_pipe_process() {
    in_both_settings(|start| {
        // bash sets this up for `exec dumb-init ... > >(cat)`: a child from before the exec, which
        // exits when its stdin is closed. Its output is complete if the init is PID 1.
        let start = start.condition(Condition::Logger);
        let outcome = start
            .words(["--drain", "60s"])
            .words(script(format!("probe {left}; exit 5", left = Order::Daemon("left", 100))))
            .run();
        outcome.expect_code(5).expect_stderr("");
        expect_lines(&outcome, &[(Report::Got(15).by("left"), 1), (Report::Finished.by("left"), 1)]);
    });
}

#[test]
fn traced_inherited_pipe_process_is_resumed() {
    in_both_settings(|start| {
        let outcome = start
            .condition(Condition::TracedLogger)
            .words(["--drain", "60s"])
            .words(script("echo last"))
            .run();
        outcome.expect_code(0).expect_stdout(&format!("last\n{}\n", Report::Resumed));
    });
}

#[test]
fn drain_without_proc_signals_the_group_and_logs_it() {
    in_both_settings(|start| {
        if !is_root() {
            return;
        }
        let text = format!(
            "probe {near} & exec probe {main}",
            near = Order::Work("near", 100),
            main = Order::Work("main", 50)
        );
        let running =
            start.condition(Condition::Hidden("/proc")).words(["--drain", "10s"]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("near"), Report::Ready.by("main")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr(
            "[dumb-init] Unable to find descendants: /proc does not show this PID namespace.\n",
        );
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("near"), 1),
                (Report::Finished.by("near"), 1),
                (Report::Got(15).by("main"), 1),
                (Report::Finished.by("main"), 1),
            ],
        );
    });
}

#[test]
fn drain_signals_hidden_children_and_logs_hidden_processes() {
    if init_beyond().is_none() || !can_have_pid_namespaces() {
        return;
    }
    if !is_root() {
        return;
    }
    // A visible child with an inherited pipe must not hide that other processes remain.
    let start = Start::program(probe()).in_namespace().condition(Condition::Hidepid).words([
        Order::With.to_string(),
        Condition::Logger.to_string(),
        END_OF_CONDITIONS.to_owned(),
    ]);
    let text = format!(
        "setsid probe {with} {user} -- probe {other} & exec probe {main}",
        with = Order::With,
        user = Condition::User(1000),
        other = Order::Work("other", 300),
        main = Order::Work("main", 50)
    );
    let running = start.word(init_under_test()).words(["--drain", "60s"]).words(script(text)).start();
    wait_for_lines(&running, &[Report::Ready.by("other"), Report::Ready.by("main")]);
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(0).expect_stderr(
        "[dumb-init] Unable to find all descendants: /proc hides other users' processes (hidepid).\n",
    );
    for name in ["other", "main"] {
        expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
    }
}

#[test]
fn drain_without_proc_signals_the_group_beside_an_orphan() {
    let Some(start) = init_beyond().filter(|_| can_have_pid_namespaces()) else { return };
    let start = start.in_namespace().condition(Condition::Hidden("/proc"));
    let text = format!(
        "probe {member} & (probe {hang} &); exec probe {record}",
        member = Order::Work("member", 50),
        hang = Order::Hang,
        record = Order::Record(10)
    );
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
    expect_lines(&outcome, &[(Report::Got(15).by("member"), 1), (Report::Finished.by("member"), 1)]);
}

//! `--with`: helpers beside the command.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use super::{count_lines, expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::differences::tests_the_original;
use crate::support::{
    Condition, Order, Outcome, Property, Report, Running, Scratch, Start, decoded, init_beyond,
    init_under_test, procfs, send, with_probe, without_pids,
};

/// The value of `--with` for the probe with this order.
fn helper(order: Order) -> String {
    with_probe(format!("probe {order}"))
}

/// The value for a shell script without quotes, in which `probe` is the probe.
fn helper_script(text: &str) -> String {
    format!("sh -c '{}'", with_probe(text))
}

/// Expects this one line on stderr about a helper that has ended the container.
#[track_caller]
fn expect_helper_line(outcome: &Outcome, text: &str, end: &str) {
    let line = format!("[dumb-init] helper '{text}' (PID N) {end}; shutting down\n");
    assert_eq!(without_pids(&outcome.stderr()), line, "{outcome}");
}

/// Waits until the init has reaped a process and waits for the next event.
fn wait_until_reaped(running: &Running, pid: nix::unistd::Pid) {
    procfs::wait_until("it is reaped", || procfs::state(pid).is_none());
    procfs::wait_until("the init waits", || procfs::waits_without_a_signal(running.pid()));
}

#[test]
fn helpers_start_in_order_before_the_command() {
    in_both_settings(|start| {
        let [first, second] = ["first", "second"].map(|name| helper(Order::Work(name, 10)));
        let running =
            start.words(["--with", &first, "--with", &second]).probe(Order::Work("main", 10)).start();
        wait_for_lines(&running, &["first", "second", "main"].map(|name| Report::Ready.by(name)));
        // Children are in the order of their start (proc_pid_children(5)).
        let init = running.pid();
        let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).expect("children");
        let children: Vec<&str> = children.split_whitespace().collect();
        let expected = ["first", "second", "main"].map(|name| find(&running, name).to_string());
        assert_eq!(children, expected, "{running}");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["first", "second", "main"] {
            expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
        }
    });
}

#[test]
fn helper_leads_a_session_and_reads_nothing() {
    for options in [&[][..], &["-c"], &["--forward", "tree"]] {
        in_both_settings(|start| {
            let scratch = Scratch::new();
            let start = start.stdin(File::open("/dev/zero").expect("a file")).directory(scratch.path());
            let report = format!("-{}", helper(Order::Report));
            let reader = helper(Order::Work("reader", 10));
            let start = start.words(options).words(["--with", &report, "--with", &reader]);
            let running = start.probe(Order::Work("main", 10)).start();
            wait_for_lines(&running, &["reader", "main"].map(|name| Report::Ready.by(name)));
            running.wait_for_stdout("the report", |text| text.contains("\nlisten-pid="));
            let stdin = |name| fs::read_link(format!("/proc/{}/fd/0", find(&running, name))).expect("stdin");
            assert_eq!((stdin("reader"), stdin("main")), ("/dev/null".into(), "/dev/zero".into()));
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            let pid = outcome.report(Property::Pid);
            for (property, expected) in [
                (Property::Sid, pid.as_str()),
                (Property::Pgid, &pid),
                (Property::Terminal, "false"),
                (Property::Descriptors, "0 1 2"),
                (Property::Dispositions, ""),
                (Property::Blocked, ""),
            ] {
                assert_eq!(outcome.report(property), expected, "{property} {options:?}\n{outcome}");
            }
            let directory = scratch.path().display().to_string();
            assert_eq!(decoded(&outcome.report(Property::Cwd)), directory);
        });
    }
}

/// The value for a program that reports on stderr, since a key discards output that the terminal has
/// not shown yet (termios(3), NOFLSH).
fn on_stderr(name: &'static str) -> String {
    helper_script(&format!("exec >&2; exec probe {}", Order::Work(name, 10)))
}

#[test]
fn only_the_command_has_the_terminal() {
    for options in [&[][..], &["-c"], &["--forward", "tree"], &["--drain", "0"]] {
        in_both_settings(|start| {
            let words = ["--with".to_owned(), on_stderr("helper")];
            let text =
                "exec >&2; probe report | grep -E \"^(terminal|foreground)=\"; exec probe work main 10";
            let (running, _terminal) =
                start.words(options).words(words).words(script(text)).start_on_terminal();
            for line in ["helper ready", "main ready", "terminal=true", "foreground=true"] {
                running.wait_for_debug_line(line);
            }
            // The seventh field of stat is the controlling terminal (proc_pid_stat(5)).
            let terminal = |name| {
                let text = fs::read_to_string(format!("/proc/{}/stat", find(&running, name))).expect("stat");
                text.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(4)).map(str::to_owned)
            };
            assert_eq!(terminal("helper").as_deref(), Some("0"), "{running}");
            assert_ne!(terminal("main").as_deref(), Some("0"), "{running}");
            running.signal(libc::SIGTERM);
            running.outcome().expect_code(0);
        });
    }
}

#[test]
fn ctrl_c_reaches_helpers_of_a_single_child_once() {
    in_both_settings(|start| {
        let main = with_probe("exec >&2; exec probe work main 10");
        let words = ["-c".to_owned(), "--with".to_owned(), on_stderr("helper")];
        let (running, mut terminal) = start.words(words).words(["sh", "-c", &main]).start_on_terminal();
        for name in ["helper", "main"] {
            running.wait_for_debug_line(&Report::Ready.by(name));
        }
        terminal.keys("\x03");
        for name in ["helper", "main"] {
            running.wait_for_debug_line(&Report::Got(2).by(name));
        }
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0);
        for name in ["helper", "main"] {
            for report in [Report::Got(2), Report::Got(15)] {
                assert_eq!(count_lines(&outcome.stderr(), &report.by(name)), 1, "{name}\n{outcome}");
            }
        }
    });
}

#[test]
fn helper_exits_after_ctrl_c_has_ended_the_command() {
    in_both_settings(|start| {
        let words = ["--with".to_owned(), on_stderr("helper")];
        let (running, mut terminal) =
            start.words(words).words(["sh", "-c", "echo main ready >&2; exec sleep 999"]).start_on_terminal();
        for name in ["helper", "main"] {
            running.wait_for_debug_line(&Report::Ready.by(name));
        }
        procfs::wait_until("the command sleeps", || {
            let children = procfs::children(running.pid());
            children.into_iter().any(|pid| procfs::status_field(pid, "Name").as_deref() == Some("sleep"))
        });
        terminal.keys("\x03");
        let outcome = running.outcome();
        outcome.expect_code(130);
        for (report, times) in [(Report::Got(2), 0), (Report::Got(15), 1), (Report::Finished, 1)] {
            assert_eq!(count_lines(&outcome.stderr(), &report.by("helper")), times, "{outcome}");
        }
    });
}

#[test]
fn signals_reach_process_group_or_tree_of_a_helper() {
    for (forward, near, far) in [("child", 0, 0), ("group", 1, 0), ("tree", 1, 1)] {
        in_both_settings(|start| {
            let text = format!(
                "setsid probe {far} & probe {near} & exec probe {leader}",
                far = Order::Work("far", 10),
                near = Order::Work("near", 10),
                leader = Order::Work("leader", 10)
            );
            let start = start.words(["--forward", forward, "--with", &helper_script(&text)]);
            let running = start.probe(Order::Work("main", 10)).start();
            wait_for_lines(&running, &["far", "near", "leader", "main"].map(|name| Report::Ready.by(name)));
            running.signal(libc::SIGUSR1);
            wait_for_lines(&running, &["leader", "main"].map(|name| Report::Got(10).by(name)));
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            for (name, times) in [("far", far), ("near", near), ("leader", 1), ("main", 1)] {
                let lines = [(Report::Got(10), times), (Report::Got(15), 1), (Report::Finished, 1)];
                expect_lines(&outcome, &lines.map(|(report, times)| (report.by(name), times)));
            }
        });
    }
}

#[test]
fn helper_that_cannot_be_executed_prevents_the_start() {
    let scratch = Scratch::new();
    let text = scratch.file("text", "no program\n", 0o644).display().to_string();
    for options in [&[][..], &["-c"], &["--drain", "0"]] {
        for (path, reason) in [
            ("/nonexistent/program", "No such file or directory"),
            ("nonexistent-program x", "No such file or directory"),
            (text.as_str(), "Permission denied"),
        ] {
            in_both_settings(|start| {
                let first = helper(Order::Hang);
                let start = start.words(options).words(["--with", &first, "--with", path]);
                let start = start.words(["--with", "echo later helper"]);
                let running = start.words(["echo", "command"]).variable("DUMB_INIT_DEBUG", "1").start();
                let outcome = running.outcome();
                outcome.expect_code(2);
                let name = path.split(' ').next().unwrap_or_default();
                let line = format!("[dumb-init] {name}: {reason}\n");
                let stderr = outcome.stderr();
                assert!(stderr.contains(&line) && !stderr.contains("helper '"), "{outcome}");
                assert!(
                    !outcome.stdout().contains("command") && !outcome.stdout().contains("later"),
                    "{outcome}"
                );
                // Without a drain, the init does not wait for the first helper.
                let is_terminated = stderr.contains("was terminated by signal 15");
                assert!(is_terminated || options.contains(&"0"), "{outcome}");
            });
        }
    }
}

#[test]
fn earlier_helpers_are_drained_if_a_later_one_cannot_be_executed() {
    // tini leaves signals blocked, so that the helper sees a signal of its first moment.
    let scratch = Scratch::new();
    let link = scratch.path().join("tini");
    std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
    if tests_the_original() {
        return;
    }
    let lines = format!("{}\n/nonexistent/program\n", helper(Order::Work("helper", 300)));
    let start = Start::program(&link).condition(Condition::AllBlocked).variable("DUMB_INIT_WITH", lines);
    let outcome = start.words(["--", "echo", "command"]).run();
    // As if the command were missing.
    outcome.expect_code(127).expect_stdout("helper ready\nhelper got 15\nhelper finished\n");
}

#[test]
fn command_that_cannot_be_executed_ends_the_helpers() {
    in_both_settings(|start| {
        let start = start.words(["-v", "--with", &helper(Order::Hang), "/nonexistent/program"]);
        let outcome = start.run();
        outcome.expect_code(2);
        let stderr = outcome.stderr();
        assert!(
            stderr.contains("[dumb-init] /nonexistent/program: No such file or directory\n"),
            "{outcome}"
        );
        assert!(stderr.contains("was terminated by signal 15") && !stderr.contains("helper '"), "{outcome}");
    });
}

#[test]
fn command_exit_drains_the_helpers() {
    for options in [&[][..], &["-c"], &["--linger"]] {
        in_both_settings(|start| {
            let words = ["--with".to_owned(), helper(Order::Work("helper", 100))];
            let running = start.words(options).words(words).probe(Order::Record(12)).start();
            wait_for_lines(&running, &[Report::Ready.by("helper"), Report::Ready.to_string()]);
            let command = find(&running, "12");
            send(command, libc::SIGUSR2);
            if options == ["--linger"] {
                // A lingering init waits for the helper, until it is asked to exit.
                wait_until_reaped(&running, command);
                running.signal(libc::SIGTERM);
            }
            let outcome = running.outcome();
            outcome.expect_code(42).expect_stderr("");
            expect_lines(&outcome, &[(Report::Got(15).by("helper"), 1), (Report::Finished.by("helper"), 1)]);
        });
    }
}

#[test]
fn drain_of_zero_does_not_wait_for_helpers() {
    for options in [&[][..], &["-c"]] {
        let Some(start) = init_beyond() else { return };
        let words = ["--drain", "0", "--with", &helper(Order::Work("helper", 999_999))];
        let mut running = start.words(options).words(words).probe(Order::Record(12)).start();
        wait_for_lines(&running, &[Report::Ready.by("helper"), Report::Ready.to_string()]);
        send(find(&running, "12"), libc::SIGUSR2);
        assert_eq!(running.wait().code(), Some(42), "{running}");
        // It has received the signal of the init's exit, and is still there.
        running.wait_for_line(Report::Got(15).by("helper"));
        assert!(procfs::state(find(&running, "helper")).is_some());
    }
}

#[test]
fn implied_drain_kills_a_helper_after_ten_seconds() {
    for (options, seconds) in [(&[][..], 10), (&["--drain", "2s"], 2)] {
        let Some(start) = init_beyond() else { return };
        let words = ["--with".to_owned(), helper(Order::Work("stubborn", 999_999))];
        let running = start.words(options).words(words).probe(Order::Record(15)).start();
        wait_for_lines(&running, &[Report::Ready.by("stubborn"), Report::Ready.to_string()]);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(before.elapsed() >= Duration::from_secs(seconds), "{outcome}");
        expect_lines(&outcome, &[(Report::Got(15).by("stubborn"), 1)]);
        assert!(outcome.stderr().contains("Killing PID ") && outcome.stderr().contains("work stubborn"));
        assert_eq!(outcome.stderr().lines().count(), 1, "{outcome}");
    }
}

#[test]
fn helper_exit_shuts_down_with_its_status() {
    for (signum, order, text, code, end) in [
        (libc::SIGUSR1, Order::Record(10), "10", 42, "exited with status 42"),
        (libc::SIGTERM, Order::Work("helper", 0), "helper", 1, "exited with status 0"),
        (libc::SIGKILL, Order::Record(10), "10", 137, "was killed by SIGKILL"),
        (libc::SIGTERM, Order::Hang, "hang", 143, "was killed by SIGTERM"),
    ] {
        in_both_settings(|start| {
            // Neither a rewrite nor a delay applies.
            let options = ["-r", "15:2", "--delay", "TERM:1h", "--exit-map", "42:5,1:5,137:5,143:5,0:5"];
            let value = helper(order);
            let running =
                start.words(options).words(["--with", &value]).probe(Order::Work("main", 20)).start();
            running.wait_for_line(Report::Ready.by("main"));
            let ready = [Report::Ready.to_string(), Report::Ready.by("helper")];
            running.wait_for_stdout("a helper", |text| ready.iter().any(|line| count_lines(text, line) == 1));
            send(find(&running, text), signum);
            let outcome = running.outcome();
            outcome.expect_code(code);
            expect_helper_line(&outcome, &value, end);
            let lines = [(Report::Got(15), 1), (Report::Got(2), 0), (Report::Finished, 1)];
            expect_lines(&outcome, &lines.map(|(report, times)| (report.by("main"), times)));
        });
    }
}

#[test]
fn helper_exit_reaches_the_other_helpers() {
    for forward in ["child", "group", "tree"] {
        in_both_settings(|start| {
            let [first, second] = [Order::Record(10), Order::Work("second", 20)].map(helper);
            let start = start.words(["--forward", forward, "--with", &first, "--with", &second]);
            let running = start.probe(Order::Work("main", 20)).start();
            let ready = [Report::Ready.to_string(), Report::Ready.by("second"), Report::Ready.by("main")];
            wait_for_lines(&running, &ready);
            send(find(&running, "10"), libc::SIGUSR1);
            let outcome = running.outcome();
            outcome.expect_code(42);
            // The others exit on request, which is no second failure.
            expect_helper_line(&outcome, &first, "exited with status 42");
            for name in ["second", "main"] {
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
        });
    }
}

#[test]
fn helper_that_exits_at_once_shuts_down() {
    for (value, code, end) in [
        ("true", 1, "exited with status 0"),
        ("sh -c 'exit 9'", 9, "exited with status 9"),
        ("sh -c 'kill -KILL $$'", 137, "was killed by SIGKILL"),
    ] {
        in_both_settings(|start| {
            // The command may receive the signal before it can report.
            let outcome = start.words(["--with", value]).probe(Order::Hang).run();
            outcome.expect_code(code);
            expect_helper_line(&outcome, value, end);
        });
    }
}

#[test]
fn first_of_two_failed_helpers_is_reported() {
    in_both_settings(|start| {
        let words = ["--with", "sh -c 'exit 3'", "--with", "sh -c 'exit 3'"];
        let outcome = start.words(words).probe(Order::Hang).run();
        outcome.expect_code(3);
        expect_helper_line(&outcome, "sh -c 'exit 3'", "exited with status 3");
    });
}

#[test]
fn helper_line_escapes_control_characters() {
    let Some(start) = init_beyond() else { return };
    let outcome = start.words(["--with", "sh -c 'exit 3' \u{1b}\u{202e}"]).probe(Order::Hang).run();
    outcome.expect_code(3);
    expect_helper_line(&outcome, r"sh -c 'exit 3' \u{1b}\u{202e}", "exited with status 3");
}

#[test]
fn optional_helper_exits_without_consequences() {
    in_both_settings(|start| {
        let value = format!("-{}", helper(Order::Record(10)));
        let running = start.words(["--with", &value]).probe(Order::Record(12)).start();
        running
            .wait_for_stdout("two that are ready", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        let pid = find(&running, "10");
        send(pid, libc::SIGUSR1);
        wait_until_reaped(&running, pid);
        running.signal(libc::SIGUSR2);
        let outcome = running.outcome();
        outcome.expect_code(42).expect_stderr("");
        outcome.expect_stdout("ready\nready\ngot 10\ngot 12\n");
    });
}

#[test]
fn optional_helper_receives_signals() {
    in_both_settings(|start| {
        let value = format!("-{}", helper(Order::Work("helper", 10)));
        let running = start.words(["--with", &value]).probe(Order::Work("main", 10)).start();
        wait_for_lines(&running, &["helper", "main"].map(|name| Report::Ready.by(name)));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        expect_lines(&outcome, &[(Report::Got(15).by("helper"), 1), (Report::Finished.by("helper"), 1)]);
    });
}

#[test]
fn variable_has_one_helper_per_line() {
    in_both_settings(|start| {
        let [first, second] = [Order::Work("first", 10), Order::Work("second", 10)].map(helper);
        let lines = format!("\n{first}\n \n  -sh -c 'exit 3'\n\t{second}");
        let start = start.variable("DUMB_INIT_WITH", lines).probe(Order::Work("main", 10));
        let running = start.start();
        wait_for_lines(&running, &["first", "second", "main"].map(|name| Report::Ready.by(name)));
        // The optional one is gone.
        procfs::wait_until("three are left", || procfs::children(running.pid()).len() == 3);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["first", "second", "main"] {
            expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
        }
    });
}

#[test]
fn helpers_of_options_override_the_variable() {
    in_both_settings(|start| {
        let start = start.variable("DUMB_INIT_WITH", "sh -c 'echo variable; exit 3'");
        let start = start.words(["--with", "-sh -c 'echo option ${0}' x", "--with", &helper(Order::Hang)]);
        let running = start.variable("0", "expanded").probe(Order::Record(15)).start();
        running
            .wait_for_stdout("two that are ready", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        running.wait_for_line("option x");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(&outcome, &[("variable", 0)]);
    });
}

#[test]
fn variables_of_helpers_and_hook_are_not_inherited() {
    in_both_settings(|start| {
        // A helper with an init in its `#!` line would start itself without end.
        let print = "env | grep -cE \"^DUMB_INIT_(WITH|PRE_STOP)=\"";
        let lines = format!("-sh -c 'echo helper $({print})'\n{}", helper(Order::Hang));
        let start = start.variable("DUMB_INIT_WITH", lines);
        let start = start.variable("DUMB_INIT_PRE_STOP", format!("sh -c 'echo hook $({print})'"));
        let start = start.variable("DUMB_INIT_EXIT_MAP", "42:7");
        let text = format!("echo command $({print}) $DUMB_INIT_EXIT_MAP; exec probe record 15");
        let running = start.words(script(text)).start();
        wait_for_lines(&running, &["helper 0", "command 0 42:7"]);
        running
            .wait_for_stdout("two that are ready", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        running.signal(libc::SIGTERM);
        running.wait_for_line("hook 0");
        running.outcome().expect_code(7).expect_stderr("");
    });
}

#[test]
fn nested_init_starts_no_helper_again() {
    in_both_settings(|start| {
        let inner = init_under_test();
        let start = start.variable("DUMB_INIT_WITH", helper(Order::Work("helper", 20))).word(inner);
        let running = start.probe(Order::Work("main", 30)).start();
        wait_for_lines(&running, &["helper", "main"].map(|name| Report::Ready.by(name)));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["helper", "main"] {
            let lines = [Report::Ready, Report::Got(15), Report::Finished];
            expect_lines(&outcome, &lines.map(|report| (report.by(name), 1)));
        }
    });
}

#[test]
fn nested_init_as_helper_signals_its_program_once() {
    for forward in ["child", "group", "tree"] {
        in_both_settings(|start| {
            let inner = format!("{} {}", init_under_test().display(), helper(Order::Work("helper", 20)));
            let start = start.words(["--forward", forward, "--with", &inner]);
            let running = start.probe(Order::Work("main", 30)).start();
            wait_for_lines(&running, &["helper", "main"].map(|name| Report::Ready.by(name)));
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            for name in ["helper", "main"] {
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
        });
    }
}

#[test]
fn daemon_of_an_optional_helper_is_drained() {
    in_both_settings(|start| {
        let value = format!("-{}", helper(Order::Daemon("daemon", 100)));
        let running = start.words(["--with", &value]).probe(Order::Work("main", 10)).start();
        wait_for_lines(&running, &["daemon", "main"].map(|name| Report::Ready.by(name)));
        let daemon = find(&running, "daemon");
        // Its parent is the init: orphans are adopted, as the drain needs them.
        procfs::wait_until("it is adopted", || procfs::parent(daemon) == Some(running.pid()));
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        expect_lines(&outcome, &[(Report::Got(15).by("daemon"), 1), (Report::Finished.by("daemon"), 1)]);
    });
}

#[test]
fn helper_that_daemonises_has_exited() {
    in_both_settings(|start| {
        // It exits when the daemon is ready.
        let value = helper_script("mkfifo $0; probe daemon daemon 100 & wait; read line <$0");
        let scratch = Scratch::new();
        let fifo = scratch.path().join("fifo");
        let value = format!("{value} {}", fifo.display());
        let running = start.words(["--with", &value]).probe(Order::Work("main", 10)).start();
        wait_for_lines(&running, &["daemon", "main"].map(|name| Report::Ready.by(name)));
        fs::write(&fifo, "go\n").expect("the fifo");
        let outcome = running.outcome();
        outcome.expect_code(1);
        expect_helper_line(&outcome, &value, "exited with status 0");
        for name in ["daemon", "main"] {
            expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
        }
    });
}

#[test]
fn kill_after_counts_from_the_helper_exit() {
    in_both_settings(|start| {
        let value = helper(Order::Record(10));
        let start = start.words(["--kill-after", "2s", "--with", &value]);
        let running = start.probe(Order::Work("stubborn", 999_999)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("stubborn")]);
        let before = Instant::now();
        send(find(&running, "10"), libc::SIGUSR1);
        let outcome = running.outcome();
        // The helper's, not that of the command, which was killed.
        outcome.expect_code(42);
        assert!(before.elapsed() >= Duration::from_secs(2), "{outcome}");
        expect_lines(&outcome, &[(Report::Got(15).by("stubborn"), 1)]);
        assert!(outcome.stderr().contains("work stubborn"), "{outcome}");
    });
}

#[test]
fn helper_may_exit_after_the_command_of_a_lingering_init() {
    in_both_settings(|start| {
        let value = helper(Order::Record(10));
        let text = "setsid probe work daemon 50 & exit 6";
        let running = start.words(["-v", "--linger", "--with", &value]).words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("daemon")]);
        running.wait_for_debug_line("Lingering");
        send(find(&running, "10"), libc::SIGUSR1);
        send(find(&running, "daemon"), libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(6);
        assert!(!outcome.stderr().contains("helper '"), "{outcome}");
    });
}

#[test]
fn delayed_request_makes_a_helper_exit_expected() {
    in_both_settings(|start| {
        let start = start.words(["-v", "--delay", "TERM:1h", "--with", &helper(Order::Record(10))]);
        let running = start.probe(Order::Record(15)).start();
        running
            .wait_for_stdout("two that are ready", |text| count_lines(text, &Report::Ready.to_string()) == 2);
        running.signal(libc::SIGTERM);
        running.wait_for_debug_line("Holding signal 15");
        let pid = find(&running, "10");
        send(pid, libc::SIGUSR1);
        wait_until_reaped(&running, pid);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(!outcome.stderr().contains("helper '"), "{outcome}");
    });
}

#[test]
fn helpers_work_under_other_names() {
    let scratch = Scratch::new();
    for name in ["tini", "catatonit", "docker-init", "podman-init"] {
        if tests_the_original() {
            return;
        }
        let link = scratch.path().join(name);
        std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
        in_both_settings(|start| {
            let value = helper(Order::Work("helper", 50));
            let start = start.program_at(&link).name(name).variable("DUMB_INIT_WITH", value);
            let start = start.variable("TINI_SUBREAPER", "");
            let running = start.word("--").probe(Order::Work("main", 10)).start();
            wait_for_lines(&running, &["helper", "main"].map(|name| Report::Ready.by(name)));
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            for name in ["helper", "main"] {
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
        });
        in_both_settings(|start| {
            let start = start.program_at(&link).name(name).variable("DUMB_INIT_WITH", "sh -c 'exit 9'");
            let outcome = start.word("--").probe(Order::Hang).run();
            outcome.expect_code(9);
            assert!(outcome.stderr().contains("helper 'sh -c 'exit 9'' (PID "), "{outcome}");
        });
    }
}

#[test]
fn stopped_helper_exits_on_a_termination_signal() {
    for forward in ["child", "group", "tree"] {
        in_both_settings(|start| {
            let start = start.words(["--forward", forward, "--with", &helper(Order::Work("helper", 10))]);
            let running = start.probe(Order::Record(12)).start();
            wait_for_lines(&running, &[Report::Ready.by("helper"), Report::Ready.to_string()]);
            let pid = find(&running, "helper");
            send(pid, libc::SIGSTOP);
            procfs::wait_for_state(pid, 'T');
            running.signal(libc::SIGTERM);
            // The command is still there, so no drain has resumed it.
            running.wait_for_line(Report::Finished.by("helper"));
            running.signal(libc::SIGUSR2);
            running.outcome().expect_code(42).expect_stderr("");
        });
    }
}

#[test]
fn sockets_of_the_init_are_for_the_command_only() {
    let Some(start) = init_beyond() else { return };
    let report = format!("-{}", helper(Order::Report));
    let start = start.condition(Condition::ListenPid).words(["--with", &report]);
    let running = start.probe(Order::Work("main", 10)).start();
    running.wait_for_line(Report::Ready.by("main"));
    running.wait_for_stdout("the report", |text| text.contains("\nlisten-pid="));
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    assert_ne!(outcome.report(Property::ListenPid), outcome.report(Property::Pid), "{outcome}");
}

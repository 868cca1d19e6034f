//! `--pre-stop`: the hook before a shutdown.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::{count_lines, expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::differences::tests_the_original;
use crate::support::{
    Order, Outcome, Property, Report, Running, Scratch, Start, decoded, init_beyond, init_under_test, procfs,
    property, send, with_probe,
};

/// The value of `--pre-stop` for the probe with this order.
fn hook(order: Order) -> String {
    with_probe(format!("probe {order}"))
}

/// The value for a shell script without quotes, in which `probe` is the probe.
fn hook_script(text: &str) -> String {
    format!("sh -c '{}'", with_probe(text))
}

/// A hook that reports each signal and exits with 42 on SIGUSR1. No other process has `RELEASE` in its
/// command line.
const HELD: Order = Order::Record(libc::SIGUSR1);
const RELEASE: &str = "10";
const FAILED: &str = "[dumb-init] The pre-stop hook exited with status 42; shutting down.\n";

/// Sends SIGTERM, and returns the hook when it is ready.
fn start_hook(running: &Running) -> Pid {
    running.signal(libc::SIGTERM);
    running.wait_for_line(Report::Ready);
    find(running, RELEASE)
}

fn release(hook: Pid) {
    send(hook, libc::SIGUSR1);
}

/// Waits until the init has reaped a process and waits for the next event.
fn wait_until_reaped(running: &Running, pid: Pid) {
    procfs::wait_until("it is reaped", || procfs::state(pid).is_none());
    procfs::wait_until("the init waits", || procfs::waits_without_a_signal(running.pid()));
}

/// Expects these lines on stdout, in this order, among others.
#[track_caller]
fn expect_order(outcome: &Outcome, lines: &[String]) {
    let text = outcome.stdout();
    let mut rest = text.lines();
    for line in lines {
        assert!(rest.any(|candidate| candidate == line), "{line:?} in its order\n{outcome}");
    }
}

/// The entries of a reported environment.
fn environment(report: &str) -> Vec<String> {
    let text = property(report, Property::Environment).expect("an environment");
    text.split(' ').map(decoded).collect()
}

#[test]
fn hook_has_session_directory_and_variables() {
    for (number, name) in [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT"), (libc::SIGQUIT, "QUIT")] {
        in_both_settings(|start| {
            let scratch = Scratch::new();
            let file = scratch.path().join("report");
            let start = start.words(["--pre-stop", &hook(Order::Report)]).directory(scratch.path());
            let start = start.variable("REPORT_TO", &file).variable("DUMB_INIT_SIGNAL", "OLD");
            let running = start.probe(Order::Record(number)).start();
            running.wait_for_line(Report::Ready);
            // As the init and the hook see it.
            let pids = procfs::status_field(running.command_pid(), "NSpid").expect("NSpid");
            let command = pids.split_whitespace().last().expect("a PID").to_owned();
            running.signal(number);
            let outcome = running.outcome();
            outcome.expect_code(42);
            outcome.expect_stderr("[dumb-init] The pre-stop hook exited with status 5; shutting down.\n");
            let report = fs::read_to_string(&file).expect("a report");
            let value = |name| property(&report, name).expect("a property");
            let pid = value(Property::Pid);
            for (property, expected) in [
                (Property::Sid, pid.as_str()),
                (Property::Pgid, &pid),
                (Property::Terminal, "false"),
                (Property::Descriptors, "0 1 2"),
                (Property::Dispositions, ""),
                (Property::Blocked, ""),
            ] {
                assert_eq!(value(property), expected, "{property}\n{report}");
            }
            let directory = scratch.path().display().to_string();
            assert_eq!(decoded(&value(Property::Cwd)), directory);
            let environment = environment(&report);
            let values = |name: &str| -> Vec<&str> {
                environment.iter().filter_map(|entry| entry.strip_prefix(name)).collect()
            };
            assert_eq!(values("DUMB_INIT_SIGNAL="), [name]);
            assert_eq!(values("DUMB_INIT_COMMAND_PID="), [command.as_str()]);
            assert_eq!(values("REPORT_TO="), [file.to_str().expect("a path")]);
            assert_ne!(environment.len(), 3, "the others of the init\n{environment:?}");
        });
    }
}

#[test]
fn hook_reads_nothing_and_has_no_terminal() {
    in_both_settings(|start| {
        let value = hook_script("exec >&2; exec probe record 10");
        let text = "exec >&2; exec probe work main 20";
        let start = start.words(["--pre-stop", &value]).words(script(text));
        let (running, _terminal) = start.start_on_terminal();
        running.wait_for_debug_line("main ready");
        running.signal(libc::SIGTERM);
        procfs::wait_until("the hook is ready", || count_lines(&running.stderr(), "ready") == 1);
        let pid = find(&running, RELEASE);
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/0")).expect("stdin").to_str(), Some("/dev/null"));
        // The seventh field of stat is the controlling terminal (proc_pid_stat(5)).
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
        assert_eq!(text.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(4)), Some("0"));
        release(pid);
        running.outcome().expect_code(0);
    });
}

#[test]
fn signal_is_forwarded_after_the_hook_and_others_meanwhile() {
    for forward in ["child", "group", "tree"] {
        in_both_settings(|start| {
            let start = start.words(["--forward", forward, "--pre-stop", &hook(HELD)]);
            let running = start.probe(Order::Work("main", 20)).start();
            running.wait_for_line(Report::Ready.by("main"));
            let hook = start_hook(&running);
            for number in [libc::SIGHUP, libc::SIGUSR2, libc::SIGINT, 40] {
                running.signal(number);
                running.wait_for_line(Report::Got(number).by("main"));
            }
            release(hook);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr(FAILED);
            let got = |number| Report::Got(number).by("main");
            // The hook receives none of them.
            let lines = [
                Report::Ready.by("main"),
                Report::Ready.to_string(),
                got(1),
                got(12),
                got(2),
                got(40),
                Report::Got(10).to_string(),
                got(15),
                Report::Finished.by("main"),
            ];
            outcome.expect_stdout(&(lines.join("\n") + "\n"));
        });
    }
}

#[test]
fn signal_is_forwarded_after_hook_and_delay() {
    // The delay is over first.
    in_both_settings(|start| {
        let start = start.words(["-v", "--delay", "TERM:1ms", "--pre-stop", &hook(HELD)]);
        let running = start.probe(Order::Work("main", 20)).start();
        running.wait_for_line(Report::Ready.by("main"));
        let before = Instant::now();
        let hook = start_hook(&running);
        procfs::wait_until("the delay is over", || before.elapsed() > Duration::from_millis(50));
        running.signal(libc::SIGUSR2);
        running.wait_for_line(Report::Got(12).by("main"));
        release(hook);
        let outcome = running.outcome();
        outcome.expect_code(0);
        expect_order(
            &outcome,
            &[Report::Got(12).by("main"), Report::Got(10).to_string(), Report::Got(15).by("main")],
        );
    });
    // The hook is over first.
    in_both_settings(|start| {
        let start = start.words(["--delay", "TERM:1500ms", "--pre-stop", "echo left"]);
        let running = start.probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        assert!(before.elapsed() >= Duration::from_millis(1500), "{outcome}");
        outcome.expect_code(42).expect_stdout("ready\nleft\ngot 15\n").expect_stderr("");
    });
}

#[test]
fn repeated_signal_ends_the_delay_after_the_hook() {
    in_both_settings(|start| {
        let start = start.words(["-v", "--delay", "TERM:1h", "--pre-stop", "echo left"]);
        let running = start.probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.wait_for_line("left");
        running.wait_for_debug_line("exited with exit status 0.");
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(42).expect_stdout("ready\nleft\ngot 15\n");
    });
}

#[test]
fn repeated_signal_ends_hook_and_delay_at_once() {
    in_both_settings(|start| {
        let options = ["--delay", "TERM:1h", "--pre-stop-timeout", "1h", "--pre-stop", &hook(HELD)];
        let running = start.words(options).probe(Order::Work("main", 20)).start();
        running.wait_for_line(Report::Ready.by("main"));
        let hook = start_hook(&running);
        running.signal(libc::SIGTERM);
        // The hook does not exit on SIGTERM, and the command receives the signal all the same.
        wait_for_lines(&running, &[Report::Got(15).to_string(), Report::Got(15).by("main")]);
        release(hook);
        let outcome = running.outcome();
        // A hook that was asked to exit has not failed.
        outcome.expect_code(0).expect_stderr("");
        expect_lines(&outcome, &[(Report::Got(15).to_string(), 1), (Report::Got(15).by("main"), 1)]);
    });
}

#[test]
fn hook_ended_by_a_repeated_signal_has_one_more_second() {
    in_both_settings(|start| {
        let options = ["--pre-stop-timeout", "1h", "--pre-stop", &hook(HELD)];
        let running = start.words(options).probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        // The command has exited at once; the init waits for the hook.
        outcome.expect_code(42).expect_stderr("");
        assert!(before.elapsed() >= Duration::from_secs(1), "{outcome}");
        expect_lines(&outcome, &[("got 15", 2), ("got 10", 0)]);
    });
}

#[test]
fn hook_is_terminated_at_its_timeout_and_killed_later() {
    in_both_settings(|start| {
        let options = ["--pre-stop-timeout", "2s", "--pre-stop", &hook(HELD)];
        let running = start.words(options).probe(Order::Record(12)).start();
        running.wait_for_line(Report::Ready);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        let hook = find(&running, RELEASE);
        // The hook receives it, then the command.
        running.wait_for_stdout("both signals", |text| count_lines(text, "got 15") == 2);
        assert!(before.elapsed() >= Duration::from_secs(3), "{running}");
        wait_until_reaped(&running, hook);
        running.signal(libc::SIGUSR2);
        let outcome = running.outcome();
        let line = "[dumb-init] The pre-stop hook has not exited in time; terminating it.\n";
        outcome.expect_code(42).expect_stderr(line);
        expect_lines(&outcome, &[("got 15", 2), ("got 10", 0)]);
    });
}

#[test]
fn timeout_of_the_hook_reaches_its_process_group() {
    in_both_settings(|start| {
        let text = hook_script("probe work kid 30 & probe work other 30 & wait; wait; echo left");
        let options = ["--pre-stop-timeout", "3s", "--pre-stop", &text];
        let running = start.words(options).probe(Order::Work("main", 20)).start();
        running.wait_for_line(Report::Ready.by("main"));
        running.signal(libc::SIGTERM);
        wait_for_lines(&running, &["kid", "other"].map(|name| Report::Ready.by(name)));
        running.wait_for_line(Report::Got(15).by("main"));
        let lines = ["kid", "other"].map(|name| Report::Got(15).by(name));
        wait_for_lines(&running, &lines);
        let outcome = running.outcome();
        outcome.expect_code(0);
        // The shell that the signal has terminated has not failed.
        assert_eq!(outcome.stderr().lines().count(), 1, "{outcome}");
        expect_lines(&outcome, &lines.map(|line| (line, 1)));
    });
}

#[test]
fn hook_without_a_limit_is_waited_for() {
    in_both_settings(|start| {
        let start = start.variable("DUMB_INIT_PRE_STOP", hook(HELD));
        let start = start.variable("DUMB_INIT_PRE_STOP_TIMEOUT", "forever");
        let running = start.probe(Order::Work("main", 20)).start();
        running.wait_for_line(Report::Ready.by("main"));
        let hook = start_hook(&running);
        // The init waits without a deadline: the third argument of rt_sigtimedwait is no time.
        procfs::wait_until("it sleeps", || procfs::waits_without_a_signal(running.pid()));
        if let Ok(call) = fs::read_to_string(format!("/proc/{}/syscall", running.pid())) {
            assert_eq!(call.split(' ').nth(3), Some("0x0"), "{call}");
        }
        release(hook);
        running.outcome().expect_code(0).expect_stderr(FAILED);
    });
}

#[test]
fn process_left_by_the_hook_is_not_waited_for() {
    in_both_settings(|start| {
        let value = hook(Order::Daemon("left", 999_999));
        let running = start.words(["--pre-stop", &value]).probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42).expect_stderr("");
        expect_lines(&outcome, &[("left got 15", 0)]);
    });
    // With a drain it is a process like any other.
    in_both_settings(|start| {
        let value = hook(Order::Daemon("left", 30));
        let start = start.words(["--drain", "60s", "--pre-stop", &value]);
        let running = start.probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(42).expect_stderr("");
        expect_lines(&outcome, &[("left got 15", 1), ("left finished", 1)]);
    });
}

#[test]
fn failed_hook_is_reported_and_the_shutdown_continues() {
    for (value, lines) in [
        ("false", "[dumb-init] The pre-stop hook exited with status 1; shutting down.\n"),
        ("sh -c 'kill -KILL $$'", "[dumb-init] The pre-stop hook was killed by SIGKILL; shutting down.\n"),
        (
            "/nonexistent/hook x",
            "[dumb-init] /nonexistent/hook: No such file or directory\n\
             [dumb-init] The pre-stop hook exited with status 2; shutting down.\n",
        ),
        ("true", ""),
    ] {
        in_both_settings(|start| {
            let running = start.words(["--pre-stop", value]).probe(Order::Record(15)).start();
            running.wait_for_line(Report::Ready);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(42).expect_stderr(lines).expect_stdout("ready\ngot 15\n");
        });
    }
}

#[test]
fn init_waits_for_the_hook_if_the_command_exits_meanwhile() {
    for options in [&[][..], &["-c"], &["--drain", "60s"], &["--linger"]] {
        in_both_settings(|start| {
            let start = start.words(options).words(["--pre-stop", &hook(HELD)]);
            let running = start.probe(Order::Record(12)).start();
            running.wait_for_line(Report::Ready);
            let command = find(&running, "12");
            running.signal(libc::SIGTERM);
            running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
            let hook = find(&running, RELEASE);
            send(command, libc::SIGUSR2);
            wait_until_reaped(&running, command);
            release(hook);
            let outcome = running.outcome();
            outcome.expect_code(42).expect_stderr(FAILED);
            outcome.expect_stdout("ready\nready\ngot 12\ngot 10\n");
        });
    }
}

#[test]
fn hook_timeout_counts_after_the_command_exit() {
    in_both_settings(|start| {
        let options = ["--pre-stop-timeout", "3s", "--pre-stop", &hook(Order::Hang)];
        let running = start.words(options).probe(Order::Record(12)).start();
        running.wait_for_line(Report::Ready);
        let before = Instant::now();
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        send(find(&running, "12"), libc::SIGUSR2);
        let outcome = running.outcome();
        outcome.expect_code(42);
        // Less than the default.
        let took = before.elapsed();
        assert!((3.0..10.0).contains(&took.as_secs_f64()), "{took:?}\n{outcome}");
        assert!(outcome.stderr().contains("has not exited in time"), "{outcome}");
    });
}

#[test]
fn drain_and_its_deadline_spare_the_hook() {
    in_both_settings(|start| {
        let value = hook_script("probe work kid 30 & kid=$!; probe record 10; kill $kid; wait");
        let text = "setsid probe work stubborn 999999 & exec probe record 12";
        let start = start.words(["-v", "--drain", "2s", "--pre-stop", &value]);
        let running = start.words(script(text)).start();
        wait_for_lines(&running, &[Report::Ready.by("stubborn"), Report::Ready.to_string()]);
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Ready.by("kid"));
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        let hook = find(&running, RELEASE);
        send(find(&running, "12"), libc::SIGUSR2);
        // The drain has killed the other process at its deadline.
        running.wait_for_debug_line("Killing PID");
        running.wait_for_debug_line("was terminated by signal 9");
        // Then another signal, to all descendants.
        running.signal(libc::SIGUSR2);
        running.wait_for_debug_line("Received signal 12.");
        procfs::wait_until("the init waits", || procfs::waits_without_a_signal(running.pid()));
        release(hook);
        let outcome = running.outcome();
        outcome.expect_code(42);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("stubborn"), 1),
                (Report::Got(10).to_string(), 1),
                (Report::Got(12).to_string(), 1),
                (Report::Got(15).to_string(), 0),
                // The hook's own kill.
                (Report::Got(15).by("kid"), 1),
                (Report::Got(12).by("kid"), 0),
                (Report::Finished.by("kid"), 1),
            ],
        );
        assert_eq!(outcome.stderr().matches("Killing PID").count(), 1, "{outcome}");
    });
}

#[test]
fn kill_after_spares_the_hook() {
    in_both_settings(|start| {
        let options = ["--kill-after", "2s", "--forward", "tree", "--pre-stop", &hook(HELD)];
        let running = start.words(options).probe(Order::Work("main", 999_999)).start();
        running.wait_for_line(Report::Ready.by("main"));
        let command = find(&running, "main");
        let hook = start_hook(&running);
        // Another request is forwarded meanwhile, and starts the time.
        running.signal(libc::SIGINT);
        running.wait_for_line(Report::Got(2).by("main"));
        wait_until_reaped(&running, command);
        release(hook);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert_eq!(outcome.stderr().matches("Killing PID").count(), 1, "{outcome}");
        expect_lines(&outcome, &[("got 2", 0), ("got 15", 0), ("got 10", 1)]);
    });
}

#[test]
fn kill_after_counts_from_the_forwarding() {
    in_both_settings(|start| {
        let options = ["--kill-after", "2s", "--pre-stop", &hook(HELD)];
        let running = start.words(options).probe(Order::Work("main", 999_999)).start();
        running.wait_for_line(Report::Ready.by("main"));
        let before = Instant::now();
        let hook = start_hook(&running);
        procfs::wait_until("the time is over", || before.elapsed() > Duration::from_millis(2300));
        running.signal(libc::SIGUSR2);
        running.wait_for_line(Report::Got(12).by("main"));
        let released = Instant::now();
        release(hook);
        let outcome = running.outcome();
        outcome.expect_code(137);
        assert!(released.elapsed() >= Duration::from_secs(2), "{outcome}");
        expect_lines(&outcome, &[(Report::Got(15).by("main"), 1)]);
    });
}

#[test]
fn hook_runs_once() {
    in_both_settings(|start| {
        let start = start.words(["--pre-stop", "sh -c 'echo hook $DUMB_INIT_SIGNAL'"]);
        let running = start.probe(Order::Record(libc::SIGQUIT)).start();
        running.wait_for_line(Report::Ready);
        // No request.
        running.signal(libc::SIGHUP);
        running.wait_for_line(Report::Got(1));
        for number in [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT] {
            running.signal(number);
            running.wait_for_line(Report::Got(number));
        }
        let outcome = running.outcome();
        outcome.expect_code(42).expect_stderr("");
        outcome.expect_stdout("ready\ngot 1\nhook INT\ngot 2\ngot 15\ngot 3\n");
    });
}

#[test]
fn hook_does_not_run_without_a_request() {
    in_both_settings(|start| {
        let outcome = start.words(["--pre-stop", "echo hook"]).probe(Order::Exit(6)).run();
        outcome.expect_code(6).expect_stdout("").expect_stderr("");
    });
    // A dropped signal is no request.
    in_both_settings(|start| {
        let start = start.words(["-r", "TERM:0", "--pre-stop", "echo hook"]);
        let running = start.probe(Order::Record(12)).start();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGTERM);
        running.signal(libc::SIGUSR2);
        running.outcome().expect_code(42).expect_stdout("ready\ngot 12\n").expect_stderr("");
    });
}

#[test]
fn signal_rewritten_to_a_request_starts_the_hook() {
    for (rule, sent, got) in [("USR2:TERM", libc::SIGUSR2, 15), ("TERM:USR2", libc::SIGTERM, 12)] {
        in_both_settings(|start| {
            let start = start.words(["-r", rule, "--pre-stop", "echo hook"]);
            let running = start.probe(Order::Record(got)).start();
            running.wait_for_line(Report::Ready);
            running.signal(sent);
            let outcome = running.outcome();
            outcome.expect_code(42).expect_stdout(&format!("ready\nhook\ngot {got}\n")).expect_stderr("");
        });
    }
}

#[test]
fn ctrl_c_starts_the_hook_of_a_single_child() {
    in_both_settings(|start| {
        let start = start.words(["-c", "--pre-stop", "sh -c 'echo hook $DUMB_INIT_SIGNAL >&2'"]);
        let text = "exec >&2; exec probe work main 20";
        let (running, mut terminal) = start.words(script(text)).start_on_terminal();
        running.wait_for_debug_line("main ready");
        terminal.keys("\x03");
        // The command has the signal from the terminal already.
        running.wait_for_debug_line("main got 2");
        running.wait_for_debug_line("hook INT");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0);
        for line in ["main got 2", "main got 15", "hook INT", "hook TERM"] {
            let times = usize::from(line != "hook TERM");
            assert_eq!(count_lines(&outcome.stderr(), line), times, "{line}\n{outcome}");
        }
    });
}

#[test]
fn helper_exit_starts_the_hook() {
    in_both_settings(|start| {
        let value = hook_script("echo hook $DUMB_INIT_SIGNAL; exec probe record 10");
        let start = start.words(["--with", &hook(Order::Record(12)), "--pre-stop", &value]);
        let start = start.words(["-r", "15:2", "--delay", "TERM:1h"]);
        let running = start.probe(Order::Work("main", 20)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("main")]);
        send(find(&running, "12"), libc::SIGUSR2);
        running.wait_for_line("hook TERM");
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        running.signal(libc::SIGHUP);
        running.wait_for_line(Report::Got(1).by("main"));
        release(find(&running, RELEASE));
        let outcome = running.outcome();
        outcome.expect_code(42);
        assert!(outcome.stderr().contains("exited with status 42; shutting down\n"), "{outcome}");
        expect_order(
            &outcome,
            &[
                Report::Got(1).by("main"),
                Report::Got(10).to_string(),
                Report::Got(15).by("main"),
                Report::Finished.by("main"),
            ],
        );
    });
}

#[test]
fn helper_may_exit_while_the_hook_runs() {
    in_both_settings(|start| {
        let start = start.words(["--with", &hook(Order::Record(12)), "--pre-stop", &hook(HELD)]);
        let running = start.probe(Order::Work("main", 20)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("main")]);
        running.signal(libc::SIGTERM);
        running.wait_for_stdout("the hook", |text| count_lines(text, "ready") == 2);
        let helper = find(&running, "12");
        send(helper, libc::SIGUSR2);
        wait_until_reaped(&running, helper);
        release(find(&running, RELEASE));
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr(FAILED);
        expect_lines(&outcome, &[(Report::Got(15).by("main"), 1)]);
    });
}

#[test]
fn hook_works_under_other_names() {
    if tests_the_original() {
        return;
    }
    let scratch = Scratch::new();
    for name in ["tini", "catatonit"] {
        let link = scratch.path().join(name);
        std::os::unix::fs::symlink(init_under_test(), &link).expect("a link");
        in_both_settings(|start| {
            let start = start.program_at(&link).name(name).variable("DUMB_INIT_PRE_STOP", "echo hook");
            let start = start.variable("TINI_SUBREAPER", "");
            let running = start.word("--").probe(Order::Record(15)).start();
            running.wait_for_line(Report::Ready);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(42).expect_stdout("ready\nhook\ngot 15\n").expect_stderr("");
        });
    }
}

#[test]
fn nested_init_with_a_hook_signals_its_own_descendants() {
    in_both_settings(|start| {
        // The init below is recognised though it keeps its working directory.
        let inner = init_under_test().display().to_string();
        let scratch = Scratch::new();
        let start = start.words(["--forward", "tree"]).word(inner).words(["--pre-stop", &hook(HELD)]);
        let running = start.directory(scratch.path()).probe(Order::Work("main", 20)).start();
        running.wait_for_line(Report::Ready.by("main"));
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGUSR2);
        running.wait_for_line(Report::Got(12).by("main"));
        release(find(&running, RELEASE));
        let outcome = running.outcome();
        outcome.expect_code(0);
        expect_order(&outcome, &[Report::Got(10).to_string(), Report::Got(15).by("main")]);
        expect_lines(&outcome, &[(Report::Got(15).by("main"), 1), (Report::Got(12).by("main"), 1)]);
    });
}

#[test]
fn working_directory_is_released_without_a_hook() {
    for (options, releases) in [(&[][..], true), (&["--pre-stop", "true"], false)] {
        let Some(start) = init_beyond() else { return };
        let scratch = Scratch::new();
        let start: Start = start.stdin(File::open("/dev/null").expect("a file")).words(options);
        let running = start.directory(scratch.path()).probe(Order::Record(15)).start();
        running.wait_for_line(Report::Ready);
        procfs::wait_until("it waits", || procfs::waits_without_a_signal(running.pid()));
        let directory = fs::read_link(format!("/proc/{}/cwd", running.pid())).expect("a directory");
        assert_eq!(directory.to_str() == Some("/"), releases, "{}", directory.display());
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(42);
    }
}

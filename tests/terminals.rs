//! The controlling terminal: its owner, and the effect of its keys.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use crate::support::differences::{Original, wanted_difference};
use crate::support::{
    Condition, Order, Outcome, Property, Report, Scratch, Start, Terminal, deadline, init, init_beyond,
    init_under_test, probe, procfs,
};

#[test]
fn session_leader_hands_its_terminal_to_the_command() {
    let (running, _terminal) = init().probe(Order::Report).start_on_terminal();
    let outcome = running.outcome();
    outcome.expect_code(5);
    assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
    assert_eq!(outcome.report(Property::Foreground), "true", "{outcome}");
    assert_eq!(outcome.report(Property::Sid), outcome.report(Property::Pid), "{outcome}");
}

#[test]
fn single_child_shares_the_terminal() {
    let (running, _terminal) = init().word("-c").probe(Order::Report).start_on_terminal();
    let outcome = running.outcome();
    assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
    assert_eq!(outcome.report(Property::Foreground), "true", "{outcome}");
    assert_ne!(outcome.report(Property::Sid), outcome.report(Property::Pid), "{outcome}");
}

#[test]
fn hand_off_is_logged_and_its_signals_are_not_forwarded() {
    let (running, _terminal) = init().word("-v").probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    running.wait_for_debug_line("Ignoring tty hand-off signal 18.");
    running.signal(64);
    let outcome = running.outcome();
    outcome.expect_code(42);
    let stderr = outcome.stderr();
    assert!(stderr.starts_with(
        "[dumb-init] Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.\n"
    ));
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("hand-off")).collect();
    let ignored =
        ["[dumb-init] Ignoring tty hand-off signal 1.", "[dumb-init] Ignoring tty hand-off signal 18."];
    assert_eq!(lines, ignored, "{outcome}");
    // The two processes of the original race here.
    if init_beyond().is_some() {
        let lines: Vec<&str> = stderr.lines().skip(1).take(6).collect();
        let expected = [
            "Received signal 1.",
            "Ignoring tty hand-off signal 1.",
            "Received signal 18.",
            "Ignoring tty hand-off signal 18.",
            "setsid complete.",
        ];
        assert!(lines[0].starts_with("[dumb-init] Child spawned with PID "), "{outcome}");
        assert_eq!(lines[1..], expected.map(|line| format!("[dumb-init] {line}")), "{outcome}");
    }
    let got: Vec<String> = outcome.stdout().lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(got, ["ready", "got 64"], "{outcome}");
}

#[test]
fn hangup_after_hand_off_reaches_the_command() {
    let (running, _terminal) = init().probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    // A forwarded signal with a higher number shows that the hand-off's own two have been handled.
    running.signal(63);
    running.wait_for_line(Report::Got(63));
    running.signal(libc::SIGHUP);
    running.wait_for_line(Report::Got(1));
    running.signal(libc::SIGCONT);
    running.wait_for_line(Report::Got(18));
}

#[test]
fn hangup_pending_at_hand_off_reaches_the_command() {
    wanted_difference("11. Hand-off signals", Original::Fails, || {
        let (running, _terminal) = init()
            .condition(Condition::Pending(1))
            .condition(Condition::Pending(18))
            .word("-v")
            .probe(Order::Exit(0))
            .start_on_terminal();
        let outcome = running.outcome();
        for number in [1, 18] {
            assert!(
                outcome.stderr().contains(&format!("Forwarded signal {number} to children.")),
                "{outcome}"
            );
        }
    });
}

#[test]
fn hangup_while_hand_off_is_logged_reaches_the_command() {
    wanted_difference("11. Hand-off signals", Original::Fails, || {
        // Nobody reads its messages, so it waits for a while.
        let start = init().condition(Condition::Clogged(2)).word("-v").probe(Order::Hang);
        let (running, _terminal) = start.start_on_terminal();
        // Its controlling terminal (proc_pid_stat(5)), which it has given up before.
        let terminal = || {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap_or_default();
            text.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(4)).map(str::to_owned)
        };
        let is_the_init =
            || std::fs::read_link(format!("/proc/{}/exe", running.pid())).is_ok_and(|exe| exe != probe());
        procfs::wait_until("it has given the terminal up", || {
            is_the_init() && terminal().as_deref() == Some("0")
        });
        running.signal(libc::SIGHUP);
        running.outcome().expect_code(129);
    });
}

#[test]
fn hangup_is_forwarded_if_hand_off_caused_none() {
    wanted_difference("11. Hand-off signals", Original::Fails, || {
        // Not in the foreground: the kernel's two go to another group.
        let (running, _terminal) =
            init().condition(Condition::Background).probe(Order::Record(64)).start_on_terminal();
        running.wait_for_line(Report::Ready);
        running.signal(libc::SIGHUP);
        running.signal(64);
        let outcome = running.outcome();
        let got: Vec<String> = outcome.stdout().lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(got, ["ready", "got 1", "got 64"], "{outcome}");
    });
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    let (running, mut terminal) = init().probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    keys_and_expect(&running, &mut terminal, &["got 2", "got 3"]);
}

#[test]
fn ctrl_c_reaches_a_single_child_once() {
    wanted_difference("10. Keys", Original::Fails, || {
        let (running, mut terminal) = init().word("-vc").probe(Order::Record(64)).start_on_terminal();
        running.wait_for_line(Report::Ready);
        keys_and_expect(&running, &mut terminal, &["got 2", "got 3"]);
        running.wait_for_debug_line("Forwarded signal 64");
        // Two pending signals of the same number become one, so the command's reports do not count
        // them.
        for number in [2, 3] {
            assert!(running.stderr().contains(&format!("Received signal {number}.")), "{running}");
            assert!(!running.stderr().contains(&format!("Forwarded signal {number} ")), "{running}");
        }
    });
}

/// Presses Ctrl-C and Ctrl-\, ends the command, and compares its reports.
fn keys_and_expect(running: &crate::support::Running, terminal: &mut Terminal, expected: &[&str]) {
    for (key, line) in ["\x03", "\x1c"].iter().zip(expected) {
        terminal.keys(key);
        running.wait_for_line(line);
    }
    // Each signal that the init forwards comes before one with a higher number that is sent to it afterwards.
    running.signal(64);
    running.wait_for_line(Report::Got(64));
    let stdout = running.stdout();
    let got: Vec<&str> =
        stdout.lines().map(str::trim).filter_map(|line| line.find("got").map(|at| &line[at..])).collect();
    let expected: Vec<&str> = expected.iter().copied().chain(["got 64"]).collect();
    assert_eq!(got, expected, "{running}");
}

#[test]
fn key_before_start_reaches_a_single_child() {
    wanted_difference("10. Keys", Original::IsNotTried, || {
        let (running, mut terminal) = init()
            .condition(Condition::Blocked(2))
            .condition(Condition::Waits)
            .word("-c")
            .probe(Order::Hang)
            .start_on_terminal();
        running.wait_for_line(Report::Waiting);
        terminal.keys("\x03");
        // Ctrl-C is waiting when the init is executed.
        procfs::wait_until("the key has arrived", || {
            procfs::status_field(running.pid(), "ShdPnd") == Some("0000000000000002".into())
        });
        running.signal(libc::SIGUSR1);
        running.outcome().expect_code(130);
    });
}

/// Whether the process has its terminal, and has not executed the command yet.
fn is_in_the_foreground(pid: nix::unistd::Pid) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // Its group, and the terminal's foreground group (proc_pid_stat(5)).
    fields.get(2).is_some_and(|group| *group == pid.to_string() && fields.get(5) == Some(group))
}

/// Types a key after the command has the terminal and before its exec. The search in thousands of
/// directories takes some hundredths of a second. A miss is repeated.
pub(crate) fn type_before_the_exec(key: &str, start: impl Fn() -> Start) -> Outcome {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink(probe(), scratch.path().join("found")).expect("a link");
    let path = format!("{}{}", "/n:".repeat(30_000), scratch.path().display());
    let end = deadline();
    loop {
        let (running, mut terminal) =
            start().variable("PATH", &path).words(["found", "hang"]).start_on_terminal();
        procfs::wait_until("the command's process has the terminal", || {
            procfs::children(running.pid()).first().is_some_and(|&child| is_in_the_foreground(child))
        });
        if running.stdout().is_empty() {
            terminal.keys(key);
            return running.outcome();
        }
        assert!(Instant::now() < end, "always too late: {running}");
    }
}

#[test]
fn key_before_exec_reaches_the_command() {
    wanted_difference("2. Signals of the first milliseconds", Original::IsNotTried, || {
        for (key, code) in [("\x03", 130), ("\x1c", 131)] {
            type_before_the_exec(key, init).expect_code(code);
        }
    });
}

#[test]
fn rewritten_key_reaches_a_single_child() {
    let (running, mut terminal) =
        init().words(["-c", "-r", "2:10"]).probe(Order::Record(64)).start_on_terminal();
    running.wait_for_line(Report::Ready);
    terminal.keys("\x03");
    running.wait_for_line(Report::Got(10));
}

/// Makes the kernel send the init a signal when a pipe becomes readable.
fn send_by_kernel(running: &crate::support::Running, number: i32) {
    const F_SETSIG: i32 = 10;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let commands =
        [(libc::F_SETOWN, running.pid().as_raw()), (F_SETSIG, number), (libc::F_SETFL, libc::O_ASYNC)];
    for (command, value) in commands {
        // SAFETY: each takes a number.
        let result = unsafe { libc::fcntl(reader.as_raw_fd(), command, value) };
        assert_eq!(result, 0, "fcntl({command}, {value})");
    }
    writer.write_all(b"x").expect("the pipe");
    // Dropped before the other end, which would raise another signal.
    drop(reader);
}

#[test]
fn kernel_signal_to_the_init_reaches_a_single_child() {
    wanted_difference("10. Keys", Original::IsNotTried, || {
        let start = || init().word("-c").probe(Order::Record(64));
        for is_on_terminal in [false, true] {
            let (running, _terminal) = if is_on_terminal {
                let (running, terminal) = start().start_on_terminal();
                (running, Some(terminal))
            } else {
                (start().start(), None)
            };
            running.wait_for_line(Report::Ready);
            for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP] {
                send_by_kernel(&running, number);
                running.wait_for_line(Report::Got(number));
                // It has stopped itself.
                if number == libc::SIGTSTP {
                    procfs::wait_for_state(running.pid(), 'T');
                    running.signal(libc::SIGCONT);
                }
            }
            running.signal(64);
            let outcome = running.outcome();
            outcome.expect_code(42);
            let stdout = outcome.stdout();
            assert_eq!(stdout.lines().filter(|line| line.trim_end() == "got 2").count(), 1, "{outcome}");
        }
    });
}

#[test]
fn terminal_is_handed_over_with_redirected_stdin() {
    wanted_difference("7. A terminal behind a redirected stdin", Original::Fails, || {
        let (running, _terminal) =
            init().condition(Condition::Null(0)).probe(Order::Report).start_on_terminal();
        let outcome = running.outcome();
        outcome.expect_code(5).expect_stderr("");
        assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
        assert_eq!(outcome.report(Property::Descriptors), "0 1 2", "{outcome}");
    });
}

#[test]
fn uncontrolled_terminal_becomes_that_of_the_command() {
    let (_terminal, path, _output) = Terminal::open();
    let stdin = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).unwrap();
    let outcome = init().word("-v").probe(Order::Report).stdin(stdin).run();
    assert_eq!(outcome.report(Property::Terminal), "true", "{outcome}");
    assert_eq!(outcome.report(Property::Foreground), "true", "{outcome}");
    // It is not the init's own, so there was nothing to give up.
    assert!(
        outcome.stderr().starts_with("[dumb-init] Unable to detach from controlling tty (errno=25 "),
        "{outcome}"
    );
    assert!(!outcome.stderr().contains("Unable to attach"), "{outcome}");
}

#[test]
fn nothing_is_handed_over_without_a_terminal() {
    let outcome = init().word("-v").probe(Order::Report).run();
    let errno = "(errno=25 Inappropriate ioctl for device).";
    for line in ["Unable to detach from controlling tty", "Unable to attach to controlling tty"] {
        assert!(outcome.stderr().contains(&format!("[dumb-init] {line} {errno}\n")), "{outcome}");
    }
    assert_eq!(outcome.report(Property::Terminal), "false", "{outcome}");
}

#[test]
fn nothing_is_handed_over_with_closed_stdin() {
    let outcome = init().condition(Condition::Closed(0)).word("-v").probe(Order::Exit(0)).run();
    outcome.expect_code(0);
    for line in ["Unable to detach from controlling tty", "Unable to attach to controlling tty"] {
        assert!(
            outcome.stderr().contains(&format!("[dumb-init] {line} (errno=9 Bad file descriptor).\n")),
            "{outcome}"
        );
    }
}

/// Starts the init as a foreground job of a shell on a terminal.
fn as_a_job(options: &[&str], order: Order) -> (crate::support::Running, Terminal) {
    Start::program(probe())
        .word(Order::Shell.to_string())
        .word(init_under_test())
        .words(options)
        .probe(order)
        .start_on_terminal()
}

#[test]
fn terminal_of_a_shell_is_not_taken() {
    let (running, _terminal) = as_a_job(&["-v"], Order::Exit(3));
    let outcome = running.outcome();
    outcome.expect_code(3);
    for line in [
        "Detached from controlling tty, but was not session leader.",
        "Unable to attach to controlling tty (errno=1 Operation not permitted).",
    ] {
        assert!(outcome.stderr().contains(&format!("[dumb-init] {line}\n")), "{outcome}");
    }
}

#[test]
fn ctrl_z_stops_a_job_and_fg_resumes_it() {
    for options in [&[][..], &["-c"]] {
        let (running, mut terminal) = as_a_job(options, Order::Record(64));
        running.wait_for_line(Report::Ready);
        for count in 1..=2 {
            terminal.keys("\x1a");
            running.wait_for_stdout("a stop", |text| {
                text.matches(&Report::JobStopped(19).to_string()).count() == count
            });
            running.wait_for_stdout("its end", |text| {
                text.matches(&Report::JobResumed.to_string()).count() == count
            });
            running.wait_for_stdout("SIGCONT", |text| {
                text.matches(&Report::Got(18).to_string()).count() >= count
            });
        }
        let job = running.command_pid();
        crate::support::send(job, 64);
        let outcome = running.outcome();
        outcome.expect_code(42);
    }
}

#[test]
fn ctrl_c_on_a_job_reaches_its_command_once() {
    let (running, mut terminal) = as_a_job(&[], Order::Record(64));
    running.wait_for_line(Report::Ready);
    terminal.keys("\x03");
    running.wait_for_stdout("the signal", |text| text.contains(&Report::Got(2).to_string()));
    crate::support::send(running.command_pid(), 64);
    let outcome = running.outcome();
    assert_eq!(outcome.stdout().matches(&Report::Got(2).to_string()).count(), 1, "{outcome}");
}

#[test]
fn init_output_with_tostop_does_not_stop_the_init() {
    for options in [&["-v"][..], &["-vc"]] {
        let (running, _terminal) = init()
            .condition(Condition::StderrAsStdout)
            .condition(Condition::Tostop)
            .words(options)
            .words(["sh", "-c", "exec \"$@\" </dev/null", "sh"])
            .probe(Order::Exit(4))
            .start_on_terminal();
        let outcome = running.outcome();
        outcome.expect_code(4);
        assert!(outcome.stdout().contains("Child exited with status 4. Goodbye."), "{outcome}");
    }
}

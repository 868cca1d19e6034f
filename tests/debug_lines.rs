//! Lines of `-v`.

use crate::support::{Condition, Order, Report, Running, init, without_pids};

/// The lines of stderr without the prefix, with N for each PID.
fn lines(stderr: &str) -> Vec<String> {
    let unprefixed = |line: &str| line.strip_prefix("[dumb-init] ").expect("the prefix").to_owned();
    without_pids(stderr).lines().map(unprefixed).collect()
}

/// The lines up to the command's start. The original's two processes write them side by side.
fn sorted_start(mut lines: Vec<String>) -> Vec<String> {
    if let Some(spawned) = lines.iter().position(|line| line.starts_with("Child spawned")) {
        let line = lines.remove(spawned);
        let place = lines.iter().position(|line| !is_before_the_fork(line)).unwrap_or(lines.len());
        lines.insert(place, line);
    }
    lines
}

fn is_before_the_fork(line: &str) -> bool {
    ["Running in debug", "Not running in setsid", "Unable to detach", "Detached"]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

const NOT_DETACHED: &str = "Unable to detach from controlling tty (errno=25 Inappropriate ioctl for device).";
const NOT_ATTACHED: &str = "Unable to attach to controlling tty (errno=25 Inappropriate ioctl for device).";
const SPAWNED: &str = "Child spawned with PID N.";

#[test]
fn debug_log_covers_start_to_exit() {
    let outcome = init().word("-v").probe(Order::Exit(3)).run();
    let expected = [
        NOT_DETACHED,
        SPAWNED,
        NOT_ATTACHED,
        "setsid complete.",
        "Received signal 17.",
        "A child with PID N exited with exit status 3.",
        "Forwarded signal 15 to children.",
        "Child exited with status 3. Goodbye.",
    ];
    assert_eq!(sorted_start(lines(&outcome.stderr())), expected, "{outcome}");
}

#[test]
fn death_by_signal_is_logged() {
    let outcome = init().word("-cv").probe(Order::Die(9)).run();
    let expected = [
        SPAWNED,
        "Received signal 17.",
        "A child with PID N was terminated by signal 9.",
        "Forwarded signal 15 to children.",
        "Child exited with status 137. Goodbye.",
    ];
    assert_eq!(sorted_start(lines(&outcome.stderr())), expected, "{outcome}");
}

#[test]
fn effects_of_variables_are_logged() {
    let start = |value: &str| init().variable("DUMB_INIT_DEBUG", value).variable("DUMB_INIT_SETSID", "0");
    let outcome = start("1").probe(Order::Exit(0)).run();
    let told = lines(&outcome.stderr());
    assert_eq!(told[..3], ["Running in debug mode.", "Not running in setsid mode.", SPAWNED], "{outcome}");
    let outcome = start("0").word("-v").probe(Order::Exit(0)).run();
    assert_eq!(lines(&outcome.stderr())[..2], ["Not running in setsid mode.", SPAWNED], "{outcome}");
    // Nothing is logged if nothing is run.
    start("1").word("-x").run().expect_stderr("dumb-init: invalid option -- 'x'\n");
    let usage = start("1").run();
    assert!(usage.stderr().starts_with("Usage: "), "{usage}");
    let version = start("1").word("-V").run();
    assert!(version.stderr().starts_with("dumb-init v"), "{version}");
}

fn recorder(options: &[&str]) -> Running {
    let running = init().words(options).probe(Order::Record(64)).start();
    running.wait_for_line(Report::Ready);
    running
}

#[test]
fn handling_of_each_signal_is_logged() {
    let running = recorder(&["-vc", "-r", "10:12", "-r", "1:0"]);
    for (number, told) in [
        (15, "Forwarded signal 15 to children."),
        (10, "Forwarded signal 12 to children."),
        (1, "Not forwarding signal 0 to children (ignored)."),
    ] {
        running.signal(number);
        running.wait_for_debug_line(told);
    }
    running.signal(64);
    let outcome = running.outcome();
    let expected = [
        SPAWNED,
        "Received signal 15.",
        "Forwarded signal 15 to children.",
        "Received signal 10.",
        "Translating signal 10 to 12.",
        "Forwarded signal 12 to children.",
        "Received signal 1.",
        "Translating signal 1 to 0.",
        "Not forwarding signal 0 to children (ignored).",
        "Received signal 64.",
        "Forwarded signal 64 to children.",
        "Received signal 17.",
        "A child with PID N exited with exit status 42.",
        "Forwarded signal 15 to children.",
        "Child exited with status 42. Goodbye.",
    ];
    assert_eq!(sorted_start(lines(&outcome.stderr())), expected, "{outcome}");
}

#[test]
fn suspension_is_logged() {
    let running = recorder(&["-v"]);
    running.signal(libc::SIGTSTP);
    running.wait_for_debug_line("Suspending");
    crate::support::procfs::wait_for_state(running.pid(), 'T');
    let told = lines(&running.stderr());
    let expected = [
        "Received signal 20.",
        "Translating signal 20 to 19.",
        "Forwarded signal 19 to children.",
        "Suspending self due to TTY signal.",
    ];
    assert_eq!(told[told.len() - 4..], expected, "{running}");
}

#[test]
fn rewrites_of_the_drain_signal_are_logged() {
    let outcome = init().words(["-cv", "-r", "15:0"]).probe(Order::Exit(0)).run();
    let told = lines(&outcome.stderr());
    let expected = [
        "Translating signal 15 to 0.",
        "Not forwarding signal 0 to children (ignored).",
        "Child exited with status 0. Goodbye.",
    ];
    assert_eq!(told[told.len() - 3..], expected, "{outcome}");
}

#[test]
fn log_line_is_one_write() {
    // A terminal or a pipe with several writers mixes writes, never the bytes of one.
    let (reader, writer) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let running = init()
        .stdin(std::os::fd::OwnedFd::from(writer))
        .condition(Condition::StderrAsStdin)
        .condition(Condition::Null(0))
        .word("-vc")
        .probe(Order::Exit(0))
        .start();
    running.outcome().expect_code(0);
    reader.set_nonblocking(true).unwrap();
    let mut count = 0;
    let mut buffer = [0; 1024];
    while let Ok(length) = reader.recv(&mut buffer) {
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.starts_with("[dumb-init] ") && text.ends_with('\n'), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        count += 1;
    }
    assert_eq!(count, 5);
}

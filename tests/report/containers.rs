//! Reports of real containers.

use super::{Report, verdict};
use crate::support::docker::{Base, Container, can_see_processes, docker, image_on, probe};
use crate::support::{Order, Outcome, Report as Line, Scratch, init_beyond, skip};

/// The image of the tests, if the options exist and the processes of containers are visible.
fn image() -> Option<&'static str> {
    init_beyond()?;
    image_on(Base::Busybox).filter(|_| can_see_processes())
}

/// Runs a script in a container with 32 MiB, until it has exited.
fn run_with_little_memory(script: &str) -> Option<Outcome> {
    let image = image()?;
    let has_limits = docker(&["info", "--format", "{{.MemoryLimit}}"]).expect("docker info");
    if !has_limits.stdout.starts_with(b"true") && !skip("the engine has no memory limits") {
        return None;
    }
    let options = ["--memory", "32m", "--memory-swap", "32m", "--env", "DUMB_INIT_REPORT=-"];
    Some(Container::new().run(&options, image, &["sh", "-c", script]).start().outcome())
}

/// A shell with this doubles its memory until it is killed.
const GROW: &str = "text=0123456789abcdef; while :; do text=$text$text; done";

/// Expects a line about the memory, at the limit.
#[track_caller]
fn expect_one_kill(outcome: &Outcome) {
    let text = outcome.stderr();
    let line = text.lines().find_map(|line| line.strip_prefix("[dumb-init] memory: "));
    let line = line.unwrap_or_else(|| panic!("no memory\n{outcome}"));
    // Linux before 5.19 has no peak in cgroup version 2.
    let expected = ["32 MiB peak of 32 MiB, OOM kills: 1", "limit 32 MiB, OOM kills: 1"];
    assert!(expected.contains(&line) || line.starts_with("31 MiB peak of 32 MiB, OOM kills: 1"), "{outcome}");
}

#[test]
fn oom_kill_of_the_command_is_reported() {
    let Some(outcome) = run_with_little_memory(GROW) else { return };
    let expected = "out of memory: the OOM killer has killed the command; exit status 137";
    assert_eq!(verdict(outcome.expect_code(137)), expected, "{outcome}");
    expect_one_kill(&outcome);
}

#[test]
fn oom_kill_of_a_child_is_reported_by_status_137() {
    let script = format!("sh -c '{GROW}'; exit $?");
    let Some(outcome) = run_with_little_memory(&script) else { return };
    let expected = "out of memory: the OOM killer has killed a process; exit status 137";
    assert_eq!(verdict(outcome.expect_code(137)), expected, "{outcome}");
    expect_one_kill(&outcome);
}

#[test]
fn oom_kill_before_another_exit_is_only_counted() {
    let script = format!("sh -c '{GROW}'; exit 3");
    let Some(outcome) = run_with_little_memory(&script) else { return };
    assert_eq!(verdict(outcome.expect_code(3)), "exited by itself; exit status 3", "{outcome}");
    expect_one_kill(&outcome);
}

#[test]
fn docker_stop_is_a_request_from_outside() {
    let Some(image) = image() else { return };
    let container = Container::new();
    let options = ["--env", "DUMB_INIT_REPORT=-"];
    let running = container.run(&options, image, &probe(Order::Work("service", 200))).start();
    running.wait_for_line(Line::Ready.by("service"));
    container.expect_no_zombie();
    container.stop();
    let outcome = running.outcome();
    let report = Report::of(outcome.expect_code(0));
    let expected = "stopped on request: SIGTERM from outside the container; exit status 0";
    assert_eq!(report.verdict, expected, "{outcome}");
    let pid = "probe work service 200 (PID N)";
    assert_eq!(report.texts()[1..], [format!("{pid} exited with status 0")], "{outcome}");
    assert!(report.texts()[0].starts_with("SIGTERM forwarded to process group "), "{outcome}");
    assert!(report.events[1].0 >= 0.2, "{outcome}");
}

#[test]
fn mounted_file_is_written_by_any_user() {
    let Some(image) = image() else { return };
    let scratch = Scratch::new();
    // As a kubelet mounts it.
    let file = scratch.file("termination-log", "", 0o666);
    let mount = format!("type=bind,source={},target=/dev/termination-log", file.display());
    let options = ["--mount", &mount, "--env", "DUMB_INIT_REPORT=/dev/termination-log"];
    let options = [&["--read-only", "--cap-drop", "ALL", "--user", "1234:1234"], &options[..]].concat();
    let outcome = Container::new().run(&options, image, &["sh", "-c", "exit 7"]).start().outcome();
    outcome.expect_code(7).expect_stderr("");
    let text = std::fs::read_to_string(&file).expect("a report");
    assert!(text.starts_with("exited by itself; exit status 7\n   0.000 s  sh -c exit 7 (PID "), "{text}");
}

#[test]
fn kill_by_docker_exec_is_from_outside() {
    let Some(image) = image() else { return };
    let container = Container::new();
    let options = ["--env", "DUMB_INIT_REPORT=-"];
    let running = container.run(&options, image, &probe(Order::Hang)).start();
    running.wait_for_line(Line::Ready);
    container.expect_no_zombie();
    let pid = container.process(Order::Hang).pid.to_string();
    // It may be killed by the end of the container.
    container.exec(&["kill", "-KILL", &pid]).run();
    let outcome = running.outcome();
    let expected = "killed from outside: SIGKILL; exit status 137";
    assert_eq!(verdict(outcome.expect_code(137)), expected, "{outcome}");
}

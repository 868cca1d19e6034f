//! `--with`, `--pre-stop` and conditions of `--exit-map` in containers.

use super::{count_lines, image};
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report, init_beyond, without_pids};

/// The programs of a container: two helpers, and the command.
const WITH: &str =
    "DUMB_INIT_WITH=/usr/bin/probe work crond 100\nprobe work shipper 300\n-sh -c 'echo optional; exit 3'";
const NAMES: [&str; 3] = ["crond", "shipper", "main"];

#[test]
fn docker_stop_lets_command_and_helpers_finish() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    for setsid in ["DUMB_INIT_SETSID=1", "DUMB_INIT_SETSID=0"] {
        let container = Container::new();
        let options = ["--env", WITH, "--env", setsid];
        let running = container.run(&options, image, &probe(Order::Work("main", 50))).start();
        for name in NAMES {
            running.wait_for_line(Report::Ready.by(name));
        }
        running.wait_for_line("optional");
        container.expect_no_zombie();
        container.stop();
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in NAMES {
            for report in [Report::Got(15), Report::Finished] {
                assert_eq!(count_lines(&outcome.stdout(), &report.by(name)), 1, "{name}\n{outcome}");
            }
        }
    }
}

#[test]
fn container_ends_with_the_status_of_a_failed_helper() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    let container = Container::new();
    let options = ["--env", "DUMB_INIT_WITH=probe record 10"];
    let running = container.run(&options, image, &probe(Order::Work("main", 50))).start();
    running.wait_for_line(Report::Ready);
    running.wait_for_line(Report::Ready.by("main"));
    let helper = container.process(Order::Record(10));
    container.exec(&["kill", "-KILL", &helper.pid.to_string()]).run().expect_code(0);
    let outcome = running.outcome();
    outcome.expect_code(137);
    let line = "[dumb-init] helper 'probe record 10' (PID N) was killed by SIGKILL; shutting down\n";
    assert_eq!(without_pids(&outcome.stderr()), line, "{outcome}");
    outcome.expect_stdout(&format!("{}main got 15\nmain finished\n", ready_lines(&outcome.stdout())));
    assert_eq!(container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"), "137 false");
}

/// The first two lines, in either order.
fn ready_lines(text: &str) -> String {
    text.split_inclusive('\n').take(2).collect()
}

#[test]
fn docker_terminal_key_reaches_helpers_of_a_single_child() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    let container = Container::new();
    let options = [
        "--interactive",
        "--tty",
        "--env",
        "DUMB_INIT_SETSID=0",
        "--env",
        "DUMB_INIT_WITH=probe work helper 50",
    ];
    let (running, mut terminal) =
        container.run(&options, image, &probe(Order::Work("main", 50))).start_on_terminal();
    for name in ["helper", "main"] {
        running.wait_for_stdout("both", |text| text.contains(&Report::Ready.by(name)));
    }
    terminal.keys("\x03");
    for name in ["helper", "main"] {
        // The terminal echoes the key first.
        running.wait_for_stdout("the key", |text| text.contains(&Report::Got(2).by(name)));
    }
    container.stop();
    let outcome = running.outcome();
    for name in ["helper", "main"] {
        for report in [Report::Got(2), Report::Got(15), Report::Finished] {
            assert_eq!(outcome.stdout().matches(&report.by(name)).count(), 1, "{name}\n{outcome}");
        }
    }
}

#[test]
fn docker_stop_runs_the_hook_before_the_command_is_signalled() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    let container = Container::new();
    let options = [
        "--workdir",
        "/tmp",
        "--env",
        "DUMB_INIT_PRE_STOP=sh -c 'echo hook $DUMB_INIT_SIGNAL $DUMB_INIT_COMMAND_PID $(pwd); exec probe record 10'",
    ];
    let running = container.run(&options, image, &probe(Order::Work("main", 50))).start();
    running.wait_for_line(Report::Ready.by("main"));
    let command = container.process(Order::Work("main", 50)).pid;
    let name = container.name().to_owned();
    let stop = std::thread::spawn(move || {
        crate::support::docker::docker(&["stop", "-t", "60", &name]).expect("docker stop");
    });
    running.wait_for_line(format!("hook TERM {command} /tmp"));
    running.wait_for_line(Report::Ready);
    container.kill("USR2");
    running.wait_for_line(Report::Got(12).by("main"));
    let hook = container.process(Order::Record(10));
    container.expect_no_zombie();
    container.exec(&["kill", "-USR1", &hook.pid.to_string()]).run().expect_code(0);
    stop.join().expect("docker stop");
    let outcome = running.outcome();
    outcome.expect_code(0);
    outcome.expect_stdout(&format!(
        "main ready\nhook TERM {command} /tmp\nready\nmain got 12\ngot 10\nmain got 15\nmain finished\n"
    ));
}

#[test]
fn docker_stop_is_a_request_and_a_crash_is_none() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    for (is_stopped, code) in [(true, 0), (false, 143)] {
        let container = Container::new();
        let options = ["--env", "DUMB_INIT_EXIT_MAP=asked:143"];
        let running = container.run(&options, image, &probe(Order::Hang)).start();
        running.wait_for_line(Report::Ready);
        if is_stopped {
            container.stop();
        } else {
            let command = container.process(Order::Hang).pid.to_string();
            // It may be killed by the end of the container.
            container.exec(&["kill", "-TERM", &command]).run();
        }
        running.outcome().expect_code(code);
        assert_eq!(container.inspect("{{.State.ExitCode}}"), code.to_string());
    }
}

#[test]
fn container_pauses_on_p_alone() {
    let Some(image) = init_beyond().and_then(|_| image(Base::Busybox)) else { return };
    let container = Container::new();
    let options = ["--entrypoint", "/usr/bin/dumb-init", "--env", "DUMB_INIT_DEBUG=1"];
    let running = container.run(&options, image, &["-P"]).start();
    running.wait_for_debug_line("Running in debug mode.");
    container.exec(&["sh", "-c", "(sh -c 'exit 3' &); exit 0"]).run().expect_code(0);
    container.expect_no_zombie();
    container.kill("USR1");
    running.wait_for_debug_line("Received signal 10.");
    container.stop();
    running.outcome().expect_code(0);
}

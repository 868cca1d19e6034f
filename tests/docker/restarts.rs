//! Restart policies, which go by the exit status.

use super::{count_lines, image};
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report, init_beyond, procfs};

/// Waits until the engine does not restart it again, and returns the status and the number of
/// restarts.
fn end(container: &Container) -> String {
    procfs::ask_until("the engine is done with it", || container.inspect("{{.State.Status}}") == "exited");
    container.inspect("{{.State.ExitCode}} {{.RestartCount}}")
}

#[test]
fn failed_command_is_restarted_and_its_status_is_kept() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let script = format!("echo started; probe {orphans} & exit 3", orphans = Order::Orphans(3));
    container
        .run(&["--detach", "--restart", "on-failure:2"], image, &["sh", "-c", &script])
        .run()
        .expect_code(0);
    assert_eq!(end(&container), "3 2");
    assert_eq!(count_lines(&container.logs(), "started"), 3);
}

#[test]
fn successful_command_is_not_restarted() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    container
        .run(&["--detach", "--restart", "on-failure:2"], image, &["echo", "started"])
        .run()
        .expect_code(0);
    assert_eq!(end(&container), "0 0");
    assert_eq!(container.logs(), "started\n");
}

/// Runs a command that dies by a SIGTERM from inside the container. The engine has no part in it.
fn ask_to_end_from_inside(container: &Container, options: &[&str]) {
    let Some(image) = image(Base::Busybox) else { return };
    let all = [&["--detach", "--restart", "on-failure:1"], options].concat();
    container.run(&all, image, &probe(Order::Hang)).run().expect_code(0);
    procfs::ask_until("it is ready", || count_lines(&container.logs(), &Report::Ready.to_string()) == 1);
    container.expect_no_zombie();
    // The init may exit before its sender does.
    container.exec(&["kill", "-TERM", "1"]).run();
}

#[test]
fn death_by_sigterm_counts_as_failure() {
    if image(Base::Busybox).is_none() {
        return;
    }
    let container = Container::new();
    ask_to_end_from_inside(&container, &[]);
    procfs::ask_until("it was started again", || {
        count_lines(&container.logs(), &Report::Ready.to_string()) == 2
    });
    assert_eq!(container.inspect("{{.State.Running}} {{.RestartCount}}"), "true 1");
    container.stop();
    assert_eq!(container.inspect("{{.State.ExitCode}}"), "143");
}

#[test]
fn exit_map_prevents_a_restart_after_sigterm() {
    if init_beyond().is_none() || image(Base::Busybox).is_none() {
        return;
    }
    for options in [&["--env", "DUMB_INIT_EXIT_MAP=143"][..], &["--env", "DUMB_INIT_EXIT_MAP=130:1,143:0"]] {
        let container = Container::new();
        ask_to_end_from_inside(&container, options);
        assert_eq!(end(&container), "0 0");
        assert_eq!(container.logs(), "ready\n");
    }
}

#[test]
fn exit_map_restarts_after_success() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let options = ["--detach", "--restart", "on-failure:1", "--entrypoint", "dumb-init"];
    container.run(&options, image, &["--exit-map", "0:9", "--", "echo", "started"]).run().expect_code(0);
    assert_eq!(end(&container), "9 1");
    assert_eq!(container.logs(), "started\nstarted\n");
}

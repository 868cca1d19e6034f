//! Containers that may do little: no capability, no root, no new process.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{count_lines, image};
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report, init_beyond};

#[test]
fn init_needs_no_root_no_capability_and_no_writable_file() {
    thread::scope(|scope| {
        for base in [Base::Empty, Base::Busybox] {
            scope.spawn(move || {
                let Some(image) = image(base) else { return };
                let container = Container::new();
                let user = ["--user", "1234:1234", "--security-opt", "no-new-privileges"];
                let options = [&["--read-only", "--cap-drop", "ALL"], &user[..]].concat();
                let running = container.run(&options, image, &probe(Order::Orphans(50))).start();
                running.wait_for_line(Report::Ready);
                container.expect_no_zombie();
                container.stop();
                running.outcome().expect_code(143).expect_reports(&[Report::Ready]).expect_stderr("");
            });
        }
    });
}

#[test]
fn drain_needs_no_root_no_capability_and_no_writable_file() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let user = ["--user", "1234:1234", "--security-opt", "no-new-privileges", "--env", "DUMB_INIT_DRAIN=60s"];
    let options = [&["--read-only", "--cap-drop", "ALL"], &user[..]].concat();
    let script = format!(
        "setsid probe {apart} & exec probe {main}",
        apart = Order::Work("apart", 300),
        main = Order::Work("main", 0)
    );
    let running = container.run(&options, image, &["sh", "-c", &script]).start();
    running.wait_for_line(Report::Ready.by("main"));
    running.wait_for_line(Report::Ready.by("apart"));
    container.expect_no_zombie();
    container.stop();
    let outcome = running.outcome();
    outcome.expect_code(0).expect_stderr("");
    assert_eq!(count_lines(&outcome.stdout(), &Report::Got(15).by("apart")), 1, "{outcome}");
    assert_eq!(count_lines(&outcome.stdout(), &Report::Finished.by("apart")), 1, "{outcome}");
}

#[test]
fn failed_fork_is_reported_and_ends_the_init() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    // The engine's own processes on the way to the command need more than one, so the limit comes later.
    let script = format!("echo waits; read line; exec dumb-init -- probe {hang}", hang = Order::Hang);
    let options = ["--interactive", "--entrypoint", "sh"];
    let running = container.run(&options, image, &["-c", &script]).stdin(OwnedFd::from(reader)).start();
    running.wait_for_line("waits");
    container.expect_no_zombie();
    container.update(&["--pids-limit", "1"]);
    writer.write_all(b"go on\n").expect("the container reads");
    drop(writer);
    let outcome = running.outcome();
    outcome.expect_code(1).expect_stdout("waits\n").expect_stderr("[dumb-init] Unable to fork. Exiting.\n");
}

/// Fork bomb of 128 processes, or as many as possible, that exit before their children. A few
/// orphans precede it, in case none of the 128 is reached.
fn fork_bomb() -> String {
    format!(
        "
    bomb() {{
        if [ $1 -eq 0 ]; then exec probe {hang}; fi
        bomb $(($1 - 1)) &
        bomb $(($1 - 1)) &
    }}
    for one in 1 2 3; do (probe {hang} &); done
    (bomb 7 &)
    exec probe {main}",
        hang = Order::Hang,
        main = Order::Work("main", 100)
    )
}

fn blow_up(options: &[&str]) {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let options = [&["--pids-limit", "40"], options].concat();
    let running = container.run(&options, image, &["sh", "-c", &fork_bomb()]).start();
    running.wait_for_line(Report::Ready.by("main"));
    running.wait_for_debug_line("can't fork");
    container.wait_until("the shells have ended", |processes| {
        processes.iter().all(|process| !process.command_line.starts_with("sh "))
    });
    container.expect_no_zombie();
    let left = container
        .processes()
        .iter()
        .filter(|process| process.command_line == probe(Order::Hang).join(" "))
        .count();
    assert!(left >= 3, "{left} left\n{running}");
    let begin = Instant::now();
    container.stop();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    let outcome = running.outcome();
    outcome.expect_code(0);
    assert_eq!(count_lines(&outcome.stdout(), &Report::Finished.by("main")), 1, "{outcome}");
}

#[test]
fn container_stops_and_reaps_after_a_fork_bomb() {
    blow_up(&[]);
}

#[test]
fn container_drains_and_reaps_after_a_fork_bomb() {
    if init_beyond().is_some() {
        blow_up(&["--env", "DUMB_INIT_DRAIN=50s", "--env", "DUMB_INIT_FORWARD=tree"]);
    }
}

//! Processes in the container's PID namespace that the init has not started: `docker exec`, and
//! `--pid container:NAME`.

use super::{count_lines, image};
use crate::support::docker::{Base, Container, probe};
use crate::support::{Order, Report, Running, init_beyond};

#[test]
fn docker_exec_process_can_signal_the_init() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let running = container.run(&[], image, &probe(Order::Record(64))).start();
    running.wait_for_line(Report::Ready);
    for (name, line) in [("-USR1", "got 10"), ("-TERM", "got 15"), ("-37", "got 37")] {
        container.exec(&["kill", name, "1"]).run().expect_code(0);
        running.wait_for_line(line);
    }
    container.expect_no_zombie();
    // The init may exit before its sender does.
    container.exec(&["kill", "-64", "1"]).run();
    running.outcome().expect_code(42).expect_reports(&[
        Report::Ready,
        Report::Got(10),
        Report::Got(15),
        Report::Got(37),
        Report::Got(64),
    ]);
}

#[test]
fn docker_exec_process_is_not_signalled_without_drain() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let running = container.run(&[], image, &probe(Order::Work("main", 0))).start();
    running.wait_for_line(Report::Ready.by("main"));
    let outsider = container.exec(&probe(Order::Record(64))).start();
    outsider.wait_for_line(Report::Ready);
    container.kill("USR1");
    running.wait_for_line(Report::Got(10).by("main"));
    // The main process received a signal; this process did not.
    let pid = container.process(Order::Record(64)).pid.to_string();
    container.exec(&["kill", "-63", &pid]).run().expect_code(0);
    outsider.wait_for_line(Report::Got(63));
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(0);
    let outcome = outsider.outcome();
    outcome.expect_code(137).expect_reports(&[Report::Ready, Report::Got(63)]);
}

#[test]
fn drain_ignores_docker_exec_processes() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    for forward in ["group", "tree"] {
        let container = Container::new();
        let forward = format!("DUMB_INIT_FORWARD={forward}");
        let options = ["--env", "DUMB_INIT_DRAIN=forever", "--env", &forward];
        let script = format!(
            "probe {record} & exec probe {main}",
            record = Order::Record(64),
            main = Order::Work("main", 0)
        );
        let running = container.run(&options, image, &["sh", "-c", &script]).start();
        running.wait_for_line(Report::Ready.by("main"));
        running.wait_for_line(Report::Ready);
        let inside = container.process(Order::Record(64));
        let main = container.process(Order::Work("main", 0));
        let outsider = container.exec(&probe(Order::Record(63))).start();
        let stays = container.exec(&probe(Order::Hang)).start();
        outsider.wait_for_line(Report::Ready);
        stays.wait_for_line(Report::Ready);
        container.kill("TERM");
        running.wait_for_line(Report::Finished.by("main"));
        container.wait_until("the main process is reaped", |processes| {
            processes.iter().all(|process| process.pid != main.pid)
        });
        // The drain has begun when the init forwards the next signal.
        container.exec(&["kill", "-USR1", "1"]).run().expect_code(0);
        running.wait_for_line(Report::Got(10));
        let pid = container.process(Order::Record(63)).pid.to_string();
        container.exec(&["kill", "-63", &pid]).run().expect_code(0);
        outsider.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(63)]);
        container.expect_no_zombie();
        container.exec(&["kill", "-64", &inside.pid.to_string()]).run();
        let outcome = running.outcome();
        outcome.expect_code(0);
        assert_eq!(count_lines(&outcome.stdout(), &Report::Got(15).to_string()), 1, "{outcome}");
        stays.outcome().expect_code(137).expect_reports(&[Report::Ready]);
    }
}

/// Container that shares its PID namespace. Its PID 1 reaps no zombie.
fn app(image: &str) -> (Container, Running) {
    let app = Container::new();
    let running = app.run(&["--entrypoint", "probe"], image, &["record", "64"]).start();
    running.wait_for_line(Report::Ready);
    (app, running)
}

#[test]
fn sidecar_forwards_and_reports_without_being_pid_1() {
    let Some(image) = image(Base::Busybox) else { return };
    let (app, other) = app(image);
    let sidecar = Container::new();
    let pid = format!("container:{}", app.name());
    let running = sidecar.run(&["--pid", &pid], image, &probe(Order::Record(37))).start();
    running.wait_for_line(Report::Ready);
    for (name, line) in [("USR1", "got 10"), ("TERM", "got 15")] {
        sidecar.kill(name);
        running.wait_for_line(line);
    }
    app.expect_no_zombie();
    sidecar.kill("RTMIN+3");
    running.outcome().expect_code(42).expect_reports(&[
        Report::Ready,
        Report::Got(10),
        Report::Got(15),
        Report::Got(37),
    ]);
    app.kill("RTMAX");
    other.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(64)]);
}

#[test]
fn sidecar_reaps_only_its_own_orphans_with_drain() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    let (app, other) = app(image);
    let sidecar = Container::new();
    let pid = format!("container:{}", app.name());
    let options = ["--pid", &pid, "--entrypoint", "dumb-init"];
    let script = format!(
        "probe {orphan}; exec probe {orphans}",
        orphan = Order::Daemon("orphan", 300),
        orphans = Order::Orphans(20)
    );
    let words = ["--subreaper", "--drain", "60s", "--", "sh", "-c", &script];
    let running = sidecar.run(&options, image, &words).start();
    running.wait_for_line(Report::Ready.by("orphan"));
    running.wait_for_line(Report::Ready);
    sidecar.expect_no_zombie();
    let init = sidecar.process_with(&format!("dumb-init {}", words.join(" ")));
    assert_eq!(sidecar.process(Order::Daemon("orphan", 300)).parent, init.pid);
    assert_eq!(sidecar.process(Order::Orphans(20)).parent, init.pid);
    sidecar.kill("WINCH");
    running.wait_for_line(Report::Got(28).by("orphan"));
    sidecar.stop();
    let outcome = running.outcome();
    outcome.expect_code(143);
    assert_eq!(count_lines(&outcome.stdout(), &Report::Got(15).by("orphan")), 1, "{outcome}");
    assert_eq!(count_lines(&outcome.stdout(), &Report::Finished.by("orphan")), 1, "{outcome}");
    app.expect_no_zombie();
    app.kill("RTMAX");
    other.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(64)]);
}

#[test]
fn sidecar_reaps_its_orphans_without_drain() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    let (app, _other) = app(image);
    let sidecar = Container::new();
    let pid = format!("container:{}", app.name());
    let options = ["--pid", &pid, "--env", "DUMB_INIT_SUBREAPER=1"];
    let running = sidecar.run(&options, image, &probe(Order::Orphans(50))).start();
    running.wait_for_line(Report::Ready);
    sidecar.expect_no_zombie();
    sidecar.stop();
    running.outcome().expect_code(143);
    app.expect_no_zombie();
}

//! `docker stop` and `docker kill`.

use std::thread;
use std::time::{Duration, Instant};

use super::image;
use crate::support::docker::{Base, Container, derived, probe};
use crate::support::{Order, Report, init_beyond};

#[test]
fn docker_stop_ends_with_the_command_on_every_base_image() {
    thread::scope(|scope| {
        for base in [Base::Empty, Base::Busybox, Base::Dash] {
            scope.spawn(move || {
                let Some(image) = image(base) else { return };
                let container = Container::new();
                let running = container.run(&[], image, &probe(Order::Work("service", 300))).start();
                running.wait_for_line(Report::Ready.by("service"));
                container.expect_no_zombie();
                let begin = Instant::now();
                container.stop();
                // The engine would kill after a minute.
                assert!(begin.elapsed() < Duration::from_secs(30), "{base:?}: {:?}", begin.elapsed());
                let outcome = running.outcome();
                outcome.expect_code(0).expect_stdout("service ready\nservice got 15\nservice finished\n");
                outcome.expect_stderr("");
            });
        }
    });
}

#[test]
fn container_status_shows_death_by_docker_stop() {
    let Some(image) = image(Base::Busybox) else { return };
    let container = Container::new();
    let running = container.run(&[], image, &probe(Order::Hang)).start();
    running.wait_for_line(Report::Ready);
    container.expect_no_zombie();
    let begin = Instant::now();
    container.stop();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    running.outcome().expect_code(143);
    assert_eq!(container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"), "143 false");
}

#[test]
fn docker_kill_reaches_command_by_any_signal_name() {
    let Some(image) = image(Base::Empty) else { return };
    let container = Container::new();
    let running = container.run(&[], image, &probe(Order::Record(64))).start();
    running.wait_for_line(Report::Ready);
    for (name, number) in [
        ("HUP", 1),
        ("SIGINT", 2),
        ("3", 3),
        ("USR1", 10),
        ("TERM", 15),
        ("SIGCONT", 18),
        ("WINCH", 28),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
    ] {
        container.kill(name);
        running.wait_for_line(Report::Got(number));
    }
    container.expect_no_zombie();
    container.kill("RTMAX");
    let outcome = running.outcome();
    outcome.expect_code(42);
    let got = [
        "ready", "got 1", "got 2", "got 3", "got 10", "got 15", "got 18", "got 28", "got 34", "got 37",
        "got 63",
    ];
    outcome.expect_stdout(&format!("{}\ngot 64\n", got.join("\n")));
}

#[test]
fn stop_signal_of_the_image_reaches_the_command() {
    let Some(image) = image(Base::Busybox) else { return };
    let image = derived(image, "stop-signal", "STOPSIGNAL SIGRTMIN+3");
    let container = Container::new();
    let running = container.run(&[], &image, &probe(Order::Record(37))).start();
    running.wait_for_line(Report::Ready);
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(42).expect_reports(&[Report::Ready, Report::Got(37)]);
}

#[test]
fn stop_signal_of_the_image_can_be_rewritten() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = image(Base::Busybox) else { return };
    let image = derived(image, "rewritten", "STOPSIGNAL SIGRTMIN+3\nENV DUMB_INIT_REWRITE=RTMIN+3:TERM");
    let container = Container::new();
    let running = container.run(&[], &image, &probe(Order::Work("service", 100))).start();
    running.wait_for_line(Report::Ready.by("service"));
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(0).expect_stdout("service ready\nservice got 15\nservice finished\n");
}

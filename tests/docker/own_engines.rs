//! Tests that need an engine with settings of its own: user namespaces, and this init for `docker
//! run --init`.

use super::image;
use crate::support::docker::{Base, Container, OwnEngine, REMAPPED};
use crate::support::start_script::{expect_all_three, wait_for_all};
use crate::support::{Order, Report, init_beyond, init_under_test};

#[test]
fn init_works_in_a_user_namespace() {
    let Some(image) = image(Base::Busybox) else { return };
    let Some(own) = OwnEngine::start("{}", &["--userns-remap", REMAPPED]) else { return };
    own.load(image);
    let container = Container::of(own.engine());
    let script = format!("cat /proc/self/uid_map; exec probe {orphans}", orphans = Order::Orphans(50));
    let running = container.run(&[], image, &["sh", "-c", &script]).start();
    running.wait_for_line(Report::Ready);
    let map =
        running.stdout().lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(map.as_deref(), Some("0 100000 65536"), "{running}");
    container.expect_no_zombie();
    container.stop();
    running.outcome().expect_code(143).expect_stderr("");
    if init_beyond().is_some() {
        expect_a_complete_shutdown(&own, &["--env", "DUMB_INIT_DRAIN=30s"], image, &["start.sh"]);
    }
}

/// Runs the start script by these options and words, and stops it.
fn expect_a_complete_shutdown(own: &OwnEngine, options: &[&str], image: &str, words: &[&str]) {
    let container = Container::of(own.engine());
    let running = container.run(options, image, words).start();
    wait_for_all(&running);
    container.expect_no_zombie();
    container.stop();
    let outcome = running.outcome();
    outcome.expect_code(143);
    expect_all_three(&outcome.stdout());
}

#[test]
fn engine_uses_the_init_as_docker_init() {
    let Some(image) = image(Base::Busybox) else { return };
    let init = init_under_test().canonicalize().expect("the init").display().to_string();
    let Some(own) = OwnEngine::start("{}", &["--init-path", &init]) else { return };
    own.load(image);

    let container = Container::of(own.engine());
    let options = ["--init", "--entrypoint", "probe"];
    let running = container.run(&options, image, &["orphans", "50"]).start();
    running.wait_for_line(Report::Ready);
    container.expect_no_zombie();
    assert_eq!(container.process(Order::Orphans(50)).parent, 1);
    container.kill("USR1");
    running.outcome().expect_code(138).expect_reports(&[Report::Ready]).expect_stderr("");

    let container = Container::of(own.engine());
    let running = container.run(&options, image, &["record", "64"]).start();
    running.wait_for_line(Report::Ready);
    container.stop_within(1);
    let outcome = running.outcome();
    outcome.expect_code(137).expect_reports(&[Report::Ready, Report::Got(15)]);

    if init_beyond().is_some() {
        expect_a_complete_shutdown(
            &own,
            &["--init", "--env", "DUMB_INIT_DRAIN=10s", "--entrypoint", "start.sh"],
            image,
            &[],
        );
    }
}

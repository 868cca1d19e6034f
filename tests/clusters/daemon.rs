//! docs/examples/daemon: `docker run --init` with this init as the engine's.

use super::{are_ready, example, expect_all_three, image};
use crate::support::docker::OwnEngine;
use crate::support::{init_under_test, procfs};

#[test]
fn docker_run_init_starts_the_binary_at_init_path() {
    let Some(image) = image() else { return };
    let configuration = std::fs::read_to_string(example("daemon/daemon.json")).expect("a file");
    let configuration =
        configuration.replace("/usr/local/libexec/docker-init", &init_under_test().display().to_string());
    let Some(engine) = OwnEngine::start(&configuration, &[]) else { return };
    engine.load(image);
    let script = ["--env", "DUMB_INIT_DRAIN=10s", "--entrypoint", "/usr/bin/start.sh", image];
    engine.docker(
        &[&["run", "--detach", "--init", "--network", "none", "--name", "app"][..], &script].concat(),
    );
    procfs::ask_until("all three are ready", || are_ready(&engine.docker(&["logs", "app"])));
    let told = engine.docker(&["exec", "app", "/sbin/docker-init", "--explain"]);
    assert!(told.contains("\t/sbin/docker-init -- /usr/bin/start.sh\n"), "{told}");
    assert!(told.contains("docker-init (PID 1) forwards to its direct child alone\n"), "{told}");
    let everybody = "Every process receives the signal, 6 of 7 later. ";
    assert!(told.contains(&format!("{everybody}dumb-init waits for the last process")), "{told}");
    engine.docker(&["stop", "-t", "20", "app"]);
    expect_all_three(&engine.docker(&["logs", "app"]));
}

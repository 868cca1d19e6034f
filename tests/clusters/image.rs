//! docs/examples/image and docs/examples/derived, by `docker run` and `docker stop`.

use std::process::Command;

use super::{are_ready, example, expect_all_three, image};
use crate::support::docker::{self, Container};
use crate::support::{Scratch, Start};

/// Runs an image, stops it when it is ready, and returns its output.
fn run_and_stop(image: &str, options: &[&str]) -> String {
    let container = Container::new();
    let running = Start::program("docker")
        .words(["run", "--network", "none", "--name", container.name()])
        .words(options)
        .word(image)
        .start();
    running.wait_for_stdout("all three, ready", are_ready);
    container.stop();
    let outcome = running.outcome();
    // The start script dies of the signal.
    outcome.expect_code(143);
    outcome.stdout()
}

#[test]
fn image_with_drain_shuts_down_completely() {
    let Some(image) = image() else { return };
    expect_all_three(&run_and_stop(image, &["--env", "DUMB_INIT_DRAIN=10s"]));
}

#[test]
fn derived_image_overrides_the_base_image_variable() {
    let Some(image) = image() else { return };
    let (base, derived) = (format!("{image}-setsid"), format!("{image}-derived"));
    let scratch = Scratch::new();
    scratch.file("Dockerfile", &format!("FROM {image}\nENV DUMB_INIT_SETSID=0\n"), 0o644);
    let build = |tag: &str, base: &str, dockerfile: std::path::PathBuf| {
        let base = format!("BASE={base}");
        let mut command = Command::new("docker");
        command.args(["build", "--quiet", "--tag", tag, "--build-arg", &base, "--file"]).arg(dockerfile);
        docker::run(command.arg(scratch.path())).expect("docker build");
    };
    build(&base, image, scratch.path().join("Dockerfile"));
    build(&derived, &base, example("derived/Dockerfile"));
    expect_all_three(&run_and_stop(&derived, &[]));
    // The base's variable is there, and would have kept the signal from them.
    assert_eq!(super::times(&run_and_stop(&base, &[]), "got SIGTERM"), [0; 3]);
}

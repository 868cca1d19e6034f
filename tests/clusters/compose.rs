//! docs/examples/compose, by docker-compose.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{are_ready, example, expect_all_three, image};
use crate::support::{Scratch, docker, procfs, skip};

/// A project of Compose's, which is removed when this is dropped.
struct Project<'a> {
    name: String,
    image: &'a str,
}

impl Project<'_> {
    fn compose(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker-compose");
        command.env("IMAGE", self.image).args(["--no-ansi", "--project-name", &self.name, "--file"]);
        let output = docker::run(command.arg(example("compose/compose.yaml")).args(words))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn logs(&self) -> String {
        self.compose(&["logs", "--no-color"]).expect("docker-compose logs")
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "0"]);
    }
}

#[test]
fn compose_waits_for_delay_and_drain() {
    let Some(base) = image() else { return };
    if Command::new("docker-compose").arg("version").output().is_err() {
        skip("docker-compose is not installed");
        return;
    }
    // The image has its own stop signal, which the file overrides.
    let image = format!("{base}-quit");
    let scratch = Scratch::new();
    scratch.file("Dockerfile", &format!("FROM {base}\nSTOPSIGNAL SIGQUIT\n"), 0o644);
    docker::docker(&["build", "--quiet", "--tag", &image, &scratch.path().display().to_string()])
        .expect("an image");

    let project = Project { name: format!("dumb-init-test-{}", std::process::id()), image: &image };
    project.compose(&["up", "--detach"]).expect("docker-compose up");
    procfs::ask_until("all three are ready", || are_ready(&project.logs()));
    let begin = Instant::now();
    project.compose(&["stop"]).expect("docker-compose stop");
    let took = begin.elapsed();
    expect_all_three(&project.logs());
    // The delay, and the slowest of the three.
    assert!(took >= Duration::from_millis(3500), "{took:?}");
}

//! podman, with a store of the test's own; and `podman run --init` with this init.

use std::process::Command;

use super::{are_ready, expect_all_three, image};
use crate::support::{Scratch, docker, init_under_test, procfs, skip};

/// podman whose containers are removed on drop.
pub(super) struct Podman {
    scratch: Scratch,
}

impl Podman {
    /// podman with this image under the name in the examples. `None`, with a message, if there is
    /// none.
    pub(super) fn with(image: &str) -> Option<Self> {
        let is_installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !nix::unistd::geteuid().is_root() || !is_installed("podman") || !is_installed("runc") {
            skip("podman and runc are not installed, or the tests don't run as root");
            return None;
        }
        let scratch = Scratch::new();
        // By default it raises limits beyond those that it has itself, which is not always allowed.
        let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        scratch.file("containers.conf", limits, 0o644);
        let podman = Self { scratch };
        let saved = podman.scratch.path().join("image.tar").display().to_string();
        docker::docker(&["save", "--output", &saved, image]).expect("docker save");
        podman.run(&["load", "--quiet", "--input", &saved]);
        podman.run(&["tag", &format!("localhost/{image}"), "localhost/app:1"]);
        Some(podman)
    }

    fn try_to(&self, words: &[&str]) -> Result<String, String> {
        let own = self.scratch.path();
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", own.join("containers.conf"));
        for (option, directory) in [("--root", "root"), ("--runroot", "runroot"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(own.join(directory));
        }
        // These work on every file system, without systemd, and with both versions of cgroups
        // mounted.
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc"]);
        let output = docker::run(command.args(words))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// Runs a podman command, and returns its output.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) -> String {
        self.try_to(words).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn wait_until_ready(&self, container: &str) {
        procfs::ask_until("all three are ready", || are_ready(&self.run(&["logs", container])));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let pods = self.try_to(&["pod", "ps", "--quiet", "--no-trunc"]).unwrap_or_default();
        let _ = self.try_to(&["pod", "rm", "--all", "--force", "--time", "0"]);
        let _ = self.try_to(&["rm", "--all", "--force", "--time", "0"]);
        // podman leaves the cgroups of a pod behind if version 1 is mounted.
        let is_id = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        pods.lines().filter(is_id).for_each(|pod| docker::remove_cgroups(&format!("libpod_parent/{pod}")));
    }
}

#[test]
fn podman_run_init_starts_the_init() {
    let Some(image) = image() else { return };
    let Some(podman) = Podman::with(image) else { return };
    let init = init_under_test().display().to_string();
    let options = ["--network", "none", "--pull", "never", "--env", "DUMB_INIT_DRAIN=10s"];
    let script = ["--entrypoint", "/usr/bin/start.sh", "localhost/app:1"];
    let start = ["run", "--detach", "--name", "app", "--init", "--init-path", &init];
    podman.run(&[&start[..], &options, &script].concat());
    podman.wait_until_ready("app");
    // Its name there, as docs/containers.md has it.
    let line = podman.run(&["exec", "app", "/bin/sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]);
    assert_eq!(line, "/run/podman-init -- /usr/bin/start.sh ");
    let told = podman.run(&["exec", "app", "/run/podman-init", "--explain"]);
    assert!(told.contains("podman-init (PID 1) forwards to its direct child alone"), "{told}");
    podman.run(&["stop", "--time", "20", "app"]);
    expect_all_three(&podman.run(&["logs", "app"]));
}

//! docs/examples/kubernetes, by `podman play kube`. A kubelet was not at hand.
//!
//! podman 4.3 doesn't read terminationGracePeriodSeconds, so the tests pass the same number on.

use std::time::{Duration, Instant};

use super::podman::Podman;
use super::{example, expect_all_three, image};

fn play(podman: &Podman, file: &str) {
    podman.run(&["play", "kube", "--network", "none", &example(file).display().to_string()]);
    podman.wait_until_ready("app-main");
}

/// The time that a file gives its pod to end.
fn grace(file: &str) -> String {
    let text = std::fs::read_to_string(example(file)).expect("a file");
    let grace = text.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
    grace.expect(file).to_owned()
}

#[test]
fn pod_ends_after_delay_and_drain() {
    let Some(image) = image() else { return };
    let Some(podman) = Podman::with(image) else { return };
    let file = "kubernetes/pod.yaml";
    play(&podman, file);
    let begin = Instant::now();
    podman.run(&["pod", "stop", "--time", &grace(file), "app"]);
    let took = begin.elapsed();
    expect_all_three(&podman.run(&["logs", "app-main"]));
    // The delay, and the slowest of the three.
    assert!(took >= Duration::from_millis(3500), "{took:?}");
}

#[test]
fn container_init_keeps_its_orphans_in_a_pod_with_shared_pids() {
    let Some(image) = image() else { return };
    let Some(podman) = Podman::with(image) else { return };
    let file = "kubernetes/shared-pids.yaml";
    play(&podman, file);
    let first = podman.run(&["exec", "app-main", "/bin/sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]);
    assert!(!first.contains("dumb-init"), "PID 1 is {first}");
    // Stops the container only: podman ends the pause process of a pod together with the
    // containers, and its end kills all processes as it is PID 1.
    podman.run(&["stop", "--time", &grace(file), "app-main"]);
    expect_all_three(&podman.run(&["logs", "app-main"]));
}

//! The files of docs/examples, run by the engines that they are written for.
//!
//! Each starts the same script, whose three programs take their time to sign off, and ends in whatever way its engine ends
//! things: all three have got the signal, once, and have finished. The image is the one of docs/examples/image.

mod compose;
mod daemon;
mod documentation;
mod image;
mod kubernetes;
mod podman;
mod swarm;

use std::path::PathBuf;

use crate::support::{docker, init_beyond};

const PROGRAMS: [&str; 3] = ["crond", "worker", "service"];

/// The path of a file of docs/examples.
fn example(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples")).join(path);
    assert!(path.exists(), "{}", path.display());
    path
}

/// The image of the examples. `None` where there is no engine, which is told, and where the original is tested, which can
/// nothing of this.
fn image() -> Option<&'static str> {
    init_beyond().and_then(|_| docker::example_image())
}

/// How often something is said for each of the programs. What comes before it on a line doesn't count.
fn times(text: &str, what: &str) -> [usize; 3] {
    PROGRAMS.map(|name| text.lines().filter(|line| line.ends_with(&format!("{name} {what}"))).count())
}

fn are_ready(text: &str) -> bool {
    times(text, "ready") == [1; 3]
}

/// All three got the signal, once, and finished.
#[track_caller]
fn expect_all_three(text: &str) {
    assert_eq!((times(text, "got SIGTERM"), times(text, "finished")), ([1; 3], [1; 3]), "{text}");
}

//! Files of docs/examples, run by their engines.
//!
//! Each but `registry` starts the same script with three slow programs, and is stopped as its engine
//! does it. All three receive the signal once and finish. The image is that of docs/examples/image.

mod compose;
mod containerd;
mod daemon;
mod documentation;
mod image;
mod kubernetes;
mod podman;
mod registry;
mod swarm;

use std::path::PathBuf;

use crate::support::start_script::PROGRAMS;
use crate::support::{docker, init_beyond};

/// The path of a file of docs/examples.
fn example(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples")).join(path);
    assert!(path.exists(), "{}", path.display());
    path
}

/// Image of the examples. `None` without an engine, or if the original is tested.
fn image() -> Option<&'static str> {
    init_beyond().and_then(|_| docker::example_image())
}

/// Number of times that each of the programs reports something. A prefix of a line is ignored.
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

//! Images of the tests, made without a registry: Dockerfile.test on root file systems of
//! tests/rootfs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::{docker, run};
use crate::support::{Scratch, init_under_test, probe, skip, start_script};

/// Content of an image, beside the init under test as entry point, the probe and the start script.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// Nothing but the libraries of an init that isn't static.
    Empty,
    /// Static programs, and those libraries.
    Busybox,
    /// A C library, and a shell that needs it.
    Dash,
}

impl Base {
    /// Name for tests/rootfs.
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Busybox => "busybox",
            Self::Dash => "dash",
        }
    }
}

/// The image that the programs of most tests need, or a word about why there is none.
pub fn image() -> Option<&'static str> {
    image_on(Base::Busybox)
}

/// The image with this base, or a word about why there is none.
pub fn image_on(base: Base) -> Option<&'static str> {
    static IMAGES: [OnceLock<Result<String, String>>; 3] =
        [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    or_skip(IMAGES[base as usize].get_or_init(|| build(base)))
}

/// The image of docs/examples/image with the init under test, or a word about why there is none.
pub fn example_image() -> Option<&'static str> {
    static IMAGE: OnceLock<Result<String, String>> = OnceLock::new();
    or_skip(IMAGE.get_or_init(build_example))
}

/// The image of docs/examples/registry with the init under test, or a word about why there is none.
pub fn registry_image(dockerfile: &Path, scripts: &[&Path], etcdctl: &Path) -> Option<&'static str> {
    static IMAGE: OnceLock<Result<String, String>> = OnceLock::new();
    or_skip(IMAGE.get_or_init(|| {
        let scratch = Scratch::new();
        for file in scripts.iter().chain([&etcdctl]) {
            copy(file, &scratch.path().join(file.file_name().unwrap_or_default()))?;
        }
        let base = import("registry", Base::Busybox, &[&init_under_test(), etcdctl])?;
        build_on(&base, "registry", dockerfile, &scratch)
    }))
}

fn or_skip(image: &'static Result<String, String>) -> Option<&'static str> {
    match image {
        Ok(image) => Some(image),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

/// An image made of another, with these lines in its Dockerfile.
pub fn derived(image: &str, name: &str, lines: &str) -> String {
    let scratch = Scratch::new();
    scratch.file("Dockerfile", &format!("FROM {image}\n{lines}\n"), 0o644);
    let tag = tag(name);
    docker(&["build", "--quiet", "--tag", &tag, &scratch.path().display().to_string()])
        .expect("docker build");
    tag
}

/// The name of an image of this run.
fn tag(name: &str) -> String {
    format!("dumb-init-test:{}-{name}", std::process::id())
}

fn build(base: Base) -> Result<String, String> {
    let scratch = Scratch::new();
    let script = format!("#!/bin/sh\n{}", start_script::lines().replace("probe", "/usr/bin/probe"));
    scratch.file("start.sh", &script, 0o755);
    copy(&probe(), &scratch.path().join("probe"))?;
    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile.test");
    build_with_init(base.name(), &dockerfile, base, &scratch)
}

fn build_example() -> Result<String, String> {
    let scratch = Scratch::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/image");
    copy(&example.join("start.sh"), &scratch.path().join("start.sh"))?;
    build_with_init("example", &example.join("Dockerfile"), Base::Busybox, &scratch)
}

/// Builds an image of the tests' from a directory, to which the init is added.
fn build_with_init(name: &str, dockerfile: &Path, base: Base, context: &Scratch) -> Result<String, String> {
    build_on(imported(base)?, name, dockerfile, context)
}

/// The same on the image `base`.
fn build_on(base: &str, name: &str, dockerfile: &Path, context: &Scratch) -> Result<String, String> {
    let base = format!("BASE={base}");
    copy(&init_under_test(), &context.path().join("dumb-init"))?;
    let (dockerfile, context) = (dockerfile.display().to_string(), context.path().display().to_string());
    let tag = tag(name);
    docker(&["build", "--quiet", "--file", &dockerfile, "--tag", &tag, "--build-arg", &base, &context])?;
    Ok(tag)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

/// The image of a base.
fn imported(base: Base) -> Result<&'static str, String> {
    static BASES: [OnceLock<Result<String, String>>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let import = || import(base.name(), base, &[&init_under_test(), &probe()]);
    BASES[base as usize].get_or_init(import).as_deref().map_err(Clone::clone)
}

/// Imports a root file system with the libraries of these programs.
fn import(name: &str, base: Base, programs: &[&Path]) -> Result<String, String> {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    READY.get_or_init(get_ready).clone()?;
    let scratch = Scratch::new();
    let tar = scratch.path().join("base.tar");
    let mut make = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rootfs"));
    run(make.arg(base.name()).arg(&tar).args(programs))?;
    let image = tag(&format!("{name}-base"));
    docker(&["import", &tar.display().to_string(), &image])?;
    Ok(image)
}

/// Whether there is an engine. Removes images and containers of earlier runs: the test runner ends
/// a process before it can remove its own images.
fn get_ready() -> Result<(), String> {
    docker(&["info"]).map_err(|_| "no Docker Engine is running here")?;
    let list =
        |words: &[&str]| docker(words).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let is_of_the_past = |number: &str| {
        let pid = number.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    // Another run of the tests may be quicker than we are.
    for name in list(&["ps", "--all", "--format", "{{.Names}}", "--filter", "name=dumb-init-test-"])?.lines()
    {
        if name.strip_prefix("dumb-init-test-").is_some_and(is_of_the_past) {
            let _ = docker(&["rm", "--force", "--volumes", name]);
        }
    }
    for image in list(&["images", "--format", "{{.Repository}}:{{.Tag}}", "dumb-init-test"])?.lines() {
        if image.split_once(':').is_some_and(|(_, tag)| is_of_the_past(tag)) {
            let _ = docker(&["rmi", "--force", image]);
        }
    }
    Ok(())
}

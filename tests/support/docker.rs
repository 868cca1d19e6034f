//! Real containers, on an image that needs no registry: Dockerfile.test on a base that is made of static programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Scratch, init_under_test, probe, skip};

/// The three programs of a start script, and how long each takes to shut down.
pub const START_SCRIPT: &str = "probe work crond 500 &\nprobe work worker 800 &\nprobe work service 1500\n";

/// The image with the init under test as its entry point, or a word about why there is none.
pub fn image() -> Option<&'static str> {
    static IMAGE: OnceLock<Result<Image, String>> = OnceLock::new();
    match IMAGE.get_or_init(build) {
        Ok(image) => Some(&image.0),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

struct Image(String);

/// A container that is removed when this is dropped.
pub struct Container(String);

impl Container {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self(format!("dumb-init-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// `docker stop`, with more time than anything takes.
    pub fn stop(&self) {
        self.stop_within(60);
    }

    /// `docker stop`, which kills after so many seconds.
    pub fn stop_within(&self, seconds: u32) {
        docker(&["stop", "--time", &seconds.to_string(), &self.0]).expect("docker stop");
    }

    /// When the engine got the last line that the container printed, and when the container ended, in seconds of the same
    /// day.
    pub fn last_line_and_end(&self) -> (f64, f64) {
        let seconds = |time: &str| {
            let time = time.split_once('T').expect(time).1.trim_end_matches('Z');
            time.split(':').map(|part| part.parse::<f64>().expect(time)).fold(0.0, |sum, part| sum * 60.0 + part)
        };
        let lines = docker(&["logs", "--timestamps", &self.0]).expect("docker logs");
        let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
        let last = lines.lines().last().and_then(|line| line.split(' ').next()).expect("a line");
        let end = docker(&["inspect", "--format", "{{.State.FinishedAt}}", &self.0]).expect("docker inspect");
        (seconds(last), seconds(String::from_utf8_lossy(&end.stdout).trim()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(output) } else { Err(format!("{command:?}: {stderr}")) }
}

fn docker(words: &[&str]) -> Result<Output, String> {
    run(Command::new("docker").args(words))
}

fn build() -> Result<Image, String> {
    docker(&["info"]).map_err(|_| "no Docker Engine is running here")?;
    remove_images_of_the_past()?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.ok_or("busybox (Debian's busybox-static) is not installed")?;
    let scratch = Scratch::new();
    let context = scratch.path();

    // The base image: a static shell, and the libraries of an init that isn't static itself.
    let root = context.join("root");
    let copy = |from: &Path, to: &Path| -> Result<(), String> {
        let target = root.join(to.strip_prefix("/").unwrap_or(to));
        fs::create_dir_all(target.parent().unwrap_or(&root)).map_err(|error| error.to_string())?;
        fs::copy(from, target).map(drop).map_err(|error| format!("{}: {error}", from.display()))
    };
    copy(Path::new(busybox), Path::new("/bin/sh"))?;
    for library in libraries(&init_under_test()) {
        copy(&library, &library)?;
    }
    let tar = context.join("base.tar");
    run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
    let tag = format!("dumb-init-test:{}", std::process::id());
    let base = format!("{tag}-base");
    docker(&["import", &tar.display().to_string(), &base])?;

    let files = context.join("files");
    fs::create_dir(&files).map_err(|error| error.to_string())?;
    let script = format!("#!/bin/sh\n{}", START_SCRIPT.replace("probe", "/usr/bin/probe"));
    fs::write(files.join("start.sh"), script).map_err(|error| error.to_string())?;
    fs::set_permissions(files.join("start.sh"), fs::Permissions::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    for (from, name) in [(init_under_test(), "dumb-init"), (probe(), "probe")] {
        fs::copy(from, files.join(name)).map_err(|error| error.to_string())?;
    }
    let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile.test");
    let base_argument = format!("BASE={base}");
    let files = files.display().to_string();
    docker(&["build", "--quiet", "--file", dockerfile, "--tag", &tag, "--build-arg", &base_argument, &files])?;
    Ok(Image(tag))
}

/// The shared libraries that a program needs: none if it is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = run(Command::new("ldd").arg(program)).map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Removes what earlier runs of the tests have left: a process can't remove its own images when it ends, since the tests'
/// runner ends it.
fn remove_images_of_the_past() -> Result<(), String> {
    let images = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "dumb-init-test"])?;
    for image in String::from_utf8_lossy(&images.stdout).lines() {
        let number = |tag: &str| tag.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
        let pid = image.split_once(':').and_then(|(_, tag)| number(tag));
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            docker(&["rmi", "--force", image])?;
        }
    }
    Ok(())
}

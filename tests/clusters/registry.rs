//! docs/examples/registry with a real etcd: "registry/program.sh" and "registry/leave.sh" in the image of
//! "registry/Dockerfile".

use std::path::Path;

use super::example;
use crate::services::installed;
use crate::support::docker::{self, Container};
use crate::support::{Running, Start, count_lines, init_beyond, procfs};

/// In the order of their keys.
const PROGRAMS: [&str; 3] = ["crond", "service", "worker"];

/// A running etcd, and the image of the example.
struct Registry {
    image: &'static str,
    container: Container,
    _etcd: Running,
}

impl Registry {
    /// `None` without an engine or without etcd.
    fn start() -> Option<Self> {
        init_beyond()?;
        let [etcd, etcdctl] = ["etcd", "etcdctl"].map(installed);
        let (etcd, etcdctl) = (etcd?, etcdctl?);
        let files = ["registry/Dockerfile", "registry/program.sh", "registry/leave.sh"].map(example);
        let image = docker::registry_image(&files[0], &[&files[1], &files[2]], &etcdctl)?;
        let container = Container::new();
        let volume = format!("{}:/usr/bin/etcd:ro", etcd.display());
        let etcd = container.run(
            &["--volume", &volume, "--entrypoint", "/usr/bin/etcd"],
            image,
            &["--data-dir", "/tmp/etcd", "--log-level", "error"],
        );
        let registry = Self { image, container, _etcd: etcd.start() };
        procfs::ask_until("etcd answers", || registry.call(&["endpoint", "health"]).is_some());
        Some(registry)
    }

    /// Output of a successful call of etcdctl.
    fn call(&self, words: &[&str]) -> Option<String> {
        let outcome = self.container.exec(&[&["etcdctl"], words].concat()).run();
        (outcome.code() == 0).then(|| outcome.stdout())
    }

    /// The names of the registered programs.
    fn names(&self) -> Vec<String> {
        let keys = self.call(&["get", "--prefix", "/services/", "--keys-only"]).expect("the keys");
        let name = |key: &str| Path::new(key).file_name().map(|name| name.to_string_lossy().into_owned());
        keys.lines().filter(|line| !line.is_empty()).filter_map(name).collect()
    }

    /// Starts the image in the network of etcd, and waits until all programs are registered.
    fn run(&self, options: &[&str], words: &[&str]) -> (Container, Running) {
        let app = Container::new();
        let network = format!("container:{}", self.container.name());
        let start = Start::program("docker").words(["run", "--network", &network, "--name", app.name()]);
        let running = start.words(options).word(self.image).words(words).start();
        for name in PROGRAMS {
            running.wait_for_line(format!("{name} registered"));
        }
        assert_eq!(self.names(), PROGRAMS);
        (app, running)
    }
}

#[test]
fn stopped_container_leaves_the_registry_first() {
    let Some(registry) = Registry::start() else { return };
    let (app, running) = registry.run(&[], &[]);
    app.expect_no_zombie();
    app.stop();
    let outcome = running.outcome();
    outcome.expect_code(0);
    assert!(!outcome.stderr().contains("[dumb-init]"), "{outcome}");
    assert_eq!(registry.names(), Vec::<String>::new(), "{outcome}");
    let text = outcome.stdout();
    assert_eq!(count_lines(&text, "left: 3 keys removed on SIGTERM"), 1, "{outcome}");
    let (before, after) = text.split_once("left: ").expect("the hook's line");
    for name in PROGRAMS {
        let lines = [format!("{name} got SIGTERM"), format!("{name} finished")];
        assert_eq!(lines.each_ref().map(|line| count_lines(before, line)), [0; 2], "{outcome}");
        assert_eq!(lines.each_ref().map(|line| count_lines(after, line)), [1; 2], "{outcome}");
    }
}

#[test]
fn failed_program_takes_its_container_out_of_the_registry() {
    let Some(registry) = Registry::start() else { return };
    let (app, running) = registry.run(&[], &[]);
    let worker = app.process_with("/bin/sh /usr/bin/program.sh worker");
    app.exec(&["kill", "-KILL", &worker.pid.to_string()]).run().expect_code(0);
    let outcome = running.outcome();
    outcome.expect_code(137);
    assert_eq!(registry.names(), Vec::<String>::new(), "{outcome}");
    assert!(outcome.stderr().contains("helper 'program.sh worker' (PID "), "{outcome}");
    for name in ["crond", "service"] {
        assert_eq!(count_lines(&outcome.stdout(), &format!("{name} finished")), 1, "{outcome}");
    }
}

#[test]
fn registry_keeps_the_keys_without_the_hook() {
    let Some(registry) = Registry::start() else { return };
    let words = ["--with", "program.sh crond", "--with", "program.sh worker", "program.sh", "service"];
    let (app, running) = registry.run(&["--entrypoint", "/usr/bin/dumb-init"], &words);
    app.stop();
    running.outcome().expect_code(0);
    assert_eq!(registry.names().len(), PROGRAMS.len());
}

//! docs/examples/swarm, on a swarm of one node.

use std::collections::BTreeMap;
use std::fs;

use super::{are_ready, example, expect_all_three, image, times};
use crate::support::docker::OwnEngine;
use crate::support::{docker, procfs};

/// Output of each replica so far. Swarm removes the logs of replaced replicas; the volume keeps
/// them.
fn told(engine: &OwnEngine) -> BTreeMap<String, String> {
    let files = fs::read_dir(engine.volume("app_told")).into_iter().flatten().flatten();
    let text = |entry: &fs::DirEntry| {
        String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned()
    };
    files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), text(&entry))).collect()
}

fn deploy(engine: &OwnEngine, image: &str, release: &str) {
    let mut command = engine.client();
    command.env("IMAGE", image).env("RELEASE", release);
    // There is no registry to be asked which image that is.
    command.args(["stack", "deploy", "--resolve-image", "never", "--compose-file"]);
    docker::run(command.arg(example("swarm/stack.yaml")).arg("app")).expect("docker stack deploy");
}

#[test]
fn swarm_update_and_removal_let_every_replica_finish() {
    let Some(image) = image() else { return };
    let Some(engine) = OwnEngine::start("{}", &[]) else { return };
    engine.load(image);
    engine.docker(&["swarm", "init", "--listen-addr", "127.0.0.1", "--advertise-addr", "127.0.0.1"]);
    let wait_for = |what: &str, is_so: &dyn Fn(&BTreeMap<String, String>) -> bool| {
        procfs::wait_or_tell(|| is_so(&told(&engine)), || format!("{what}: {:#?}", told(&engine)));
        told(&engine)
    };
    let are_three =
        |told: &BTreeMap<String, String>| told.len() == 3 && told.values().all(|text| are_ready(text));
    let have_ended = |told: &BTreeMap<String, String>, replicas: &BTreeMap<String, String>| {
        replicas.keys().all(|name| times(&told[name], "finished") == [1; 3])
    };

    deploy(&engine, image, "1");
    let first = wait_for("three replicas are ready", &are_three);

    deploy(&engine, image, "2");
    // Replicas are replaced in turn, each with its grace period.
    for count in 4..=6 {
        wait_for("another one is ready", &|told| {
            told.len() >= count && told.values().all(|text| are_ready(text))
        });
    }
    let second = wait_for("all three have made room", &|told| have_ended(told, &first));
    for name in first.keys() {
        expect_all_three(&second[name]);
    }
    let settings = engine.docker(&["service", "inspect", "app_app"]);
    assert!(settings.contains("RELEASE=2"), "{settings}");

    engine.docker(&["stack", "rm", "app"]);
    let all = wait_for("the last three have ended", &|told| have_ended(told, &second));
    for text in all.values() {
        expect_all_three(text);
    }
    assert_eq!(all.len(), 6, "{all:#?}");
}

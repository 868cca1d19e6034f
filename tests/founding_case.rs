//! The start script that launches several programs, and what becomes of them when the container is stopped.
//!
//! What stands here is the original's behaviour, which is also this program's as long as nothing else is asked for: the
//! script dies of SIGTERM, the init ends with it, and whatever still cleans up is killed with the container.

use std::path::PathBuf;

use crate::support::{Running, Scratch, Start, can_have_pid_namespaces, docker, init, probe, send};

/// Three programs, each of which takes its time to shut down.
fn script(scratch: &Scratch) -> PathBuf {
    let text = format!("#!/bin/sh\n{}", docker::START_SCRIPT.replace("probe", &probe().display().to_string()));
    scratch.file("start.sh", &text, 0o755)
}

fn wait_for_all(running: &Running) {
    for name in ["crond", "worker", "service"] {
        running.wait_for_line(&format!("{name} ready"));
    }
}

fn count(text: &str, what: &str) -> usize {
    ["crond", "worker", "service"].iter().filter(|name| text.contains(&format!("{name} {what}"))).count()
}

#[test]
fn every_program_of_the_group_gets_the_signal() {
    let scratch = Scratch::new();
    let mut running = init().word(script(&scratch)).start();
    wait_for_all(&running);
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait().code(), Some(143));
    // Not in a namespace, they outlive the init.
    running.wait_for_stdout("the end of all three", |text| count(text, "finished") == 3);
    assert_eq!(count(&running.stdout(), "got 15"), 3);
}

#[test]
fn with_the_variable_of_a_base_image_none_of_them_gets_it() {
    let scratch = Scratch::new();
    let mut running = init().variable("DUMB_INIT_SETSID", "0").word(script(&scratch)).start();
    wait_for_all(&running);
    running.signal(libc::SIGTERM);
    // The script dies of it, as would the init without one.
    assert_eq!(running.wait().code(), Some(143));
    // Each gets one signal now, and tells nothing else.
    running.descendants().into_iter().for_each(|pid| send(pid, 64));
    running.wait_for_stdout("the last signal, three times", |text| count(text, "got 64") == 3);
    assert_eq!(count(&running.stdout(), "got 15"), 0, "{running}");
}

#[test]
fn as_pid_1_it_ends_with_the_script_and_nobody_finishes() {
    if !can_have_pid_namespaces() {
        return;
    }
    for setsid in ["1", "0"] {
        let scratch = Scratch::new();
        let running = init().in_namespace().variable("DUMB_INIT_SETSID", setsid).word(script(&scratch)).start();
        wait_for_all(&running);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        assert_eq!(count(&outcome.stdout(), "finished"), 0, "{outcome}");
    }
}

#[test]
fn as_a_containers_entrypoint_it_ends_with_the_script_and_nobody_finishes() {
    let Some(image) = docker::image() else { return };
    for setsid in ["1", "0"] {
        let container = docker::Container::new();
        let running = Start::program("docker")
            .words(["run", "--name", container.name(), "--env", &format!("DUMB_INIT_SETSID={setsid}"), image])
            .start();
        wait_for_all(&running);
        container.stop();
        let outcome = running.outcome();
        outcome.expect_code(143);
        assert_eq!(count(&outcome.stdout(), "finished"), 0, "{outcome}");
    }
}

#[test]
fn the_first_line_of_a_script_can_name_it() {
    let scratch = Scratch::new();
    let text = format!("#!{} /bin/sh\necho \"$0\" \"$@\"\nexit 6\n", crate::support::init_under_test().display());
    let script = scratch.file("script.sh", &text, 0o755);
    let outcome = Start::program(&script).words(["a b", "-v"]).run();
    outcome.expect_code(6).expect_stdout(&format!("{} a b -v\n", script.display())).expect_stderr("");
}

//! A start script that launches several programs, and the end of its container.
//!
//! The default is that of the original: the script dies by SIGTERM, the init exits, and programs
//! that still clean up are killed with the container. With `--drain` all programs finish.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::shutdown::in_both_settings;
use crate::support::start_script::{count, expect_all_three, wait_for_all, write};
use crate::support::{
    Report, Scratch, Start, can_have_pid_namespaces, docker, init, init_beyond, patience, send,
};

#[test]
fn group_mode_signals_every_program_of_the_script() {
    let scratch = Scratch::new();
    let mut running = init().word(write(&scratch)).start();
    wait_for_all(&running);
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait().code(), Some(143));
    // Not in a namespace, they outlive the init.
    running.wait_for_stdout("the end of all three", |text| count(text, Report::Finished) == 3);
    assert_eq!(count(&running.stdout(), Report::Got(15)), 3);
}

#[test]
fn setsid_variable_keeps_signal_from_all_programs() {
    let scratch = Scratch::new();
    let mut running = init().variable("DUMB_INIT_SETSID", "0").word(write(&scratch)).start();
    wait_for_all(&running);
    running.signal(libc::SIGTERM);
    // The script dies by it, as without an init.
    assert_eq!(running.wait().code(), Some(143));
    // Each program receives one signal now and reports only that.
    running.descendants().into_iter().for_each(|pid| send(pid, 64));
    running.wait_for_stdout("the last signal, three times", |text| count(text, Report::Got(64)) == 3);
    assert_eq!(count(&running.stdout(), Report::Got(15)), 0, "{running}");
}

#[test]
fn pid_1_exits_with_the_script_before_programs_finish() {
    if !can_have_pid_namespaces() {
        return;
    }
    for setsid in ["1", "0"] {
        let scratch = Scratch::new();
        let running =
            init().in_namespace().variable("DUMB_INIT_SETSID", setsid).word(write(&scratch)).start();
        wait_for_all(&running);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        assert_eq!(count(&outcome.stdout(), Report::Finished), 0, "{outcome}");
    }
}

#[test]
fn container_ends_with_the_script_before_programs_finish() {
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
        assert_eq!(count(&outcome.stdout(), Report::Finished), 0, "{outcome}");
    }
}

#[test]
fn shebang_line_can_name_the_init() {
    let scratch = Scratch::new();
    let text =
        format!("#!{} /bin/sh\necho \"$0\" \"$@\"\nexit 6\n", crate::support::init_under_test().display());
    let script = scratch.file("script.sh", &text, 0o755);
    let outcome = Start::program(&script).words(["a b", "-v"]).run();
    outcome.expect_code(6).expect_stdout(&format!("{} a b -v\n", script.display())).expect_stderr("");
}

/// Settings that let all three programs finish.
pub(crate) const CURES: [&[(&str, &str)]; 5] = [
    &[("DUMB_INIT_DRAIN", "10s")],
    &[("DUMB_INIT_DRAIN", "10s"), ("DUMB_INIT_SETSID", "0")],
    &[("DUMB_INIT_DRAIN", "forever"), ("DUMB_INIT_SETSID", "0"), ("DUMB_INIT_FORWARD", "group")],
    &[("DUMB_INIT_DRAIN", "10s"), ("DUMB_INIT_FORWARD", "tree")],
    &[("DUMB_INIT_DRAIN", "10s"), ("DUMB_INIT_FORWARD", "child")],
];

/// Runs the script that `script` makes under the init, with each of the cures, as PID 1 and not,
/// and stops it.
fn expect_all_to_be_cured(script: fn(&Scratch) -> PathBuf) {
    let with = |start: Start, cure: &[(&str, &str)]| {
        let start = cure.iter().fold(start, |start, (name, value)| start.variable(name, value));
        let scratch = Scratch::new();
        let mut running = start.word(script(&scratch)).start();
        wait_for_all(&running);
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Finished.by("service"));
        let last = Instant::now();
        assert_eq!(running.wait().code(), Some(143));
        // Neither at the deadline nor at the next tick of a poll; how fast it is in a quiet moment,
        // the test under Docker measures.
        let took = last.elapsed();
        assert!(took < patience(Duration::from_secs(3)), "{took:?} after the last\n{running}");
        expect_all_three(&running.outcome().stdout());
    };
    // At the same time, since they do little but wait.
    thread::scope(|scope| {
        for cure in CURES {
            scope.spawn(move || in_both_settings(|start| with(start, cure)));
        }
    });
}

#[test]
fn drain_signals_each_program_once_and_all_finish() {
    expect_all_to_be_cured(write);
}

/// The start script with the init in its first line as well.
fn script_with_an_init(scratch: &Scratch) -> PathBuf {
    let path = write(scratch);
    let text = std::fs::read_to_string(&path).expect("the script");
    let first_line = format!("#!{} /bin/sh", crate::support::init_under_test().display());
    scratch.file("nested.sh", &text.replacen("#!/bin/sh", &first_line, 1), 0o755)
}

#[test]
fn drain_with_nested_inits_signals_each_program_once() {
    expect_all_to_be_cured(script_with_an_init);
}

#[test]
fn container_drain_ends_at_last_program_exit() {
    if init_beyond().is_none() {
        return;
    }
    let Some(image) = docker::image() else { return };
    // Returns how long after its last line the container has ended.
    let with = |cure: &[(&str, &str)], words: &[&str]| {
        let container = docker::Container::new();
        let mut start = Start::program("docker").words(["run", "--name", container.name()]);
        for (name, value) in cure {
            start = start.words(["--env", &format!("{name}={value}")]);
        }
        let running = start.word(image).words(words).start();
        wait_for_all(&running);
        container.stop();
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_all_three(&outcome.stdout());
        // Both times are the engine's.
        let (last_line, end) = container.last_line_and_end();
        (end - last_line + 43_200.0).rem_euclid(86_400.0) - 43_200.0
    };
    let nested: &[&str] = &["dumb-init", "/usr/bin/start.sh"];
    thread::scope(|scope| {
        for (cure, words) in
            CURES.map(|cure| (cure, &[][..])).into_iter().chain([(CURES[0], nested), (CURES[1], nested)])
        {
            scope.spawn(move || {
                // The engine may be busy; a poll, or a wait for a deadline, would show each time.
                let in_time = (0..3).any(|_| (-0.1..0.3).contains(&with(cure, words)));
                assert!(in_time, "three times the container ended more than 0.3 s after its last line");
            });
        }
    });
}

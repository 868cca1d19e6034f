//! The init as PID 1 of a gVisor sandbox, whose kernel is a program: Debian's runsc.
//!
//! Cloud Run and GKE Sandbox run containers so. The platform ptrace needs no KVM.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::services::installed;
use crate::start_script::CURES;
use crate::support::differences::{Original, wanted_difference};
use crate::support::start_script::{count, expect_all_three, lines, wait_for_all};
use crate::support::{
    Order, Outcome, Report, Running, Scratch, Start, count_lines, docker, init_beyond, init_under_test,
    is_root, probe, procfs,
};

const INIT: &str = "/usr/bin/dumb-init";
const SCRIPT: &str = "/usr/bin/start.sh";

/// Sandbox with busybox, the init under test, the probe and the start script. It is removed when
/// this is dropped.
struct Sandbox {
    files: Scratch,
    starts: Cell<u32>,
}

impl Sandbox {
    /// `None`, with a message, if there is no runsc, or if the tests do not run as root.
    fn new() -> Option<Self> {
        if !is_root() {
            return None;
        }
        installed("runsc")?;
        let scratch = Scratch::new();
        let root = scratch.path().join("rootfs");
        let tar = scratch.path().join("rootfs.tar");
        let mut make = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rootfs"));
        let programs = [init_under_test(), probe()];
        docker::run(make.arg("busybox").arg(&tar).args(&programs)).expect("tests/rootfs");
        fs::create_dir_all(root.join("usr/bin")).expect("a directory");
        docker::run(Command::new("tar").arg("-C").arg(&root).arg("-xf").arg(&tar)).expect("tar");
        for (program, name) in programs.iter().zip(["dumb-init", "probe"]) {
            let copied = docker::run(Command::new("cp").arg(program).arg(root.join("usr/bin").join(name)));
            copied.expect("cp");
        }
        let script = format!("#!/bin/sh\n{}", lines().replace("probe", "/usr/bin/probe"));
        scratch.file(Path::new("rootfs").join(&SCRIPT[1..]), &script, 0o755);
        Some(Self { files: scratch, starts: Cell::new(0) })
    }

    /// `runsc`, with its state in the directory of the test.
    fn runsc(&self) -> Start {
        let state = self.files.path().join("state");
        Start::program("runsc").word("--root").word(state).words([
            "--platform=ptrace",
            "--network=none",
            "--ignore-cgroups",
        ])
    }

    /// The name of the last start, unique on this machine.
    fn id(&self) -> String {
        let directory = self.files.path().file_name().and_then(OsStr::to_str).expect("a directory");
        format!("{directory}-{}", self.starts.get())
    }

    /// Starts these words as PID 1.
    fn start(&self, variables: &[(&str, &str)], words: &[&str]) -> Running {
        // The process of an earlier start may still have its socket.
        self.starts.set(self.starts.get() + 1);
        let environment: Vec<String> = [("PATH", "/usr/bin:/bin")]
            .iter()
            .chain(variables)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // Rust's notation of these lists is JSON's, too.
        let config = format!(
            r#"{{
                "ociVersion": "1.0.0",
                "process": {{ "args": {words:?}, "env": {environment:?}, "cwd": "/", "user": {{ "uid": 0, "gid": 0 }} }},
                "root": {{ "path": "rootfs" }},
                "mounts": [{{ "destination": "/proc", "type": "proc", "source": "proc" }}],
                "linux": {{ "namespaces": [{{ "type": "pid" }}, {{ "type": "mount" }}] }}
            }}"#
        );
        self.files.file("config.json", &config, 0o644);
        self.runsc().words(["run", "--bundle"]).word(self.files.path()).word(self.id()).start()
    }

    /// Starts the init with these words, which the probe's order follows.
    fn start_probe(&self, options: &[&str], order: Order) -> Running {
        let order = docker::probe(order);
        let words: Vec<&str> =
            [INIT].iter().chain(options).copied().chain(order.iter().map(String::as_str)).collect();
        self.start(&[], &words)
    }

    /// `runsc kill`, which sends PID 1 a signal.
    fn kill(&self, number: i32) {
        self.runsc().word("kill").word(self.id()).word(number.to_string()).run().expect_code(0);
    }

    /// Runs a program beside the init.
    fn exec(&self, words: &[&str]) -> Outcome {
        self.runsc().word("exec").word(self.id()).words(words).run()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // One that has ended is gone already.
        self.runsc().words(["delete", "--force"]).word(self.id()).run();
    }
}

#[test]
fn gvisor_pid_1_returns_exit_status() {
    let Some(sandbox) = Sandbox::new() else { return };
    let outcome = sandbox.start(&[], &[INIT, "sh", "-c", "echo $PPID; exit 7"]).outcome();
    outcome.expect_code(7).expect_stdout("1\n").expect_stderr("");
    sandbox.start_probe(&[], Order::Die(6)).outcome().expect_code(134);
    sandbox.start(&[], &[INIT, "/nonexistent"]).outcome().expect_code(2);
}

#[test]
fn gvisor_pid_1_forwards_every_signal() {
    let Some(sandbox) = Sandbox::new() else { return };
    for options in [&[][..], &["-c"]] {
        let running = sandbox.start_probe(options, Order::Record(libc::SIGTERM));
        running.wait_for_line(Report::Ready);
        // `runsc kill` does not know real-time signals.
        for number in [34, 64] {
            sandbox.exec(&["kill", &format!("-{number}"), "1"]).expect_code(0);
            running.wait_for_line(Report::Got(number));
        }
        for number in [1, 2, 3, 10, 13, 28, libc::SIGTERM] {
            sandbox.kill(number);
            running.wait_for_line(Report::Got(number));
        }
        running.outcome().expect_code(42);
    }
}

#[test]
fn gvisor_pid_1_forwards_stop_signals_and_is_not_stopped() {
    let Some(sandbox) = Sandbox::new() else { return };
    wanted_difference("23. Stop signals in gVisor", Original::Fails, || {
        let running = sandbox.start_probe(&["-c"], Order::Record(libc::SIGTERM));
        running.wait_for_line(Report::Ready);
        for number in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGTERM] {
            sandbox.kill(number);
            running.wait_for_line(Report::Got(number));
        }
        running.outcome().expect_code(42);
    });
}

#[test]
fn gvisor_pid_1_reaps_every_orphan() {
    let Some(sandbox) = Sandbox::new() else { return };
    let running = sandbox.start_probe(&[], Order::Orphans(50));
    running.wait_for_line(Report::Ready);
    let others = || {
        let stats = sandbox.exec(&["sh", "-c", "cat /proc/[0-9]*/stat"]).stdout();
        let parents = stats.lines().filter_map(|line| line.rsplit_once(") ")?.1.split(' ').nth(1));
        parents.filter(|&parent| parent == "1").count()
    };
    procfs::ask_until("the command is its only child", || others() == 1);
    sandbox.kill(libc::SIGTERM);
    running.outcome().expect_code(143);
}

#[test]
fn gvisor_start_script_without_a_drain_loses_its_programs() {
    let Some(sandbox) = Sandbox::new() else { return };
    for setsid in ["1", "0"] {
        let running = sandbox.start(&[("DUMB_INIT_SETSID", setsid)], &[INIT, SCRIPT]);
        wait_for_all(&running);
        sandbox.kill(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        assert_eq!(count(&outcome.stdout(), Report::Finished), 0, "{outcome}");
    }
}

#[test]
fn gvisor_drain_signals_each_program_of_the_script_once() {
    if init_beyond().is_none() {
        return;
    }
    let with = |cure: &[(&str, &str)], words: &[&str]| {
        let Some(sandbox) = Sandbox::new() else { return };
        let running = sandbox.start(cure, words);
        wait_for_all(&running);
        sandbox.kill(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_all_three(&outcome.stdout());
    };
    let nested: &[&str] = &[INIT, INIT, SCRIPT];
    thread::scope(|scope| {
        for cure in CURES {
            scope.spawn(move || with(cure, &[INIT, SCRIPT]));
        }
        for cure in &CURES[..2] {
            scope.spawn(move || with(cure, nested));
        }
    });
}

#[test]
fn gvisor_drain_kills_and_names_survivors_at_deadline() {
    if init_beyond().is_none() {
        return;
    }
    let Some(sandbox) = Sandbox::new() else { return };
    // In a session of its own, so that only /proc shows it.
    let stubborn = docker::probe(Order::Record(64)).join(" ");
    let text = format!("setsid {stubborn} & trap 'exit 3' TERM; while :; do sleep 0.1; done");
    let running = sandbox.start(&[("DUMB_INIT_DRAIN", "1s")], &[INIT, "sh", "-c", &text]);
    running.wait_for_line(Report::Ready);
    sandbox.kill(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(3).expect_stdout("ready\ngot 15\n");
    let stderr = outcome.stderr();
    assert!(stderr.contains("Killing PID ") && stderr.contains("(probe)"), "{outcome}");
}

#[test]
fn gvisor_writer_of_a_pipe_is_signalled_before_its_reader() {
    if init_beyond().is_none() {
        return;
    }
    let Some(sandbox) = Sandbox::new() else { return };
    let order = docker::probe(Order::Work("app", 200)).join(" ");
    let pipeline = format!("{order} | while read -r line; do echo \"log: $line\"; done; :");
    let running = sandbox.start(&[("DUMB_INIT_DRAIN", "10s")], &[INIT, "sh", "-c", &pipeline]);
    running.wait_for_line(format!("log: {}", Report::Ready.by("app")));
    sandbox.kill(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(143);
    assert_eq!(
        count_lines(&outcome.stdout(), &format!("log: {}", Report::Finished.by("app"))),
        1,
        "{outcome}"
    );
}

#[test]
fn gvisor_explain_predicts_the_shutdown() {
    if init_beyond().is_none() {
        return;
    }
    let Some(sandbox) = Sandbox::new() else { return };
    for (variables, code, part) in [
        (&[("DUMB_INIT_SETSID", "0")][..], 1, "Not signalled: 3 of 4 processes"),
        (&[], 1, "Every process receives the signal. Remaining processes are left behind"),
        (&[("DUMB_INIT_DRAIN", "10s")], 0, "dumb-init waits for the last process"),
    ] {
        let running = sandbox.start(variables, &[INIT, SCRIPT]);
        wait_for_all(&running);
        let told = sandbox.exec(&[INIT, "--explain"]);
        told.expect_code(code);
        assert!(told.stderr().contains(part), "{told}");
        sandbox.kill(libc::SIGTERM);
        running.outcome().expect_code(143);
    }
}

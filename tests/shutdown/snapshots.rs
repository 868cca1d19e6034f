//! A drain that cannot read processes, or reads hostile ones.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::Resource;
use nix::unistd::Pid;

use super::{count_lines, expect_lines, in_both_settings, script, wait_for_lines};
use crate::support::{
    Order, Outcome, Report, Running, Scratch, Start, can_inject_faults, init_beyond, patience, probe, procfs,
    send,
};

/// Command with a process in another session, an orphan, and a process below a parent that ignores
/// SIGTERM.
fn tree() -> String {
    format!(
        "setsid probe {far} & (probe {orphan} &); \
                      sh -c 'setsid probe {near} & trap \"\" TERM; wait; wait' & exec probe {main}",
        far = Order::Work("far", 100),
        orphan = Order::Daemon("orphan", 100),
        near = Order::Work("near", 100),
        main = Order::Work("main", 300)
    )
}
const READY: [&str; 4] = ["far ready", "orphan ready", "near ready", "main ready"];

/// Lowers a limit of a process that runs.
fn limit(pid: Pid, resource: Resource, to: u64) {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: reads the limit.
    let result =
        unsafe { libc::prlimit(pid.as_raw(), resource as _, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn start_tree(start: Start) -> Running {
    let running = start.words(script(tree())).start();
    wait_for_lines(&running, &READY);
    // Nothing is about to become the init's child.
    procfs::wait_until("the orphan is adopted", || procfs::children(running.pid()).len() == 2);
    running
}

/// Expects that each process received SIGTERM once and finished.
fn expect_all_reached_once(outcome: &Outcome) {
    for name in ["far", "orphan", "near", "main"] {
        expect_lines(outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
    }
}

#[test]
fn drain_works_with_one_free_descriptor() {
    let drain = format!("{}s", patience(Duration::from_secs(4)).as_secs());
    for descriptors in [4, 5] {
        for options in [&["--drain", &drain][..], &["--linger", "--drain", "60s"], &["-c", "--drain", &drain]]
        {
            in_both_settings(|start| {
                let running = start_tree(start.words(options));
                limit(running.pid(), Resource::RLIMIT_NOFILE, descriptors);
                running.signal(libc::SIGTERM);
                let outcome = running.outcome();
                outcome.expect_code(0).expect_stderr("");
                expect_all_reached_once(&outcome);
            });
        }
    }
}

const FAILED: &str = "only the command's group is signalled.\n";

#[test]
fn drain_without_a_free_descriptor_signals_the_group() {
    for options in [&["--drain", "1s"][..], &["--linger", "--drain", "1s"], &["-c", "--drain", "1s"]] {
        in_both_settings(|start| {
            let mut running = start_tree(start.words(options));
            limit(running.pid(), Resource::RLIMIT_NOFILE, 3);
            let begin = Instant::now();
            running.signal(libc::SIGTERM);
            assert_eq!(running.wait().code(), Some(0), "{running}");
            // The deadline, twenty tries to kill, and the command's own time.
            assert!(begin.elapsed() < patience(Duration::from_secs(10)), "{running}");
            let stderr = running.stderr();
            let reason = "[dumb-init] Unable to look for descendants (errno=24 Too many open files); ";
            assert_eq!(stderr, format!("{reason}{FAILED}"), "{running}");
            assert_eq!(count_lines(&running.stdout(), &Report::Finished.by("main")), 1, "{running}");
        });
    }
}

/// strace(1) on a process that runs.
struct Faults(Child);

impl Faults {
    fn inject(pid: Pid, fault: &str) -> Self {
        let call = fault.split(':').next().unwrap_or_default();
        let child = Command::new("strace")
            .args([
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={fault}"),
                "-p",
            ])
            .arg(pid.to_string())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace");
        let traced = || procfs::status_field(pid, "TracerPid").is_some_and(|tracer| tracer != "0");
        procfs::wait_until("the init is traced", traced);
        Self(child)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn failed_snapshot_neither_repeats_nor_loses_a_signal() {
    if init_beyond().is_none() || !can_inject_faults() {
        return;
    }
    for fault in [
        "openat:error=EMFILE:when=1",
        "openat:error=ENFILE:when=2",
        "openat:error=ENOMEM:when=3",
        "getdents64:error=ENOMEM:when=1",
        "getdents64:error=ENOMEM:when=2",
        "readlink:error=ENOMEM:when=1",
        "readlink:error=ENOMEM:when=2",
        "pidfd_open:error=EMFILE:when=1+",
    ] {
        in_both_settings(|start| {
            let running = start_tree(start.words(["--drain", "4s"]));
            let _faults = Faults::inject(running.pid(), fault);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0);
            assert!(outcome.stderr().is_empty() || outcome.stderr().ends_with(FAILED), "{fault}\n{outcome}");
            assert!(outcome.stderr().lines().count() <= 1, "{fault}\n{outcome}");
            expect_all_reached_once(&outcome);
        });
    }
}

#[test]
fn process_named_like_an_init_is_signalled() {
    for name in ["dumb-init", "tini"] {
        in_both_settings(|start| {
            let scratch = Scratch::new();
            // The program has a size of one terabyte, most of it a hole.
            let path = scratch.executable_copy(&probe());
            let file = scratch.path().join(name);
            std::fs::rename(path, &file).expect("another name");
            let status = Command::new("truncate").args(["--size", "1T"]).arg(&file).status();
            assert!(status.is_ok_and(|status| status.success()), "truncate");
            let text = format!(
                "setsid {} {far} & probe {near} & exec probe {main}",
                file.display(),
                far = Order::Work("far", 50),
                near = Order::Work("near", 50),
                main = Order::Work("main", 50)
            );
            let begin = Instant::now();
            let running = start.words(["--forward", "tree", "--drain", "60s"]).words(script(&text)).start();
            wait_for_lines(
                &running,
                &[Report::Ready.by("far"), Report::Ready.by("near"), Report::Ready.by("main")],
            );
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
            outcome.expect_code(0).expect_stderr("");
            for name in ["far", "near", "main"] {
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
        });
    }
}

/// Process with this name that is another program, and the descendants that it does not signal.
fn impostor(name: &str, milliseconds: u64) -> String {
    let text = format!(
        "printf %s {name} >/proc/$$/comm; trap : TERM; probe {member} & setsid probe {child} & \
         echo impostor ready; wait; wait; wait; wait; echo impostor ended",
        member = Order::Work("member", 50),
        child = Order::Work("child", milliseconds)
    );
    format!(
        "setsid sh -c '{text}' & probe {other} & exec probe {main}",
        other = Order::Work("other", 50),
        main = Order::Work("main", 50)
    )
}

#[test]
fn false_init_mark_affects_only_its_descendants() {
    for name in ["dumb-init[init]", "dumb-init", "tini[dumb-init]"] {
        in_both_settings(|start| {
            let running = start.words(["--drain", "4s"]).words(script(impostor(name, 50))).start();
            wait_for_lines(
                &running,
                &[
                    Report::Ready.by("impostor"),
                    Report::Ready.by("child"),
                    Report::Ready.by("member"),
                    Report::Ready.by("other"),
                    Report::Ready.by("main"),
                ],
            );
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0);
            for name in ["other", "main"] {
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
            // Not killed by the deadline unsignalled.
            expect_lines(
                &outcome,
                &[(Report::Got(15).by("child".to_owned()), 1), (Report::Finished.by("child".to_owned()), 1)],
            );
        });
    }
}

#[test]
fn deadline_holds_below_a_false_init_mark() {
    in_both_settings(|start| {
        let text = impostor("dumb-init[init]", 999_999);
        let mut running = start.words(["--drain", "1s"]).words(script(&text)).start();
        wait_for_lines(
            &running,
            &[
                Report::Ready.by("impostor"),
                Report::Ready.by("child"),
                Report::Ready.by("member"),
                Report::Ready.by("other"),
                Report::Ready.by("main"),
            ],
        );
        let begin = Instant::now();
        running.signal(libc::SIGTERM);
        assert_eq!(running.wait().code(), Some(0), "{running}");
        assert!(begin.elapsed() < patience(Duration::from_secs(10)), "{running}");
        assert!(running.descendants().is_empty(), "{running}");
    });
}

/// The address space of a process, in bytes.
fn address_space(pid: Pid) -> u64 {
    let text = procfs::status_field(pid, "VmSize").expect("VmSize");
    text.trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn exhausted_memory_loses_no_signal() {
    in_both_settings(|start| {
        // Several hundred processes that only a search of /proc finds.
        let text = format!(
            "i=0; while [ $i -lt 400 ]; do setsid sleep 999 & i=$((i + 1)); done; \
                    probe {near} & probe {main} & trap 'exit 5' TERM; echo started; wait; wait; wait",
            near = Order::Work("near", 50),
            main = Order::Work("main", 50)
        );
        let running = start.words(["-v", "--drain", "3s"]).words(script(text)).start();
        wait_for_lines(
            &running,
            &["started".to_owned(), Report::Ready.by("near".to_owned()), Report::Ready.by("main".to_owned())],
        );
        let pid = running.pid();
        procfs::wait_until("all have executed", || {
            let is_sleep = |pid: &Pid| {
                std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("sleep"))
            };
            running.descendants().iter().filter(|pid| is_sleep(pid)).count() == 400
        });
        limit(pid, Resource::RLIMIT_AS, address_space(pid));
        let begin = Instant::now();
        send(pid, libc::SIGTERM);
        let mut running = running;
        let status = running.wait();
        let time = begin.elapsed();
        assert_eq!(status.code(), Some(5), "{running}");
        assert!(time < patience(Duration::from_secs(15)), "{time:?} {running}");
        let got = Report::Got(15).by("near");
        if !running.is_in_namespace() {
            running.wait_for_line(got);
            return;
        }
        // Without memory, the init may exit with the command. Then the kernel kills the rest of its namespace.
        let outcome = running.outcome();
        let has_no_memory = outcome.stderr().contains("Going on without options.");
        assert!(has_no_memory || count_lines(&outcome.stdout(), &got) >= 1, "{outcome}");
    });
}

//! A drain beside a file system that hangs, and under an emulator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Pid;

use super::{expect_lines, wait_for_lines};
use crate::services::installed;
use crate::support::{
    Condition, Order, Report, Running, Scratch, Start, can_have_pid_namespaces, init_beyond, init_under_test,
    probe, procfs, script, send, skip,
};

#[test]
fn executable_on_hung_file_system_delays_no_other_process() {
    let (Some(start), Some(busybox)) =
        (init_beyond().filter(|_| can_have_pid_namespaces()), static_busybox())
    else {
        return;
    };
    let scratch = Scratch::new();
    let Some(mount) = Mount::of(&busybox, &scratch) else { return };
    let text = format!(
        "setsid {} {other} & setsid {} sh -c 'echo hung ready; /bin/sleep 999 & wait' &
        trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done",
        probe().display(),
        mount.path.join("busybox").display(),
        other = Order::Work("other", 50)
    );
    let mut running = start.in_namespace().words(["--drain", "2s", "sh", "-c", &text]).start();
    wait_for_lines(
        &running,
        &[Report::Ready.to_string(), Report::Ready.by("other"), Report::Ready.by("hung")],
    );
    let init = running.pid();
    let _pause = Pause::of(mount.server.pid());
    send(init, libc::SIGTERM);
    running.wait_for_line(Report::Finished.by("other"));
    assert_eq!(running.wait().code(), Some(5), "{running}");
}

#[test]
fn hook_on_hung_file_system_ends_at_its_timeout() {
    let (Some(start), Some(busybox)) =
        (init_beyond().filter(|_| can_have_pid_namespaces()), static_busybox())
    else {
        return;
    };
    let scratch = Scratch::new();
    let Some(mount) = Mount::of(&busybox, &scratch) else { return };
    let hook = format!("{} true", mount.path.join("busybox").display());
    let start = start.in_namespace().words(["--pre-stop-timeout", "100ms", "--pre-stop", &hook]);
    let mut running = start.probe(Order::Record(libc::SIGTERM)).start();
    running.wait_for_line(Report::Ready);
    let init = running.pid();
    let _pause = Pause::of(mount.server.pid());
    send(init, libc::SIGTERM);
    running.wait_for_line(Report::Got(libc::SIGTERM));
    assert_eq!(running.wait().code(), Some(42), "{running}");
}

/// A process that is stopped until this is dropped.
struct Pause(Pid);

impl Pause {
    fn of(pid: Pid) -> Self {
        send(pid, libc::SIGSTOP);
        procfs::wait_for_state(pid, 'T');
        Self(pid)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        send(self.0, libc::SIGCONT);
    }
}

/// FUSE file system with one program. Its server can be stopped.
struct Mount {
    server: Running,
    path: PathBuf,
}

impl Mount {
    fn of(program: &Path, scratch: &Scratch) -> Option<Self> {
        let bindfs = installed("bindfs")?;
        if !Path::new("/dev/fuse").exists() {
            skip("there is no /dev/fuse");
            return None;
        }
        let [source, path] = ["source", "mount"].map(|name| scratch.path().join(name));
        fs::create_dir(&source).expect("a directory");
        fs::create_dir(&path).expect("a directory");
        let copied = Command::new("cp").arg(program).arg(source.join("busybox")).status();
        assert!(copied.is_ok_and(|status| status.success()), "cp");
        // Without caches, so that each look at a file is a request to the server.
        let options = ["-f", "-o", "attr_timeout=0,entry_timeout=0,ac_attr_timeout=0"];
        let mut server = Start::program(bindfs).words(options).word(&source).word(&path).start();
        procfs::wait_until("the file system is mounted", || {
            server.has_ended() || path.join("busybox").exists()
        });
        if server.has_ended() {
            skip(&format!("FUSE does not work here: {}", server.stderr()));
            return None;
        }
        Some(Self { server, path })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

#[test]
fn drain_under_emulation_signals_all_descendants() {
    let (Some(_), Some(busybox)) = (init_beyond().filter(|_| can_have_pid_namespaces()), static_busybox())
    else {
        return;
    };
    let Some(qemu) = emulator() else { return };
    let shell = format!("{} {}", qemu.display(), busybox.display());
    let scratch = Scratch::new();
    let write = |name: &str, text: &str| scratch.file(name, &text.replace("BUSYBOX", &shell), 0o644);
    let child = "trap 'echo child got 15; exit' TERM; echo child ready; while :; do BUSYBOX sleep 0.1; done";
    let child = write("child.sh", child);
    let worker = format!("trap 'echo worker got 15; exit' TERM; BUSYBOX sh {} & wait", child.display());
    let worker = write("worker.sh", &worker);
    let main = format!(
        "setsid BUSYBOX sh {} & trap 'exit 5' TERM; echo ready; while :; do BUSYBOX sleep 0.1; done",
        worker.display()
    );
    let main = write("main.sh", &main);
    let start = Start::program(&qemu).in_namespace().word(init_under_test()).words(["--drain", "10s"]);
    let running = start.word(&qemu).word(&busybox).word("sh").word(main).start();
    wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("child")]);
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(5);
    assert!(!outcome.stderr().contains("Killing"), "{outcome}");
    expect_lines(&outcome, &[(Report::Got(15).by("worker"), 1), (Report::Got(15).by("child"), 1)]);
}

#[test]
fn nested_inits_under_emulation_signal_once() {
    let (Some(_), Some(qemu)) = (init_beyond().filter(|_| can_have_pid_namespaces()), emulator()) else {
        return;
    };
    let init = format!("{} {}", qemu.display(), init_under_test().display());
    // At half time of its drain, the outer init looks for processes without a signal.
    let (long, short) = (Order::Work("long", 1500), Order::Work("short", 50));
    let inner = format!("trap : TERM; setsid probe {long} & wait; wait");
    let text = format!("{init} -- sh -c '{inner}' & exec probe {short}");
    let start = Start::program(&qemu).in_namespace().variable("DUMB_INIT_DRAIN", "2s");
    let start = start.variable("DUMB_INIT_FORWARD", "tree").word(init_under_test());
    let running = start.words(script(text)).start();
    wait_for_lines(&running, &[Report::Ready.by("long"), Report::Ready.by("short")]);
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(0);
    expect_lines(&outcome, &[(Report::Got(15).by("long"), 1), (Report::Finished.by("long"), 1)]);
}

#[test]
fn signal_before_exec_under_emulation_is_not_lost() {
    let (Some(_), Some(qemu)) = (init_beyond(), emulator()) else { return };
    // Without a wait for the exec, one of ten is lost.
    for _ in 0..30 {
        let start = Start::program(&qemu).condition(Condition::Pending(libc::SIGTERM));
        start.word(init_under_test()).probe(Order::Hang).run().expect_code(143);
    }
}

/// Returns the path of the emulator of this machine's programs, or skips the test.
fn emulator() -> Option<PathBuf> {
    installed(&format!("qemu-{}-static", std::env::consts::ARCH))
}

/// Returns the path of Debian's busybox-static, or skips the test.
fn static_busybox() -> Option<PathBuf> {
    let busybox = installed("busybox")?;
    let output = Command::new("ldd").arg(&busybox).output().ok();
    let is_static = output.is_some_and(|output| !output.status.success());
    (is_static || skip("busybox is not static (Debian's busybox-static)")).then_some(busybox)
}

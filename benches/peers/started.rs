//! A running init as PID 1 of a PID namespace, and its values in /proc.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::inits::{Init, environment};
use crate::roles::MARK;

/// An init that is PID 1. Its end takes everything that runs under it along.
pub struct Started {
    child: Child,
}

impl Started {
    /// Starts it with these options and that role under it, and waits until the role is ready.
    pub fn new(init: &Init, options: &[&str], role: &[&str]) -> Self {
        let child = in_namespace(|| {
            Command::new("sh")
                .args(["-c", "mount -t proc proc /proc && exec \"$0\" \"$@\""])
                .arg(&init.path)
                .args(options)
                .arg("--")
                .arg(std::env::current_exe().expect("this program"))
                .arg(MARK)
                .args(role)
                .env_clear()
                .envs(environment())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("{}: {error}", init.path.display()))
        });
        let mut started = Self { child };
        let mut ready = [0; 6];
        started.read(&mut ready);
        assert_eq!(&ready, b"ready\n", "{}", init.name);
        started.settle();
        started
    }

    /// Its PID, as seen from here.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits until it has only one child, and returns that.
    pub fn only_child(&self) -> Pid {
        loop {
            if let [child] = self.children().as_slice() {
                return *child;
            }
            pass_time();
        }
    }

    /// Its children.
    pub fn children(&self) -> Vec<Pid> {
        let pid = self.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .expect("the children of a process");
        list.split_whitespace().map(|word| Pid::from_raw(word.parse().expect("a PID"))).collect()
    }

    pub fn read(&mut self, buffer: &mut [u8]) {
        self.child.stdout.as_mut().expect("a pipe").read_exact(buffer).expect("what the command says");
    }

    pub fn write(&mut self, text: &[u8]) {
        self.child.stdin.as_mut().expect("a pipe").write_all(text).expect("the command reads");
    }

    /// For how many nanoseconds it has had a processor (proc(5), schedstat).
    pub fn time_on_processor(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).expect("CONFIG_SCHED_INFO");
        text.split_whitespace().next().expect("a number").parse().expect("a number")
    }

    /// Waits for its end, and returns the same. A zombie still has the figure.
    pub fn time_on_processor_at_end(&self) -> u64 {
        waitid(Id::Pid(self.pid()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            .expect("the end of the init");
        self.time_on_processor()
    }

    /// Waits until it has had nothing to do for a while.
    pub fn settle(&self) {
        let mut before = self.time_on_processor();
        let mut unchanged = 0;
        while unchanged < 20 {
            pass_time();
            let now = self.time_on_processor();
            unchanged = if now == before { unchanged + 1 } else { 0 };
            before = now;
        }
    }

    /// Number of times that it has run on a processor.
    pub fn switches(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        counts.map(|(_, count)| count.trim().parse::<u64>().expect("a number")).sum()
    }

    /// A figure from smaps_rollup, in kB.
    pub fn memory(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).expect("smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect(field);
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait().expect("the end of the init");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Signals a process; that it is there is for the caller to know.
pub fn send(pid: Pid, signal: Signal) {
    kill(pid, signal).expect("kill");
}

/// Runs it in a thread whose next child is PID 1 of a new PID namespace, and can mount its /proc.
fn in_namespace<T: Send>(start: impl FnOnce() -> T + Send) -> T {
    let work = || {
        unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)
            .expect("a PID namespace; the benchmarks need root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts of one's own");
        start()
    };
    thread::scope(|scope| scope.spawn(work).join().expect("the thread that starts an init"))
}

fn pass_time() {
    thread::sleep(Duration::from_millis(1));
}

//! Lets system calls of an init fail without being made (ptrace(2)), and counts the calls.
//!
//! strace(1) cannot distinguish the child from the command, nor the init's calls from the C
//! library's start-up, and it interrupts the init when it attaches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ptr::null_mut;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use libc::c_long;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

use super::calls::{Call, Fault, Phase, When};
use crate::start::Start;
use crate::started::{End, Started};
use crate::support::trace::{self, Stop};

/// Observations of the tracer until the end of the init.
#[derive(Debug)]
pub struct Seen {
    pub end: End,
    pub command_ran: bool,
    pub counts: BTreeMap<(Phase, Call), u32>,
    pub injected: u32,
    /// Processor time that the init has used, and the time that it lived.
    pub used: Duration,
    pub lived: Duration,
    pub ended: Instant,
}

impl Seen {
    /// All calls of the init itself.
    pub fn calls(&self) -> u32 {
        self.counts.iter().filter(|((phase, _), _)| *phase == Phase::Start).map(|(_, count)| count).sum()
    }
}

/// Starts an init under a tracer. The tracer runs in a thread, and reports the end of the init to
/// `ends`.
pub fn start(start: Start, fault: Option<Fault>, ends: Sender<Seen>) -> Started {
    let (give, taken) = std::sync::mpsc::channel();
    // Only the thread that has begun a trace can continue it.
    thread::spawn(move || {
        let started = start.start();
        let pid = started.pid;
        give.send(started).expect("the test");
        let _ = ends.send(Tracer::new(pid, fault).run());
    });
    taken.recv().expect("the tracer")
}

struct Tracer {
    init: Pid,
    fault: Option<Fault>,
    began: Instant,
    /// Whether the init has come to its `main`, and the child to its exec.
    in_main: bool,
    command_runs: bool,
    /// Number of calls so far that are like the fault's.
    like_it: u32,
    /// Errno with which the call that a process is in will end.
    pending: BTreeMap<Pid, Errno>,
    children: BTreeSet<Pid>,
    counts: BTreeMap<(Phase, Call), u32>,
    injected: u32,
    used: Duration,
}

impl Tracer {
    fn new(init: Pid, fault: Option<Fault>) -> Self {
        Self {
            init,
            fault,
            began: Instant::now(),
            in_main: false,
            command_runs: false,
            like_it: 0,
            pending: BTreeMap::new(),
            children: BTreeSet::new(),
            counts: BTreeMap::new(),
            injected: 0,
            used: Duration::ZERO,
        }
    }

    fn run(mut self) -> Seen {
        // The exec of the init.
        let (pid, status) = wait();
        assert!(pid == self.init && libc::WIFSTOPPED(status), "no stop at the exec: {pid} {status:#x}");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXIT
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.init, options).expect("PTRACE_SETOPTIONS");
        resume(self.init, 0);
        loop {
            let (pid, status) = wait();
            if libc::WIFSTOPPED(status) {
                self.stop(pid, libc::WSTOPSIG(status), status >> 16);
            } else if pid == self.init {
                let end = match libc::WIFEXITED(status) {
                    true => End::Exited(libc::WEXITSTATUS(status)),
                    false => End::Killed(libc::WTERMSIG(status)),
                };
                let Self { command_runs: command_ran, counts, injected, used, began, .. } = self;
                let ended = Instant::now();
                return Seen { end, command_ran, counts, injected, used, lived: ended - began, ended };
            }
        }
    }

    fn stop(&mut self, pid: Pid, signal: i32, event: i32) {
        const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;
        let is_new = pid != self.init && self.children.insert(pid);
        match (signal, event) {
            (SYSTEM_CALL, _) => self.system_call(pid),
            (_, libc::PTRACE_EVENT_EXEC) if pid != self.init => {
                self.command_runs = true;
                let _ = ptrace::detach(pid, None);
                return;
            }
            (_, libc::PTRACE_EVENT_EXIT) if pid == self.init => self.used = processor_time(pid),
            // A new process begins with a SIGSTOP.
            (libc::SIGSTOP, 0) if is_new => {}
            (_, 0) => return resume(pid, signal),
            _ => {}
        }
        resume(pid, 0);
    }

    fn system_call(&mut self, pid: Pid) {
        match trace::system_call_stop(pid) {
            Ok(Stop::Entry(call)) => self.entry(pid, Call(call.number)),
            Ok(Stop::Exit(_)) => {
                if let Some(errno) = self.pending.remove(&pid) {
                    set_result(pid, errno);
                }
            }
            Err(_) => {}
        }
    }

    fn entry(&mut self, pid: Pid, call: Call) {
        let is_init = pid == self.init;
        self.in_main |= is_init && call.name().starts_with("rt_sig");
        if !self.in_main {
            return;
        }
        let (phase, also) = match (is_init, self.command_runs) {
            (true, false) => (Phase::Start, None),
            (true, true) => (Phase::Start, Some(Phase::Exec)),
            (false, _) => (Phase::Child, None),
        };
        for phase in std::iter::once(phase).chain(also) {
            *self.counts.entry((phase, call)).or_default() += 1;
        }
        let Some(fault) = self.fault else { return };
        if fault.call != call || (fault.phase != phase && Some(fault.phase) != also) {
            return;
        }
        self.like_it += 1;
        if fault.when == When::Every || fault.when == When::Only(self.like_it) {
            self.injected += 1;
            self.pending.insert(pid, fault.errno);
            skip_call(pid);
        }
    }
}

/// Lets the kernel look for a call that does not exist.
fn skip_call(pid: Pid) {
    if let Ok(mut registers) = ptrace::getregs(pid) {
        registers.orig_rax = u64::MAX;
        let _ = ptrace::setregs(pid, registers);
    }
}

fn set_result(pid: Pid, errno: Errno) {
    if let Ok(mut registers) = ptrace::getregs(pid) {
        registers.rax = (-i64::from(errno as i32)).cast_unsigned();
        let _ = ptrace::setregs(pid, registers);
    }
}

/// Waits for a tracee or a child of this thread.
fn wait() -> (Pid, i32) {
    let mut status = 0;
    loop {
        // SAFETY: writes the status.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match Errno::result(pid) {
            Ok(pid) => return (Pid::from_raw(pid), status),
            Err(errno) => assert_eq!(errno, Errno::EINTR, "waitpid"),
        }
    }
}

/// Resumes a tracee until its next call, with this signal. nix has no real-time signals. The tracee
/// may have been killed.
fn resume(pid: Pid, signal: i32) {
    // SAFETY: PTRACE_SYSCALL touches no memory.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid.as_raw(), null_mut::<u8>(), c_long::from(signal)) };
}

/// Processor time that a process has used so far.
pub fn processor_time(pid: Pid) -> Duration {
    const USER_TIME: usize = 14 - 3;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks =
        fields.split_whitespace().skip(USER_TIME).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

//! Processes in /proc.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::deadline;

/// The fields of /proc/PID/stat from the third on, which is the state.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = line.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// State of a process, as a letter.
pub fn state(pid: Pid) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// The processes that a process is the parent of, zombies included.
pub fn children(parent: Pid) -> Vec<Pid> {
    all().into_iter().filter(|&pid| stat(pid).is_some_and(|fields| fields[1] == parent.to_string())).collect()
}

/// The parent of a process.
pub fn parent(pid: Pid) -> Option<Pid> {
    stat(pid)?.get(1)?.parse().ok().map(Pid::from_raw)
}

/// Number of zombies below a process.
pub fn zombies(parent: Pid) -> usize {
    children(parent).into_iter().filter(|&child| state(child) == Some('Z')).count()
}

/// The processor time that a process has used, in hundredths of a second.
pub fn cpu_ticks(pid: Pid) -> u64 {
    let ticks = |index: usize| stat(pid).and_then(|fields| fields.get(index)?.parse::<u64>().ok());
    ticks(14 - 3).unwrap_or_default() + ticks(15 - 3).unwrap_or_default()
}

/// Oldest child of a process. PIDs wrap around, so the lowest PID need not be the oldest.
pub fn oldest_child(parent: Pid) -> Option<Pid> {
    const START_TIME: usize = 22 - 3;
    // Children in order, if the kernel has CONFIG_PROC_CHILDREN.
    let in_order = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    if let Some(first) = in_order.split_whitespace().next() {
        return first.parse().ok().map(Pid::from_raw);
    }
    let age = |pid: &Pid| stat(*pid).and_then(|fields| fields.get(START_TIME)?.parse::<u64>().ok());
    children(parent).into_iter().min_by_key(age)
}

/// Every process there is.
pub fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// Polls until a condition holds. Panics with its description after the deadline.
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_or_tell(is_so, || what.to_owned());
}

/// The same, with a description made after the deadline.
pub fn wait_or_tell(is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    poll(Duration::from_millis(1), is_so, what);
}

/// Like [`wait_until`], for conditions that start a program: polls less often.
pub fn ask_until(what: &str, is_so: impl FnMut() -> bool) {
    poll(Duration::from_millis(50), is_so, || what.to_owned());
}

/// The pause is not a time that something is expected to take: it only leaves the processor to
/// those that are waited for.
fn poll(pause: Duration, mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let end = deadline();
    while !is_so() {
        assert!(Instant::now() < end, "timeout: waited until {}", what());
        std::thread::sleep(pause);
    }
}

/// Waits until a process is in this state.
pub fn wait_for_state(pid: Pid, wanted: char) {
    wait_until(&format!("{pid} is in state {wanted}"), || state(pid) == Some(wanted));
}

/// The value of a line of /proc/PID/status.
pub fn status_field(pid: Pid, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// Whether a process sleeps without a pending signal.
pub fn waits_without_a_signal(pid: Pid) -> bool {
    let nothing = |name| status_field(pid, name).is_some_and(|set| u64::from_str_radix(&set, 16) == Ok(0));
    state(pid) == Some('S') && nothing("SigPnd") && nothing("ShdPnd")
}

/// Process that a trace stops in its exit, until it is released (ptrace(2), `PTRACE_O_TRACEEXIT`).
pub struct Held {
    ends: std::sync::mpsc::Receiver<()>,
    release: std::sync::mpsc::Sender<()>,
}

impl Held {
    pub fn at_exit_of(pid: Pid) -> Self {
        let (tell_end, ends) = std::sync::mpsc::channel();
        let (release, is_released) = std::sync::mpsc::channel();
        let (tell_ready, ready) = std::sync::mpsc::channel();
        // Only the thread that has begun a trace can continue it.
        std::thread::spawn(move || {
            ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).expect("PTRACE_SEIZE");
            tell_ready.send(()).expect("the test");
            loop {
                match waitpid(pid, Some(WaitPidFlag::__WALL)) {
                    Ok(WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXIT)) => {
                        let _ = tell_end.send(());
                        // Also after a failure of the test.
                        let _ = is_released.recv();
                        let _ = ptrace::cont(pid, None);
                        return;
                    }
                    Ok(WaitStatus::Stopped(_, signal)) => drop(ptrace::cont(pid, signal)),
                    Ok(WaitStatus::PtraceEvent(..)) => drop(ptrace::cont(pid, None)),
                    _ => return,
                }
            }
        });
        ready.recv().expect("the tracer");
        Self { ends, release }
    }

    /// Waits until it is at its end.
    pub fn wait(&self) {
        let left = deadline().saturating_duration_since(Instant::now());
        self.ends.recv_timeout(left).expect("the end of the process");
    }

    pub fn release(&self) {
        let _ = self.release.send(());
    }
}

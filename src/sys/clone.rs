//! Creates a child, and waits until it has called exec.
//!
//! The clone behaves like vfork(2): the child runs on our memory, and we sleep in the kernel until it has
//! called exec or has exited. So no signal is forwarded to a child that is not the command yet.
//!
//! If the kernel refuses that (a seccomp filter on clone's flags; an own time namespace, before Linux 6.1),
//! the child gets a copy of our memory, as with fork(2), and its exec closes a pipe that we read. qemu-user
//! makes such a copy without an error. Then the exec is looked for in /proc.

use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, Pid, getpid};

use super::{fds, parent, procfs, signals};
use crate::signal::Signum;

/// The child uses two pages. The kernel puts up to 11 kB on them for a signal handler (Intel AMX).
const STACK_BYTES: NonZeroUsize = NonZeroUsize::new(64 * 1024).unwrap();

/// The child's work, and the place for its PID.
struct Task<'a> {
    run: &'a mut dyn FnMut(Pid, bool) -> c_int,
    pid: libc::pid_t,
    shares_memory: bool,
    /// Whether the child has run on our memory.
    has_run: &'a AtomicBool,
}

extern "C" fn enter(task: *mut c_void) -> c_int {
    // SAFETY: `clone` passes a Task, which it does not touch before the child has ended or called exec.
    let task = unsafe { &mut *task.cast::<Task<'_>>() };
    task.has_run.store(true, Ordering::Relaxed);
    // A child with its own memory does not see the PID that the kernel has written to ours.
    let pid = if task.shares_memory { Pid::from_raw(task.pid) } else { getpid() };
    (task.run)(pid, task.shares_memory)
}

/// Calls `run` in a new child with the child's PID and whether it shares our memory. The result is the
/// child's exit status if it returns. Returns the PID when the child has called exec or has exited.
///
/// `run` must neither take a lock nor allocate: it may run on our memory and be killed at any moment.
/// Fails with EAGAIN at a limit of processes.
pub(crate) fn until_exec(run: &mut dyn FnMut(Pid, bool) -> c_int) -> nix::Result<Pid> {
    match clone(run, true) {
        Err(Errno::EINVAL | Errno::EPERM | Errno::ENOSYS) => {
            // Exec and exit close the child's end. Without a pipe (at a limit of descriptors) nothing is
            // waited for.
            let pipe = unistd::pipe2(OFlag::O_CLOEXEC).ok();
            let pid = clone(run, false)?;
            if let Some((reader, writer)) = pipe {
                drop(writer);
                // Only a child without a stderr writes, by mistake.
                while unistd::read(&reader, &mut [0; 64]).is_ok_and(|count| count > 0) {}
            }
            Ok(pid)
        }
        result => result,
    }
}

/// The same for a child with a copy of our memory, without a wait for its exec. A hung file system can
/// delay an exec without end.
pub(crate) fn without_waiting(run: &mut dyn FnMut(Pid, bool) -> c_int) -> nix::Result<Pid> {
    clone(run, false)
}

/// Runs `run` in a forked process, and reaps it. Kills the process after `patience`, because `run` may block
/// on a hung file system. Allocates nothing in the caller.
pub(crate) fn run_with_timeout(patience: Duration, run: &mut dyn FnMut()) {
    let us = getpid();
    let mut run_and_exit = |_: Pid, _: bool| {
        // A hung process must not hold a pipe open, nor outlive its parent.
        fds::close_others();
        if parent::signal_at_the_end_of(us, Signum::KILL).is_ok() {
            run();
        }
        0
    };
    let Ok(pid) = clone(&mut run_and_exit, false) else { return };
    if !is_reaped_within(patience, pid) {
        let _ = signals::send_to_process(pid, Signum::KILL);
        // A process that hangs in the kernel stays.
        is_reaped_within(TIME_TO_DIE, pid);
    }
}

const TIME_TO_DIE: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(5);

/// Polls, since a sandbox may refuse poll(2) and pidfds.
fn is_reaped_within(limit: Duration, pid: Pid) -> bool {
    for _ in 0..limit.as_millis().checked_div(STEP.as_millis()).unwrap_or_default() {
        if waitpid(pid, Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive) {
            return true;
        }
        thread::sleep(STEP);
    }
    false
}

/// Waits until a child with a copy of our memory has called exec or has exited, if /proc shows that.
#[cold]
fn wait_for_exec(pid: Pid) {
    while procfs::has_executed(pid) == Some(false) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn clone(run: &mut dyn FnMut(Pid, bool) -> c_int, shares_memory: bool) -> nix::Result<Pid> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let stack = unsafe { mmap_anonymous(None, STACK_BYTES, protection, flags) }?;
    // SAFETY: the end of the mapping. A stack grows downwards.
    let top = unsafe { stack.byte_add(STACK_BYTES.get()) };
    let has_run = AtomicBool::new(false);
    let mut task = Task { run, pid: 0, shares_memory, has_run: &has_run };
    let task = &raw mut task;
    // SAFETY: `task` is alive, and there is no other reference to it.
    let pid = unsafe { &raw mut (*task).pid };
    // CLONE_PARENT_SETTID writes the PID before the child runs, as our PID namespace numbers it.
    let sharing = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID;
    let flags = if shares_memory { sharing | libc::SIGCHLD } else { libc::SIGCHLD };
    // SAFETY: CLONE_VFORK keeps us here until the child no longer uses the task and the stack; without it,
    // the child has copies of both. Without CLONE_FILES, CLONE_FS and CLONE_SIGHAND it shares nothing else.
    let result = unsafe { libc::clone(enter, top.as_ptr(), flags, task.cast::<c_void>(), pid) };
    let result = Errno::result(result).map(Pid::from_raw);
    if let Some(pid) = result.ok().filter(|_| shares_memory && !has_run.load(Ordering::Relaxed)) {
        wait_for_exec(pid);
    }
    // SAFETY: the child no longer uses the stack, or has a copy of it.
    let _ = unsafe { munmap(stack, STACK_BYTES.get()) };
    result
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI32;

    use super::*;

    #[test]
    fn forked_process_is_reaped_by_itself_or_at_its_limit() {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_ANONYMOUS;
        let size = NonZeroUsize::new(4096).unwrap();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let shared = unsafe { mmap_anonymous(None, size, protection, flags) }.unwrap();
        // SAFETY: the mapping is zeroed, aligned, and never unmapped.
        let forked = unsafe { shared.cast::<AtomicI32>().as_ref() };
        for (hangs, patience) in [(false, Duration::from_secs(60)), (true, Duration::from_secs(1))] {
            run_with_timeout(patience, &mut || {
                forked.store(getpid().as_raw(), Ordering::Relaxed);
                if hangs {
                    loop {
                        unistd::pause();
                    }
                }
            });
            let pid = Pid::from_raw(forked.swap(0, Ordering::Relaxed));
            assert!(pid.as_raw() > 0);
            assert_eq!(waitpid(pid, None), Err(Errno::ECHILD), "it has been reaped");
        }
    }
}

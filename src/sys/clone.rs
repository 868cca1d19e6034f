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
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::wait::waitpid;
use nix::unistd::{self, Pid, getpid};

use super::{procfs, signals};
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

/// The same for a child with a copy of our memory, without a wait for its exec. A hung file system can delay an
/// exec without end.
pub(crate) fn without_waiting(run: &mut dyn FnMut(Pid, bool) -> c_int) -> nix::Result<Pid> {
    clone(run, false)
}

/// Runs `run` in a new process with a copy of our memory, and waits until it has exited, or kills it after
/// `patience`: it may look at a hung file system. Allocates nothing.
pub(crate) fn briefly(patience: Duration, run: &mut dyn FnMut()) {
    let Ok((reader, writer)) = unistd::pipe2(OFlag::O_CLOEXEC) else { return };
    let mut run_and_exit = |_: Pid, _: bool| {
        run();
        0
    };
    let Ok(pid) = clone(&mut run_and_exit, false) else { return };
    drop(writer);
    // Its exit closes the pipe.
    let milliseconds = u16::try_from(patience.as_millis()).unwrap_or(u16::MAX);
    if poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], milliseconds) == Ok(0) {
        let _ = signals::send_to_process(pid, Signum::KILL);
    } else {
        let _ = waitpid(pid, None);
    }
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
    use std::io::{Read, Write, pipe};

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    #[test]
    fn brief_process_is_reaped_or_killed_at_its_limit() {
        for (hangs, patience) in [(false, Duration::from_secs(60)), (true, Duration::from_secs(1))] {
            let (mut reader, mut writer) = pipe().unwrap();
            briefly(patience, &mut || {
                let _ = writer.write_all(&getpid().as_raw().to_ne_bytes());
                if hangs {
                    loop {
                        unistd::pause();
                    }
                }
            });
            drop(writer);
            let mut pid = [0; 4];
            reader.read_exact(&mut pid).unwrap();
            let pid = Pid::from_raw(i32::from_ne_bytes(pid));
            let killed = WaitStatus::Signaled(pid, nix::sys::signal::Signal::SIGKILL, false);
            assert_eq!(waitpid(pid, None), if hangs { Ok(killed) } else { Err(Errno::ECHILD) });
        }
    }
}

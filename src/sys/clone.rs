//! How is a child made that nobody can signal too early?
//!
//! By a clone that behaves like vfork(2): the child has our memory, and we sleep in the kernel until it has called exec
//! or has exited. So there is no moment at which a signal is forwarded to a child that isn't the command yet, and no
//! page table is copied. Unlike after vfork its frames are not ours: they lie below them, on memory that deeper calls have
//! left behind, which makes it an ordinary function call to Rust.
//!
//! Where the kernel refuses that (a seccomp filter on clone's flags; a time namespace of one's own, before Linux 6.1),
//! the child has a copy of our memory, as after fork(2), and we sleep until a pipe tells of its exec.

use std::ffi::{c_int, c_void};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{self, Pid, getpid};

/// The child's frames begin so far below a variable of the function that makes it: what that function, and the C library's
/// clone(2), still need lies in between.
const GAP: usize = 1024;
/// What the ABIs want a stack to be aligned to.
const ALIGN: usize = 16;

/// Whose memory does the child work on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Ours: what it writes is there for us.
    Shared,
    /// A copy of its own.
    Copied,
}

/// What the child is to do, and where the kernel tells it its PID.
struct Task<'a> {
    run: &'a mut dyn FnMut(Pid, Memory) -> c_int,
    pid: libc::pid_t,
    memory: Memory,
}

extern "C" fn enter(task: *mut c_void) -> c_int {
    // SAFETY: `until_exec` passes a Task, which it does not touch before the child is done with it.
    let task = unsafe { &mut *task.cast::<Task<'_>>() };
    // Its copy of the memory was made before the kernel told us.
    let pid = if task.pid == 0 { getpid() } else { Pid::from_raw(task.pid) };
    (task.run)(pid, task.memory)
}

/// Runs `run` in a new child and returns the child's PID as soon as it has called exec or has exited. `run` is told the
/// same PID, and whose memory it has; its result is the child's exit status where it returns at all.
///
/// `run` must neither take a lock nor allocate: it may work on our memory, and be killed at any moment, which would leave
/// them as they are then.
///
/// # Errors
/// clone(2): EAGAIN at a limit of processes, ENOMEM.
pub(crate) fn until_exec(run: &mut dyn FnMut(Pid, Memory) -> c_int) -> nix::Result<Pid> {
    match clone(run, Memory::Shared) {
        Err(Errno::EINVAL | Errno::EPERM | Errno::ENOSYS) => {
            // Both ends are closed by the exec, or by the end of the child. Without a pipe (at a limit of descriptors)
            // there is no waiting, as with the original.
            let pipe = unistd::pipe2(OFlag::O_CLOEXEC).ok();
            let pid = clone(run, Memory::Copied)?;
            if let Some((reader, writer)) = pipe {
                drop(writer);
                // Nobody writes but, by mistake, a child without a stderr.
                while unistd::read(&reader, &mut [0; 64]).is_ok_and(|count| count > 0) {}
            }
            Ok(pid)
        }
        result => result,
    }
}

#[inline(never)] // Its frame is a small one, whoever calls it.
fn clone(run: &mut dyn FnMut(Pid, Memory) -> c_int, memory: Memory) -> nix::Result<Pid> {
    let mut task = Task { run, pid: 0, memory };
    let task: *mut Task<'_> = &raw mut task;
    // It grows downwards, and the kernel lets it grow as it lets ours.
    let stack = task.cast::<c_void>().map_addr(|address| address.saturating_sub(GAP) & !(ALIGN - 1));
    // SAFETY: `task` is alive, and nothing else refers to it.
    let told_pid = unsafe { &raw mut (*task).pid };
    let flags = libc::SIGCHLD
        | match memory {
            // CLONE_PARENT_SETTID writes before the child runs, and the number is the one that our namespace has for it.
            Memory::Shared => libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID,
            Memory::Copied => 0,
        };
    // SAFETY: CLONE_VFORK keeps us here until the child is done with the task and with what lies below our frames, where nobody
    // else has anything; without it, the child has its own copy of both. It has file descriptors, signal dispositions and a working directory of its own, since
    // CLONE_FILES, CLONE_SIGHAND and CLONE_FS are not set.
    let result = unsafe { libc::clone(enter, stack, flags, task.cast::<c_void>(), told_pid) };
    Errno::result(result).map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    #[test]
    #[allow(clippy::large_stack_arrays)] // That is what it is about.
    fn however_much_the_child_puts_on_its_stack_ours_stays_as_it_is() {
        let ours = black_box([7u8; 512]);
        let mut seen = Vec::with_capacity(1);
        let child = until_exec(&mut |pid, memory| {
            let mut frames = black_box([1u8; 64 * 1024]);
            black_box(&mut frames);
            seen.push((pid, memory));
            3
        })
        .unwrap();
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 3)));
        assert_eq!(seen, [(child, Memory::Shared)]);
        assert_eq!(black_box(ours), [7; 512]);
    }
}

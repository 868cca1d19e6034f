//! Creates a child, and waits until it has called exec.
//!
//! The clone behaves like vfork(2): the child runs on our memory, and we sleep in the kernel until it has
//! called exec or has exited. So no signal is forwarded to a child that is not the command yet.
//!
//! If the kernel refuses that (a seccomp filter on clone's flags; an own time namespace, before Linux 6.1),
//! the child gets a copy of our memory, as with fork(2). qemu-user does the same without an error. So we also
//! wait for the end of a pipe, which the child's exec closes.

use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::unistd::{self, Pid, getpid};

use super::fds;

/// The child uses two pages. The kernel puts up to 11 kB on them for a signal handler (Intel AMX).
const STACK_BYTES: NonZeroUsize = NonZeroUsize::new(64 * 1024).unwrap();

/// The beginning of the stack's mapping, which the child shares with us even if it has a copy of our memory.
struct Shared {
    /// The PID of the child in our namespace, which the kernel writes before the child runs. 0 if it does not.
    pid: AtomicI32,
    recorded: AtomicU32,
}

/// The child's work.
struct Task<'a> {
    run: &'a mut dyn FnMut(Pid, &'static AtomicU32) -> c_int,
    shared: &'static Shared,
}

extern "C" fn enter(task: *mut c_void) -> c_int {
    // SAFETY: `clone` passes a Task, which it does not touch before the child has ended or called exec.
    let task = unsafe { &mut *task.cast::<Task<'_>>() };
    let pid = match task.shared.pid.load(Ordering::Relaxed) {
        0 => getpid(),
        pid => Pid::from_raw(pid),
    };
    (task.run)(pid, &task.shared.recorded)
}

/// Calls `run` in a new child with the child's PID and a number that it shares with us. The result is the
/// child's exit status if it returns. Returns the PID and the number when the child has called exec or has
/// exited.
///
/// `run` must neither take a lock nor allocate: it may run on our memory and be killed at any moment.
/// Fails with EAGAIN at a limit of processes.
pub(crate) fn until_exec(run: &mut dyn FnMut(Pid, &'static AtomicU32) -> c_int) -> nix::Result<(Pid, u32)> {
    // CLONE_PARENT_SETTID writes the PID before the child runs, as our PID namespace numbers it.
    match clone(run, libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID) {
        Err(Errno::EINVAL | Errno::EPERM | Errno::ENOSYS) => clone(run, 0),
        result => result,
    }
}

fn clone(run: &mut dyn FnMut(Pid, &'static AtomicU32) -> c_int, flags: c_int) -> nix::Result<(Pid, u32)> {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let kind = MapFlags::MAP_SHARED | MapFlags::MAP_STACK;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let stack = unsafe { mmap_anonymous(None, STACK_BYTES, protection, kind) }?;
    // SAFETY: the end of the mapping. A stack grows downwards.
    let top = unsafe { stack.byte_add(STACK_BYTES.get()) };
    // SAFETY: the mapping is aligned, long enough, and zeros are a valid value. It is used no more when it is
    // unmapped.
    let shared: &'static Shared = unsafe { stack.cast().as_ref() };
    let mut task = Task { run, shared };
    let task = (&raw mut task).cast::<c_void>();
    // Exec and exit close the child's end. Without a pipe (at a limit of descriptors) a child with a copy of
    // our memory is not waited for.
    let pipe = fds::pipe().ok();
    // SAFETY: the child uses the task and the stack while CLONE_VFORK keeps us here, or has a copy of the task,
    // and of nothing else that we use. Without CLONE_FILES, CLONE_FS and CLONE_SIGHAND it shares nothing else.
    let result =
        unsafe { libc::clone(enter, top.as_ptr(), flags | libc::SIGCHLD, task, shared.pid.as_ptr()) };
    let result = Errno::result(result).map(Pid::from_raw);
    if let Some((reader, writer)) = pipe {
        drop(writer);
        // All signals are blocked, and nothing is written.
        let _ = unistd::read(&reader, &mut [0]);
    }
    let recorded = shared.recorded.load(Ordering::Relaxed);
    // SAFETY: our references to the mapping are not used again. A child that is not waited for has its own.
    let _ = unsafe { munmap(stack, STACK_BYTES.get()) };
    Ok((result?, recorded))
}

//! How is a child made that nobody can signal too early?
//!
//! By a clone that behaves like vfork(2): the child has our memory, and we sleep in the kernel until it has called exec
//! or has exited. So there is no moment at which a signal is forwarded to a child that isn't the command yet, and no
//! page table is copied. Unlike vfork it has a stack of its own, which makes it an ordinary function call to Rust.

use std::ffi::{c_int, c_void};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Room for the child's frames, those of formatting a line included. Only the pages that it touches cost anything.
const STACK_BYTES: usize = 256 * 1024;

/// The stack of a child.
pub(crate) struct Stack(Vec<u8>);

impl Stack {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(STACK_BYTES))
    }

    /// Where it starts: at its end, since it grows downwards, aligned as the ABI wants it.
    fn top(&mut self) -> *mut u8 {
        // SAFETY: one past the end of the allocation, which has at least this capacity.
        let end = unsafe { self.0.as_mut_ptr().add(STACK_BYTES) };
        end.map_addr(|address| address & !0xf)
    }
}

/// What the child is to do, and where the kernel tells it its PID.
struct Task<'a> {
    run: &'a mut dyn FnMut(Pid) -> c_int,
    pid: libc::pid_t,
}

extern "C" fn enter(task: *mut c_void) -> c_int {
    // SAFETY: `until_exec` passes a Task, which it does not touch before the child is done with it.
    let task = unsafe { &mut *task.cast::<Task<'_>>() };
    (task.run)(Pid::from_raw(task.pid))
}

/// Runs `run` in a new child and returns the child's PID as soon as it has called exec or has exited. `run` is told the
/// same PID; its result is the child's exit status where it returns at all.
///
/// The child works on our memory: `run` must neither take a lock nor allocate, since it may be killed at any moment and
/// would leave them as they are then.
///
/// # Errors
/// clone(2): EAGAIN at a limit of processes, ENOMEM.
pub(crate) fn until_exec(stack: &mut Stack, run: &mut dyn FnMut(Pid) -> c_int) -> nix::Result<Pid> {
    let mut task = Task { run, pid: 0 };
    let task: *mut Task<'_> = &raw mut task;
    // SAFETY: `task` is alive, and nothing else refers to it.
    let told_pid = unsafe { &raw mut (*task).pid };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    // CLONE_PARENT_SETTID writes before the child runs, and the number is the one that our namespace has for it.
    // SAFETY: CLONE_VFORK keeps us here until the child is done with the stack and the task. It has file descriptors,
    // signal dispositions and a working directory of its own, since CLONE_FILES, CLONE_SIGHAND and CLONE_FS are not set.
    let result = unsafe { libc::clone(enter, stack.top().cast::<c_void>(), flags, task.cast::<c_void>(), told_pid) };
    Errno::result(result).map(Pid::from_raw)
}

//! Forks and their ends.

use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

/// Runs this in a child, which then exits.
pub(crate) fn fork_and(run: impl FnOnce()) -> Pid {
    // SAFETY: a single-threaded program.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            run();
            exit_now(0)
        }
        ForkResult::Parent { child } => child,
    }
}

/// Runs this in a process whose parent has exited.
pub(crate) fn orphan(run: impl FnOnce()) {
    let parent = fork_and(|| {
        let parent = getpid();
        fork_and(|| {
            while getppid() == parent {
                std::thread::yield_now();
            }
            run();
        });
    });
    waitpid(parent, None).expect("waitpid");
}

/// Waits until every process that has the writing end has closed it.
pub(crate) fn wait_for_eof(reader: &PipeReader) {
    let _ = (&*reader).read(&mut [0]);
}

/// Closes this process's copy of its parent's writing end.
pub(crate) fn close(writer: &PipeWriter) {
    // SAFETY: nothing in this process uses it, and nothing closes it again: the process ends by _exit(2).
    unsafe { libc::close(writer.as_raw_fd()) };
}

/// Exits without std's clean-up.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: ends this process and nothing else.
    unsafe { libc::_exit(status) }
}

/// Waits for a change of a child's state.
pub(crate) fn wait_for(child: Pid) -> WaitStatus {
    waitpid(child, Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED)).expect("waitpid")
}

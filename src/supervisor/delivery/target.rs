//! Signals one process, which may exit meanwhile.
//!
//! A descendant is signalled through a pidfd, since its PID may be reused.

use nix::errno::Errno;
use nix::unistd::getpid;

use crate::log::{self, Message, ProcessMessage};
use crate::process::{Process, State};
use crate::signal::Signum;
use crate::sys::signals::Target;

/// Sends a signal. Logs the message if that succeeds, or the error.
pub(super) fn signal(process: &Process, signum: Signum, message: Option<ProcessMessage>) {
    match (send(process, signum), message) {
        (Ok(()), Some(message)) => log::write_process(process.pid, &process.name, message),
        (Err(errno), Some(_)) if errno != Errno::ESRCH => {
            log::write(Message::NotDelivered { signum, pid: process.pid, errno });
        }
        (Ok(()) | Err(_), _) => {}
    }
}

/// Resumes a stopped process, since it acts on nothing but SIGKILL until then.
pub(super) fn resume(process: &Process) {
    if process.state == State::Stopped {
        // It fails only if the process has exited meanwhile.
        let _ = send(process, Signum::CONT);
    }
}

/// Sends a signal to this process, and to no other one with its PID. ESRCH if it has exited.
fn send(process: &Process, signum: Signum) -> nix::Result<()> {
    // A child of ours keeps its PID until we reap it.
    if process.parent == getpid() {
        return Target::Pid(process.pid).send(signum);
    }
    let mut target = Target::open(process.pid)?;
    let is_there = process.is_still_there().or_else(|_| {
        // The pidfd may have taken the last descriptor.
        target = Target::Pid(process.pid);
        process.is_still_there()
    });
    // A process is not skipped because a look has failed.
    if is_there.unwrap_or(true) { target.send(signum) } else { Err(Errno::ESRCH) }
}

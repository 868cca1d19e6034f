//! The reason that the program exits, for the report.

use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// The cause of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The command has exited, or died of its own fault (SIGSEGV, SIGABRT).
    ByItself,
    /// A signal was forwarded to shut down, or has killed the command.
    Requested(Request),
    /// A signal that we did not send has killed the command.
    Killed(Signum),
    /// Our own SIGKILL has ended the command.
    Deadline(Deadline),
    /// A helper has exited before the command.
    Helper { pid: Pid, status: ExitStatus },
    /// The command or a helper could not be executed.
    NotStarted(Errno),
}

/// A signal that was forwarded. `-r` may have rewritten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) received: Signum,
    pub(crate) sent: Signum,
}

impl Request {
    /// Whether the signal shuts down, as it was received or sent.
    pub(super) fn shuts_down(self) -> bool {
        self.received.shuts_down() || self.sent.shuts_down()
    }
}

/// The option whose time is over when descendants are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    Drain(Duration),
    KillAfter(Duration),
}

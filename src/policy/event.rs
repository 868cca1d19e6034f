//! The events that the policy decides about.

use nix::unistd::Pid;

use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// An event, as the supervisor reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A signal was received.
    Signal(Signum, SignalSource),
    /// A child has exited. It is not reaped yet.
    Ended { pid: Pid, status: ExitStatus },
    /// A child that made us its tracer (PTRACE_TRACEME) has stopped, about to act on this signal.
    TraceStop { pid: Pid, signum: Option<Signum> },
    /// All children that have exited are reaped.
    AllReaped,
    /// No child is left. As PID 1 or a subreaper we have no other descendants either.
    NoChildren,
    /// The hook was started with this PID.
    HookStarted(Pid),
    /// The hook could not be started.
    HookNotStarted,
    /// The time of [`super::Policy::deadline`] has come.
    Deadline,
}

/// The processes that have received a signal together with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalSource {
    /// None.
    Direct,
    /// Our process group, by a key on its terminal. The command is a member if it runs.
    SharedGroup,
}

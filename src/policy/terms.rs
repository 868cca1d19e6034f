//! What is there to be decided about, and what to be done?
//!
//! The terms in which the policy is told what has happened and says what to do.

use std::time::Instant;

use nix::unistd::Pid;

use crate::log::Message;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// Tells the time.
pub(crate) type Clock<'a> = &'a dyn Fn() -> Instant;

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A signal has come.
    Signal(Signum, SignalSource),
    /// A child has ended.
    Ended { pid: Pid, status: ExitStatus },
    /// A child that we trace unasked is stopped, about to act on this signal.
    TraceStop { pid: Pid, signum: Option<Signum> },
    /// All children that have ended are reaped.
    AllReaped,
    /// No descendant is left.
    NoChildren,
    /// It is later than the policy's deadline.
    Deadline,
}

/// How a signal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalSource {
    /// Somebody has sent it to us, or the kernel has, for a reason of its own.
    Direct,
    /// The kernel has sent it to our process group, to which the command's process belongs as well, if it hasn't ended.
    SharedGroup,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say this.
    Log(Message),
    /// Forward this signal, and say so.
    Forward(Signum, Recipient, Care),
    /// Let the recipient go on, by a SIGCONT, if the command's process is stopped; where the recipient is no process or
    /// group, each of those that are.
    ResumeIfStopped(Recipient),
    /// Continue a process group.
    Continue(Pid),
    /// Continue the command's group if SIGTSTP has stopped the command, since no shell would. In a session of
    /// its own the command would not stop (setpgid(2), orphaned process groups).
    ContinueIfSuspended(Pid),
    /// Look again: send the drain's signal, if there is one, to processes that have not received it, and
    /// deferred signals.
    Round(Option<(Signum, Scope)>),
    /// Kill every descendant, and log the name of each.
    KillAll,
    /// Come back with an event for each child of which there is something to tell, one after the other.
    CollectChildren,
    /// Remove a child that has ended.
    Reap(Pid),
    /// Let a trapped child go on, acting on this signal.
    DetachTraced(Pid, Option<Signum>),
    /// Stop until SIGCONT.
    StopOurselves,
    /// End the program, reporting this.
    Exit(ExitStatus),
}

/// Whom to forward a signal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// This process.
    Process(Pid),
    /// The process group that this process leads.
    Group(Pid),
    /// The same when the leader itself has ended, so that it may well be that nobody is left.
    RestOfGroup(Pid),
    /// Every descendant.
    Tree,
    /// The descendants in this scope that have not received the drain's signal.
    Unsignalled(Scope),
    /// It was one process, and that has ended.
    Nobody,
}

impl Recipient {
    /// Whether one call of kill(2) to this recipient signals a process. False for recipients that are found one by one.
    pub(crate) fn includes(self, member: Pid, group: Pid) -> bool {
        match self {
            Self::Process(pid) => pid == member,
            Self::Group(leader) | Self::RestOfGroup(leader) => group == leader,
            Self::Tree | Self::Unsignalled(_) | Self::Nobody => false,
        }
    }
}

/// The descendants that a drain signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Our children. Other descendants are left to their parents until those exit.
    Roots,
    Everyone,
}

/// The precautions with which a signal is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Care {
    /// Whether its recipients are recorded, since no process receives the drain's signal twice.
    pub(crate) records: bool,
    /// Whether a pipe reader receives it only after its writers have exited.
    pub(crate) spares_readers: bool,
}

impl Care {
    pub(crate) const NONE: Self = Self { records: false, spares_readers: false };
}

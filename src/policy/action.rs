//! The actions that the policy decides on.

use nix::unistd::Pid;

use super::Reason;
use crate::log::Message;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// An action of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Log(Message),
    /// Sends a signal, and logs it.
    Forward(Signum, Recipient, Care),
    /// Sends SIGCONT to the recipient if the command is stopped. For descendants: to each that is stopped.
    ResumeIfStopped(Recipient),
    /// Sends SIGCONT to a process group.
    Continue(Pid),
    /// Sends SIGCONT to the command's group if SIGTSTP has stopped the command, since no shell would. In a
    /// session of its own it would not stop (setpgid(2), orphaned process groups).
    ContinueIfSuspended(Pid),
    /// Looks for remaining processes. Sends them the drain's signal, if there is one, and deferred signals.
    Round(Option<(Signum, Scope)>),
    /// Sends SIGKILL to every descendant but the hook, and logs the name of each.
    KillAll,
    /// Reports an event for each child that has exited or stopped.
    CollectChildren,
    /// Reaps a child that has exited.
    Reap(Pid),
    /// Resumes a child in a trace stop, which then acts on the signal.
    DetachTraced(Pid, Option<Signum>),
    /// Stops the program until SIGCONT.
    StopOurselves,
    /// Logs that a helper has exited, and that the container shuts down.
    LogHelper(Pid, ExitStatus),
    /// Starts the hook for this signal. An event reports whether that succeeded.
    RunHook(Signum),
    /// Sends a signal to the group of the hook.
    SignalHook(Signum, Pid),
    /// Exits with this status.
    Exit(ExitStatus, Reason),
}

/// The recipient of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    Process(Pid),
    /// The process group that this process leads.
    Group(Pid),
    /// The same after the exit of the leader. It may have no members.
    RestOfGroup(Pid),
    /// Every descendant.
    Tree,
    /// The descendants in this scope that have not received the drain's signal.
    Unsignalled(Scope),
    /// The signal was for the command alone, which has exited.
    Nobody,
}

impl Recipient {
    /// The process that it is, or that leads it.
    pub(crate) fn process(self) -> Option<Pid> {
        match self {
            Self::Process(pid) | Self::Group(pid) | Self::RestOfGroup(pid) => Some(pid),
            Self::Tree | Self::Unsignalled(_) | Self::Nobody => None,
        }
    }

    /// Whether one call of kill(2) to this recipient signals a process. False for recipients that are found
    /// one by one.
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

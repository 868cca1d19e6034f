//! Decides what follows from a signal, an exit or a deadline.
//!
//! The policy is a state machine without system calls: [`Policy::decide`] receives an [`Event`], and returns
//! [`Action`]s for the supervisor to take in order. The tests hold these invariants against random sequences
//! of events (`policy::tests::sequences`):
//!
//! - Every received signal is forwarded once, unless a rule drops it: a rewrite to 0, a key that the command
//!   has from the terminal, or a signal that the personality drops. A delayed signal is forwarded later.
//!   SIGCHLD is ours.
//! - The command is reaped after the last signal to it or to its group, since its PID may be reused then.
//! - [`Action::Exit`] is the last action. It follows the exit of the command, or of the last descendant, or
//!   SIGKILL to descendants that cannot be killed.
//! - After [`Event::Deadline`], [`Policy::deadline`] is in the future.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::log::Message;
use crate::options::settings::{Forward, Isolation, Settings};
use crate::signal::Signum;
use crate::signal::exit_status::{Circumstances, ExitStatus};
use crate::signal::rewrite::Outcome;
pub(crate) use action::{Action, Care, Recipient, Scope};
use delays::DelayedSignals;
pub(crate) use event::{Event, SignalSource};
pub(crate) use hook::GRACE as GRACE_OF_HOOK;
use hook::{Held, Hook};
pub(crate) use reason::{Deadline, Reason, Request};
use shutdown::Shutdown;

mod action;
mod delays;
mod event;
mod hook;
mod reason;
mod shutdown;

/// The decisions about one command.
#[derive(Clone)]
pub(crate) struct Policy {
    settings: Settings,
    command: Pid,
    /// The command's exit status. `None` as long as it runs.
    status: Option<ExitStatus>,
    /// The circumstances of the command's exit.
    circumstances: Circumstances,
    /// The helpers that are running.
    helpers: Vec<Helper>,
    /// The helper whose exit ends the container.
    failed_helper: Option<(Pid, ExitStatus)>,
    /// The signals that were forwarded to the command, in their order, each once.
    requests: Vec<Request>,
    /// The error that kept the command from being executed.
    start_failure: Option<Errno>,
    delayed: DelayedSignals,
    hook: Hook,
    /// The status to exit with when the hook has exited.
    pending_exit: Option<ExitStatus>,
    shutdown: Shutdown,
}

/// A running helper of `--with`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Helper {
    pub(crate) pid: Pid,
    /// Whether it may exit without consequences.
    pub(crate) is_optional: bool,
}

/// The actions for an event, decided at one moment.
struct Decision {
    now: Instant,
    actions: Vec<Action>,
}

impl Decision {
    fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn extend(&mut self, actions: impl IntoIterator<Item = Action>) {
        self.actions.extend(actions);
    }

    fn log(&mut self, message: Message) {
        self.push(Action::Log(message));
    }
}

impl Policy {
    /// Creates the policy for a command that runs with this PID.
    pub(crate) fn new(mut settings: Settings, command: Pid) -> Self {
        if settings.isolation() == Isolation::Session {
            // The kernel ignores TSTP, TTIN and TTOU in an orphaned process group. The command's group is
            // one, since its parent is in another session (setpgid(2)).
            for signum in [Signum::TSTP, Signum::TTIN, Signum::TTOU] {
                settings.rewrites.set_default(signum, Outcome::Becomes(Signum::STOP));
            }
        }
        for &signum in settings.personality.dropped_signals() {
            settings.rewrites.set_default(signum, Outcome::Dropped);
        }
        Self {
            settings,
            command,
            status: None,
            circumstances: Circumstances::default(),
            helpers: Vec::new(),
            failed_helper: None,
            requests: Vec::new(),
            start_failure: None,
            delayed: DelayedSignals::default(),
            hook: Hook::default(),
            pending_exit: None,
            shutdown: Shutdown::default(),
        }
    }

    /// Adds the helpers that were started before the command.
    pub(crate) fn with_helpers(self, helpers: Vec<Helper>) -> Self {
        Self { helpers, ..self }
    }

    /// Sets the error that kept the command from being executed. Its process exits then.
    pub(crate) fn with_start_failure(self, start_failure: Option<Errno>) -> Self {
        Self { start_failure, ..self }
    }

    /// The command's exit status. `None` as long as it runs.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Whether the command has exited.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The signals that `--delay` or the hook delays now.
    pub(crate) fn delayed_signals(&self) -> impl Iterator<Item = Signum> {
        self.delayed.signals().chain(self.hook.held.map(|held| held.signum))
    }

    /// The time at which the remaining descendants receive SIGKILL.
    pub(crate) fn kills_at(&self) -> Option<Instant> {
        self.shutdown.kill_at
    }

    /// The deadline at which descendants were killed.
    pub(crate) fn killed_at(&self) -> Option<Deadline> {
        self.shutdown.killed_at
    }

    /// The time of the next [`Event::Deadline`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.delayed.next(), self.hook.deadline, self.shutdown.deadline()].into_iter().flatten().min()
    }

    /// Decides about an event that is received now.
    pub(crate) fn decide(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut out = Decision { now, actions: Vec::new() };
        match event {
            Event::Signal(signum, source) => {
                out.log(Message::Received(signum));
                self.on_signal(signum, source, &mut out);
            }
            Event::Ended { pid, status } => {
                out.log(Message::ChildEnded { pid, status });
                if pid == self.command && self.status.is_none() {
                    self.on_exit_of_command(status, &mut out);
                } else {
                    self.on_exit_of_other(pid, status, &mut out);
                }
            }
            Event::TraceStop { pid, signum } => {
                out.push(Action::DetachTraced(pid, signum.and_then(Signum::without_a_tracer)));
            }
            Event::AllReaped => self.shutdown.on_reaped(now),
            // If the exit of the command was missed, nothing is left to wait for either.
            Event::NoChildren => {
                self.hook = Hook::default();
                self.exit(self.status.unwrap_or(ExitStatus::FAILURE), &mut out);
            }
            Event::HookStarted(pid) => self.on_start_of_hook(pid),
            Event::HookNotStarted => self.end_of_hook(&mut out),
            Event::Deadline => {
                self.on_deadline_of_hook(&mut out);
                for (signum, source) in self.delayed.take(Some(now)) {
                    self.forward_and_suspend(signum, source, &mut out);
                }
                self.on_deadline_of_shutdown(&mut out);
            }
        }
        out.actions
    }

    fn on_signal(&mut self, signum: Signum, source: SignalSource, out: &mut Decision) {
        if signum == Signum::CHLD {
            if self.settings.personality.logs_as_tini() {
                out.log(Message::ReceivedChild);
            }
            out.push(Action::CollectChildren);
            if self.settings.keeps_terminal && !self.has_ended() {
                out.push(Action::ContinueIfSuspended(self.command));
            }
            return;
        }
        if let Some(held) = self.force(signum, out) {
            return self.forward_held(held, out);
        }
        let delay = self.settings.delay(signum);
        // After the exit of the command there is nothing to delay a signal for.
        let is_delayed = !self.has_ended() || self.settings.linger;
        let until = delay.and_then(|duration| out.now.checked_add(duration));
        let held = Held { signum, source, is_own: false, until };
        if is_delayed && self.shuts_down(signum) && self.start_hook(held, out) {
            out.extend(delay.map(|duration| Action::Log(Message::Holding(signum, duration))));
        } else if let Some(duration) = delay.filter(|_| is_delayed && !self.delayed.contains(signum)) {
            self.delayed.insert(signum, source, until);
            out.log(Message::Holding(signum, duration));
        } else {
            self.delayed.remove(signum);
            self.forward_and_suspend(signum, source, out);
        }
    }

    fn on_exit_of_command(&mut self, status: ExitStatus, out: &mut Decision) {
        let remaining = self.remaining();
        let terminates = !self.waits_for_descendants() && self.settings.personality.terminates_remaining();
        self.circumstances = Circumstances {
            is_requested: self.request().is_some(),
            is_at_deadline: self.shutdown.killed_at.is_some() && status == ExitStatus::Killed(Signum::KILL),
        };
        self.status = Some(status);
        if let Some(held) = self.hook.held.take_if(|_| !self.settings.linger) {
            self.delayed.insert(held.signum, held.source, held.until);
        }
        if terminates {
            // The remaining members receive a SIGTERM anyway.
            self.delayed.remove(Signum::TERM);
        }
        for (signum, source) in self.delayed.take(None) {
            self.forward(signum, source, remaining, out);
        }
        if self.settings.linger {
            out.push(Action::Reap(self.command));
            out.log(Message::Lingering);
            self.shutdown.expect_round(out.now, Duration::ZERO);
        } else if let Some(limit) = self.settings.drain {
            self.start_drain(limit, out);
            out.push(Action::Reap(self.command));
            out.log(Message::Draining);
        } else {
            if terminates {
                self.forward(Signum::TERM, SignalSource::Direct, remaining, out);
            }
            out.push(Action::Reap(self.command));
            self.exit(status, out);
        }
    }

    /// Exits, but not before the hook. A failed helper's status replaces that of the command.
    fn exit(&mut self, status: ExitStatus, out: &mut Decision) {
        if self.hook.is_running() {
            self.pending_exit = Some(status);
            return;
        }
        let (status, reported) = match self.failed_helper {
            Some((_, ExitStatus::SUCCESS)) => (ExitStatus::FAILURE, ExitStatus::FAILURE),
            Some((_, status)) => (status, status),
            None => (status, self.settings.exit_map.apply(status, self.circumstances)),
        };
        out.log(Message::Goodbye(status));
        out.push(Action::Exit(reported, self.reason(status)));
    }

    fn reason(&self, status: ExitStatus) -> Reason {
        let deadline = self.shutdown.killed_at.filter(|_| self.circumstances.is_at_deadline);
        if let Some(errno) = self.start_failure {
            Reason::NotStarted(errno)
        } else if let Some((pid, status)) = self.failed_helper {
            Reason::Helper { pid, status }
        } else if let Some(deadline) = deadline {
            Reason::Deadline(deadline)
        } else if let Some(request) = self.request().or_else(|| self.fatal_request(status)) {
            Reason::Requested(request)
        } else {
            match status {
                ExitStatus::Killed(signum) if !signum.reports_a_fault() => Reason::Killed(signum),
                ExitStatus::Killed(_) | ExitStatus::Exited(_) => Reason::ByItself,
            }
        }
    }

    /// The first request to shut down.
    fn request(&self) -> Option<Request> {
        self.requests.iter().copied().find(|request| request.shuts_down())
    }

    /// The request that has killed the command.
    fn fatal_request(&self, status: ExitStatus) -> Option<Request> {
        self.requests.iter().copied().find(|request| status == ExitStatus::Killed(request.sent))
    }

    fn on_exit_of_other(&mut self, pid: Pid, status: ExitStatus, out: &mut Decision) {
        let helper = self.helpers.iter().position(|helper| helper.pid == pid);
        let helper = helper.map(|index| self.helpers.remove(index));
        let is_hook = self.hook.pid == Some(pid);
        if self.settings.names_orphans && helper.is_none() && !is_hook {
            out.log(Message::Reaped(pid));
        }
        out.push(Action::Reap(pid));
        if is_hook {
            self.on_exit_of_hook(status, out);
        }
        // Once the container is shutting down, helpers are expected to exit.
        let is_shutting_down =
            self.has_ended() || self.request().is_some() || self.delayed_signals().any(Signum::shuts_down);
        if helper.is_some_and(|helper| !helper.is_optional)
            && !is_shutting_down
            && self.failed_helper.is_none()
        {
            self.failed_helper = Some((pid, status));
            out.push(Action::LogHelper(pid, status));
            let held = Held { signum: Signum::TERM, source: SignalSource::Direct, is_own: true, until: None };
            if !self.start_hook(held, out) {
                self.forward_held(held, out);
            }
        }
    }

    /// Forwards a signal that the hook has held.
    fn forward_held(&mut self, held: Held, out: &mut Decision) {
        if held.is_own {
            self.send(held.signum, held.signum, held.source, self.recipient(), out);
        } else {
            self.forward_and_suspend(held.signum, held.source, out);
        }
    }

    /// Whether a signal shuts down, as it is received or forwarded.
    fn shuts_down(&self, signum: Signum) -> bool {
        match self.rewritten(signum) {
            Outcome::Dropped => false,
            Outcome::Becomes(to) => signum.shuts_down() || to.shuts_down(),
        }
    }

    /// Whether the program stays after the exit of the command.
    fn waits_for_descendants(&self) -> bool {
        self.settings.drain.is_some() || self.settings.linger
    }

    /// The recipient of a signal that is received now.
    fn recipient(&self) -> Recipient {
        match self.settings.forward {
            _ if self.settings.linger || self.has_ended() => Recipient::Tree,
            Forward::Child => Recipient::Process(self.command),
            Forward::Group => Recipient::Group(self.command),
            Forward::Tree => Recipient::Tree,
        }
    }

    /// The recipient of signals that follow the exit of the command.
    fn remaining(&self) -> Recipient {
        match self.settings.forward {
            _ if self.waits_for_descendants() => Recipient::Tree,
            Forward::Child => Recipient::Nobody,
            Forward::Group => Recipient::RestOfGroup(self.command),
            Forward::Tree => Recipient::Tree,
        }
    }

    fn forward_and_suspend(&mut self, signum: Signum, source: SignalSource, out: &mut Decision) {
        self.forward(signum, source, self.recipient(), out);
        if signum.suspends_a_job() && self.settings.personality.suspends_itself() {
            out.log(Message::Suspending);
            out.push(Action::StopOurselves);
        }
    }

    fn rewritten(&self, signum: Signum) -> Outcome {
        self.settings.rewrites.get(signum).unwrap_or(Outcome::Becomes(signum))
    }

    fn forward(&mut self, signum: Signum, source: SignalSource, recipient: Recipient, out: &mut Decision) {
        if let Some(outcome) = self.settings.rewrites.get(signum) {
            let to = match outcome {
                Outcome::Dropped => None,
                Outcome::Becomes(to) => Some(to),
            };
            out.log(Message::Translating { from: signum, to });
        }
        let Outcome::Becomes(to) = self.rewritten(signum) else { return out.log(Message::NotForwarded) };
        self.send(signum, to, source, recipient, out);
    }

    /// Sends `to` for the received signal to the recipient, and to the helpers as well.
    fn send(
        &mut self,
        signum: Signum,
        to: Signum,
        source: SignalSource,
        recipient: Recipient,
        out: &mut Decision,
    ) {
        // The command has the key from the terminal, and would take a second Ctrl-C for another. Other
        // descendants may be outside of our group.
        let is_received = to == signum && source == SignalSource::SharedGroup && signum.comes_from_a_key();
        if !is_received || recipient == Recipient::Tree {
            out.push(Action::Forward(to, recipient, self.care(to)));
        }
        let of_helpers: Vec<Recipient> = self.recipients_among_helpers(recipient).collect();
        out.extend(of_helpers.iter().map(|&helper| Action::Forward(to, helper, self.care(to))));
        // A stopped process acts on SIGKILL and SIGCONT only, and would not exit.
        if (signum.asks_to_end() || to.asks_to_end()) && !to.stops() {
            self.resume(recipient, out);
            out.extend(of_helpers.into_iter().map(Action::ResumeIfStopped));
        }
        let is_drain = matches!(recipient, Recipient::Unsignalled(_));
        let request = Request { received: signum, sent: to };
        if !is_drain && (!self.has_ended() || self.settings.linger) && !self.requests.contains(&request) {
            self.requests.push(request);
        }
        if request.shuts_down() && !is_drain {
            self.on_shutdown(out);
        }
    }

    /// The helpers that receive a signal to this recipient, too. Each leads a session and a group. A signal to
    /// all descendants reaches them anyway.
    fn recipients_among_helpers(&self, recipient: Recipient) -> impl Iterator<Item = Recipient> {
        let of_one = move |helper: &Helper| match recipient {
            Recipient::Process(_) | Recipient::Nobody => Some(Recipient::Process(helper.pid)),
            Recipient::Group(_) | Recipient::RestOfGroup(_) => Some(Recipient::Group(helper.pid)),
            Recipient::Tree | Recipient::Unsignalled(_) => None,
        };
        self.helpers.iter().filter_map(of_one)
    }

    fn resume(&self, recipient: Recipient, out: &mut Decision) {
        match recipient {
            // Ctrl-Z may have stopped a program that a shell has just started. The shell waits for the
            // program's exec, and is not stopped itself (vfork(2)).
            Recipient::Group(group) if self.settings.keeps_terminal => out.push(Action::Continue(group)),
            Recipient::Process(_) | Recipient::Group(_) | Recipient::Tree => {
                out.push(Action::ResumeIfStopped(recipient));
            }
            // A drain resumes each process that it signals.
            Recipient::RestOfGroup(_) | Recipient::Unsignalled(_) | Recipient::Nobody => {}
        }
    }

    /// The precautions with which a signal is sent.
    fn care(&self, signum: Signum) -> Care {
        let reaches_others = self.waits_for_descendants() || self.settings.forward == Forward::Tree;
        Care {
            records: self.settings.drain.is_some()
                && self.rewritten(Signum::TERM) == Outcome::Becomes(signum),
            spares_readers: reaches_others && signum.asks_to_end(),
        }
    }
}

/// Whether a signal ends the program if it runs no command. All other signals are ignored then.
pub(crate) fn ends_a_pause(signum: Signum) -> bool {
    matches!(signum, Signum::TERM | Signum::INT)
}

#[cfg(test)]
mod tests;

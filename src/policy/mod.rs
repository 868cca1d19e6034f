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

use nix::unistd::Pid;

use crate::log::Message;
use crate::options::settings::{Forward, Isolation, Settings};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::signal::rewrite::Outcome;
pub(crate) use action::{Action, Care, Recipient, Scope};
use delays::DelayedSignals;
pub(crate) use event::{Event, SignalSource};
pub(crate) use reason::{Deadline, Reason};
use shutdown::Shutdown;

mod action;
mod delays;
mod event;
mod reason;
mod shutdown;

/// The decisions about one command.
#[derive(Clone)]
pub(crate) struct Policy {
    settings: Settings,
    command: Pid,
    /// The command's exit status. `None` as long as it runs.
    status: Option<ExitStatus>,
    delayed: DelayedSignals,
    shutdown: Shutdown,
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
        let (delayed, shutdown) = (DelayedSignals::default(), Shutdown::default());
        Self { settings, command, status: None, delayed, shutdown }
    }

    /// The command's exit status. `None` as long as it runs.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Whether the command has exited.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The signals that `--delay` delays now.
    pub(crate) fn delayed_signals(&self) -> impl Iterator<Item = Signum> {
        self.delayed.signals()
    }

    /// The time at which the remaining descendants receive SIGKILL.
    pub(crate) fn kills_at(&self) -> Option<Instant> {
        self.shutdown.kill_at
    }

    /// The time of the next [`Event::Deadline`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.delayed.next(), self.shutdown.deadline()].into_iter().flatten().min()
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
                    if self.settings.names_orphans {
                        out.log(Message::Reaped(pid));
                    }
                    out.push(Action::Reap(pid));
                }
            }
            Event::TraceStop { pid, signum } => {
                out.push(Action::DetachTraced(pid, signum.and_then(Signum::without_a_tracer)));
            }
            Event::AllReaped => self.shutdown.on_reaped(now),
            // If the exit of the command was missed, nothing is left to wait for either.
            Event::NoChildren => self.exit(self.status.unwrap_or(ExitStatus::FAILURE), &mut out),
            Event::Deadline => {
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
            out.push(Action::CollectChildren);
            if self.settings.keeps_terminal && !self.has_ended() {
                out.push(Action::ContinueIfSuspended(self.command));
            }
            return;
        }
        let delay = self.settings.delay(signum);
        // After the exit of the command there is nothing to delay a signal for.
        let is_delayed = !self.has_ended() || self.settings.linger;
        if let Some(duration) = delay.filter(|_| is_delayed && !self.delayed.contains(signum)) {
            self.delayed.insert(signum, source, out.now.checked_add(duration));
            out.log(Message::Holding(signum, duration));
        } else {
            self.delayed.remove(signum);
            self.forward_and_suspend(signum, source, out);
        }
    }

    fn on_exit_of_command(&mut self, status: ExitStatus, out: &mut Decision) {
        let remaining = self.remaining();
        let terminates = !self.waits_for_descendants() && self.settings.personality.terminates_remaining();
        self.status = Some(status);
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

    fn exit(&self, status: ExitStatus, out: &mut Decision) {
        out.log(Message::Goodbye(status));
        out.push(Action::Exit(self.settings.exit_map.apply(status)));
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
        // The command has the key from the terminal, and would take a second Ctrl-C for another. Other
        // descendants may be outside of our group.
        let is_received = to == signum && source == SignalSource::SharedGroup && signum.comes_from_a_key();
        if !is_received || recipient == Recipient::Tree {
            out.push(Action::Forward(to, recipient, self.care(to)));
        }
        // A stopped process acts on SIGKILL and SIGCONT only, and would not exit.
        if (signum.asks_to_end() || to.asks_to_end()) && !to.stops() {
            self.resume(recipient, out);
        }
        let is_drain = matches!(recipient, Recipient::Unsignalled(_));
        if (signum.shuts_down() || to.shuts_down()) && !is_drain {
            self.on_shutdown(out);
        }
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

//! Turns signals, exits of children and deadlines into events for the policy.

use std::collections::VecDeque;
use std::time::Instant;

use nix::unistd::Pid;

use super::last_resort;
use crate::log::{self, Message};
use crate::policy::{Event, Policy, SignalSource};
use crate::report::Report;
use crate::signal::Signum;
use crate::sys::children::{self, Change, NoChild};
use crate::sys::signals::{self, Received, Sender};
use crate::sys::tty;

/// The number of exits after which a pending signal comes first. Processes that are forked faster than we can
/// reap them must not delay a SIGTERM.
pub(super) const EXITS_BEFORE_SIGNALS: u32 = 64;

/// The source of the events of a command.
pub(super) struct Events {
    command: Pid,
    /// Signals from before the command's start, and events that actions have caused.
    queue: VecDeque<Event>,
    /// Whether children may have exited.
    is_reaping: bool,
    /// The number of children that were found since reaping began.
    reaped: u32,
}

impl Events {
    pub(super) fn new(command: Pid, earlier: Vec<Event>) -> Self {
        Self { command, queue: earlier.into(), is_reaping: false, reaped: 0 }
    }

    /// Looks for children that have exited before the next wait.
    pub(super) fn start_reaping(&mut self) {
        (self.is_reaping, self.reaped) = (true, 0);
    }

    /// Adds an event that comes before all others but those in the queue.
    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Returns the next event, and sleeps until there is one.
    pub(super) fn next(&mut self, policy: &Policy, mut report: Option<&mut Report>) -> Event {
        loop {
            let event = match self.queue.pop_front() {
                Some(event) => Some(event),
                None if self.is_reaping => self.next_child(policy, report.as_deref_mut()),
                None => self.wait(policy, report.as_deref_mut()),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn next_child(&mut self, policy: &Policy, report: Option<&mut Report>) -> Option<Event> {
        // Before a child is peeked at, since wait4(2), the fallback, reaps it.
        let is_signals_turn = self.reaped % EXITS_BEFORE_SIGNALS == EXITS_BEFORE_SIGNALS - 1;
        self.reaped = self.reaped.saturating_add(u32::from(is_signals_turn));
        if is_signals_turn && is_due(policy) {
            return Some(Event::Deadline);
        }
        if let Some(received) = is_signals_turn.then(signals::take_any).flatten() {
            return Some(self.signal(received, policy, report));
        }
        let change = children::peek();
        self.reaped = self.reaped.saturating_add(u32::from(change.is_ok()));
        match change {
            Ok(Change::Ended { pid, status }) => Some(Event::Ended { pid, status }),
            Ok(Change::TraceStop { pid, signum }) => Some(Event::TraceStop { pid, signum }),
            Err(no_child) => {
                self.is_reaping = false;
                match no_child {
                    NoChild::None => Some(Event::NoChildren),
                    NoChild::Running => (self.reaped > 0).then_some(Event::AllReaped),
                }
            }
        }
    }

    /// Waits for a signal or the policy's deadline. `None` if neither has come, for example because we were
    /// stopped meanwhile.
    fn wait(&mut self, policy: &Policy, report: Option<&mut Report>) -> Option<Event> {
        if is_due(policy) {
            return Some(Event::Deadline);
        }
        log_failure_of_signals();
        let timeout = policy.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        signals::wait(timeout).map(|received| self.signal(received, policy, report))
    }

    fn signal(&self, received: Received, policy: &Policy, report: Option<&mut Report>) -> Event {
        let Received { signum, sender, may_be_key } = received;
        last_resort::record_signal(Some(signum));
        if let Some(report) = report {
            report.received(received);
        }
        match sender {
            Some(Sender { pid, uid, .. }) => log::write(Message::Sender { signum, pid, uid }),
            // The exit of the child is logged.
            None if signum == Signum::CHLD => {}
            None => log::write(Message::FromKernel(signum)),
        }
        // Without a terminal, or in the background, only we have received it (Ctrl-Alt-Del to PID 1).
        let is_key =
            may_be_key && signum.comes_from_a_key() && tty::is_our_group_in_foreground() != Some(false);
        let is_shared = is_key && (policy.has_ended() || children::shares_our_group(self.command));
        Event::Signal(signum, if is_shared { SignalSource::SharedGroup } else { SignalSource::Direct })
    }
}

fn is_due(policy: &Policy) -> bool {
    policy.deadline().is_some_and(|deadline| deadline <= Instant::now())
}

/// Logs once that signals are fetched in another way from now on.
pub(super) fn log_failure_of_signals() {
    if let Some(failure) = signals::take_failure() {
        log::write(Message::FetchedOtherwise(failure));
    }
}

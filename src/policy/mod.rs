//! What does a signal or a death lead to?
//!
//! Every decision that is made while the command runs is made here, by a state machine that does nothing itself: it is
//! told an [`Event`] and answers with the [`Action`]s to take, in order. It makes no system call, so every case of it
//! can be tried out in a table.
//!
//! Invariants, which the tests hold against random sequences of events (`policy::tests::sequences`):
//! - No signal is dropped but by a rule: a rewrite to 0, a key that the command has got from the kernel, what the init drops
//!   whose name we are called by. One that is held counts as dropped only until it is let go. SIGCHLD is for us. (What the
//!   hand-off of the terminal sends never comes here; see `terminal`.)
//! - No signal is sent twice for one that came.
//! - The command's process is reaped after the last signal to it or to its group, since its number may belong to someone
//!   else from then on. (Where it is reaped along with many others, its group is held; see `sys::signals`.)
//! - [`Action::Exit`] is the last action there ever is. It comes with the end of the command, or, where that isn't to be
//!   the end, with that of the last descendant, or when what is left doesn't even end by SIGKILL.
//! - When it has been [`Event::Deadline`], [`Policy::deadline`] is in the future, so that nobody wakes up in vain.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::log::Message;
use crate::options::settings::Isolation;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::signal::rewrite::Outcome;

mod held;
mod shutdown;
mod terms;

use crate::options::settings::Forward;

use crate::options::settings::Settings;
use held::{Held, HeldSignals};
pub(crate) use terms::{Action, Care, Clock, Event, Recipient, Scope, SignalSource};

/// Mutable state of the policy.
#[derive(Clone, Debug)]
struct State {
    /// How the command has ended.
    ended: Option<ExitStatus>,
    /// Whether the drain has begun.
    draining: bool,
    /// When the drain signals every remaining descendant.
    fallback_at: Option<Instant>,
    /// The time of the next round, if one is needed.
    round_at: Option<Instant>,
    /// The time of the last round, or of the beginning of rounds.
    last_round: Option<Instant>,
    /// The time between two rounds.
    gap: Duration,
    /// When whatever is left gets SIGKILL.
    kill_at: Option<Instant>,
    /// Has the clock of `--kill-after` been started?
    asked_to_end: bool,
    /// How often SIGKILL was sent.
    kills: u8,
    held: HeldSignals,
}

impl State {
    fn new() -> Self {
        Self {
            ended: None,
            draining: false,
            fallback_at: None,
            round_at: None,
            last_round: None,
            gap: shutdown::ROUND_GAP,
            kill_at: None,
            asked_to_end: false,
            kills: 0,
            held: HeldSignals::default(),
        }
    }
}

/// What the decisions depend on.
#[derive(Clone)]
pub(crate) struct Policy {
    settings: Settings,
    /// The command's process.
    command: Pid,
    state: State,
}

impl Policy {
    /// Decides for the command that runs as `command`.
    pub(crate) fn new(mut settings: Settings, command: Pid) -> Self {
        if settings.isolation() == Isolation::Session {
            // The kernel lets TSTP, TTIN and TTOU do nothing in an orphaned process group, which the command's is, for
            // its parent is in another session (setpgid(2)). STOP works there too.
            for signum in [Signum::TSTP, Signum::TTIN, Signum::TTOU] {
                settings.rewrites.set_default(signum, Outcome::Becomes(Signum::STOP));
            }
        }
        for &signum in settings.personality.dropped_signals() {
            settings.rewrites.set_default(signum, Outcome::Dropped);
        }
        let state = State::new();
        Self { settings, command, state }
    }

    /// The command's exit status. `None` as long as it runs.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.state.ended
    }

    /// Whether the command has exited.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.ended.is_some()
    }

    /// When whatever is left gets SIGKILL, as things stand.
    pub(crate) fn kills_at(&self) -> Option<Instant> {
        self.state.kill_at
    }

    /// When to come back with [`Event::Deadline`], if nothing else happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let State { fallback_at, round_at, kill_at, .. } = self.state;
        [self.state.held.next(), fallback_at, round_at, kill_at].into_iter().flatten().min()
    }

    /// Appends the actions for an event. The clock is read only if a decision depends on it.
    pub(crate) fn decide(&mut self, clock: Clock<'_>, event: Event, actions: &mut Vec<Action>) {
        // Once, so that all of it happens in the same moment.
        let moment = OnceCell::new();
        let clock: Clock<'_> = &|| *moment.get_or_init(clock);
        match event {
            Event::Signal(signum, via) => {
                actions.push(Action::Log(Message::Received(signum)));
                self.on_signal(clock, signum, via, actions);
            }
            Event::Ended { pid, status } => {
                actions.push(Action::Log(Message::ChildEnded { pid, status }));
                if pid == self.command && self.state.ended.is_none() {
                    self.on_end(clock, status, actions);
                } else {
                    if self.settings.names_orphans {
                        actions.push(Action::Log(Message::Reaped(pid)));
                    }
                    actions.push(Action::Reap(pid));
                }
            }
            Event::TraceStop { pid, signum } => {
                actions.push(Action::DetachTraced(pid, signum.and_then(Signum::without_a_tracer)));
            }
            Event::AllReaped => self.on_reaped(clock),
            // Nobody is left whose end could still come: where that of the command was missed, there is nothing to wait
            // for either.
            Event::NoChildren => {
                let status = self.state.ended.unwrap_or(ExitStatus::FAILURE);
                actions.push(Action::Log(Message::Goodbye(status)));
                actions.push(self.end(status));
            }
            Event::Deadline => self.on_time(clock, actions),
        }
    }

    /// Who gets what is to be sent when the command has ended.
    fn rest(&self) -> Recipient {
        if self.settings.drain.is_some() || self.lingers() {
            return Recipient::Tree;
        }
        match self.settings.forward {
            Forward::Child => Recipient::Nobody,
            Forward::Group => Recipient::RestOfGroup(self.command),
            Forward::Tree => Recipient::Tree,
        }
    }

    /// The command has ended.
    fn on_end(&mut self, clock: Clock<'_>, status: ExitStatus, actions: &mut Vec<Action>) {
        let rest = self.rest();
        self.state.ended = Some(status);
        let asks_the_rest = self.settings.personality.terminates_remaining();
        if self.settings.drain.is_none() && !self.lingers() && asks_the_rest {
            // Whoever is left is sent one anyway.
            self.state.held.take(Signum::TERM);
        }
        // A stop that is among them isn't for us any more.
        for signum in Signum::all() {
            if let Some(held) = self.state.held.take(signum) {
                self.forward(clock, signum, held.via, rest, actions);
            }
        }
        if self.lingers() {
            actions.push(Action::Reap(self.command));
            actions.push(Action::Log(Message::Lingering));
            self.expect_round(clock, Duration::ZERO);
        } else if let Some(limit) = self.settings.drain {
            self.start_drain(clock, limit, actions);
            actions.push(Action::Reap(self.command));
            actions.push(Action::Log(Message::Draining));
        } else {
            if asks_the_rest {
                self.forward(clock, Signum::TERM, SignalSource::Direct, rest, actions);
            }
            actions.push(Action::Reap(self.command));
            self.exit(status, actions);
        }
    }

    fn exit(&self, status: ExitStatus, actions: &mut Vec<Action>) {
        actions.push(Action::Log(Message::Goodbye(status)));
        actions.push(self.end(status));
    }

    fn end(&self, status: ExitStatus) -> Action {
        Action::Exit(self.settings.exit_map.apply(status))
    }

    fn lingers(&self) -> bool {
        self.settings.linger
    }

    /// Whom a signal goes to that comes now.
    fn recipient(&self) -> Recipient {
        if self.lingers() || self.state.ended.is_some() {
            return Recipient::Tree;
        }
        match self.settings.forward {
            Forward::Child => Recipient::Process(self.command),
            Forward::Group => Recipient::Group(self.command),
            Forward::Tree => Recipient::Tree,
        }
    }

    fn on_signal(&mut self, clock: Clock<'_>, signum: Signum, via: SignalSource, actions: &mut Vec<Action>) {
        if signum == Signum::CHLD {
            actions.push(Action::CollectChildren);
            if self.settings.keeps_terminal && self.state.ended.is_none() {
                actions.push(Action::ContinueIfSuspended(self.command));
            }
        } else if let Some(duration) = self.settings.delays.get(signum)
            // When the command has ended there is nothing left to wait for.
            && (self.state.ended.is_none() || self.lingers())
            && self.state.held.hold(signum, Held { until: clock().checked_add(duration), via })
        {
            actions.push(Action::Log(Message::Holding(signum, duration)));
        } else {
            // If it is held, both go on as one.
            self.state.held.take(signum);
            self.pass_on(clock, signum, via, self.recipient(), actions);
        }
    }

    /// Passes those on that have been held for long enough.
    fn let_go(&mut self, clock: Clock<'_>, actions: &mut Vec<Action>) {
        let now = clock();
        for signum in Signum::all() {
            if let Some(held) =
                self.state.held.take_if(signum, |held| held.until.is_some_and(|until| until <= now))
            {
                self.pass_on(clock, signum, held.via, self.recipient(), actions);
            }
        }
    }

    fn pass_on(
        &mut self,
        clock: Clock<'_>,
        signum: Signum,
        via: SignalSource,
        to: Recipient,
        actions: &mut Vec<Action>,
    ) {
        self.forward(clock, signum, via, to, actions);
        if signum.suspends_a_job() && self.settings.personality.suspends_itself() {
            actions.push(Action::Log(Message::Suspending));
            actions.push(Action::StopOurselves);
        }
    }

    /// What becomes of a signal.
    fn outcome(&self, signum: Signum) -> Outcome {
        self.settings.rewrites.get(signum).unwrap_or(Outcome::Becomes(signum))
    }

    fn forward(
        &mut self,
        clock: Clock<'_>,
        signum: Signum,
        via: SignalSource,
        recipient: Recipient,
        actions: &mut Vec<Action>,
    ) {
        if let Some(outcome) = self.settings.rewrites.get(signum) {
            let to = match outcome {
                Outcome::Dropped => None,
                Outcome::Becomes(to) => Some(to),
            };
            actions.push(Action::Log(Message::Translating { from: signum, to }));
        }
        match self.outcome(signum) {
            Outcome::Dropped => actions.push(Action::Log(Message::NotForwarded)),
            Outcome::Becomes(to) => {
                // The command has the key from the terminal, and would take a second Ctrl-C for another. Other
                // descendants may be outside of our group.
                let has_it = to == signum && via == SignalSource::SharedGroup && signum.comes_from_a_key();
                if !has_it || recipient == Recipient::Tree {
                    actions.push(Action::Forward(to, recipient, self.care(to)));
                }
                // A stopped process acts on nothing but SIGKILL and SIGCONT, so it would never end.
                let asks_to_end = signum.asks_to_end() || to.asks_to_end();
                match recipient {
                    // Ctrl-Z may have stopped a program that its shell was starting. The shell waits for the
                    // program's exec, and is not stopped itself (vfork(2)).
                    Recipient::Group(group) if asks_to_end && !to.stops() && self.settings.keeps_terminal => {
                        actions.push(Action::Continue(group));
                    }
                    Recipient::Process(_) | Recipient::Group(_) | Recipient::Tree
                        if asks_to_end && !to.stops() =>
                    {
                        actions.push(Action::ResumeIfStopped(recipient));
                    }
                    Recipient::Process(_)
                    | Recipient::Group(_)
                    | Recipient::RestOfGroup(_)
                    | Recipient::Tree
                    | Recipient::Unsignalled(_)
                    | Recipient::Nobody => {}
                }
                if (signum.shuts_down() || to.shuts_down()) && !matches!(recipient, Recipient::Unsignalled(_))
                {
                    self.on_shutdown(clock, actions);
                }
            }
        }
    }

    /// The precautions with which a signal is sent.
    fn care(&self, signum: Signum) -> Care {
        let drains = self.settings.drain.is_some();
        let reaches_others = drains || self.lingers() || self.settings.forward == Forward::Tree;
        Care {
            records: drains && self.outcome(Signum::TERM) == Outcome::Becomes(signum),
            spares_readers: reaches_others && signum.asks_to_end(),
        }
    }
}

/// Is it the end where there is no command, when this signal comes? All others are nobody's.
pub(crate) fn ends_a_pause(signum: Signum) -> bool {
    matches!(signum, Signum::TERM | Signum::INT)
}

#[cfg(test)]
pub(crate) mod tests;

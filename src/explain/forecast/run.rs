//! What does one init make of one signal?

use std::time::Instant;

use nix::unistd::Pid;

use super::super::aftermath;
use super::super::facts::Facts;
use super::super::inits::Rules;
use super::{Arrival, Conduct, Deadline, End, Forecast, Message, Passed, Position, Rest, Scenario, To, When};
use crate::descendants::Depth;
use crate::logging::Line;
use crate::policy::{Action, Care, Event, Policy, Recipient, Scope, Settings, Via};
use crate::process::{Process, State};
use crate::signal::Signum;
use crate::signalled::Signalled;
use crate::status::ExitStatus;

/// No process has this PID.
const NOBODY: Pid = Pid::from_raw(i32::MAX);

/// So often a drain is followed down to whoever is left behind by those that end meanwhile.
const MOST_REMINDERS: u8 = 100;

/// One init, one signal.
pub(super) struct Run<'f, 's> {
    pub(super) forecast: &'f mut Forecast,
    pub(super) scenario: Scenario<'s>,
    pub(super) position: Position,
    pub(super) main: Option<Pid>,
    pub(super) to: To,
}

/// What some actions come to.
#[derive(Clone, Copy)]
struct Sent {
    signum: Option<Signum>,
    /// Does the command end by it?
    end: End,
}

impl Run<'_, '_> {
    /// It is one of ours.
    pub(super) fn of_ours(mut self, settings: Settings, message: Message) -> Passed {
        if matches!(message.signum, Signum::KILL | Signum::STOP) {
            return Passed { conduct: Conduct::Keeps, end: End::Never };
        }
        let now = self.scenario.now;
        let main = self.main.unwrap_or(NOBODY);
        let mut policy = Policy::new(settings, main);
        let mut actions = Vec::new();
        let ended = Event::Ended { pid: main, status: ExitStatus::SUCCESS };
        if self.main.is_none() {
            policy.decide(&|| now, ended, &mut actions);
            actions.clear();
        }
        let kills_before = policy.kills_at();
        policy.decide(&|| now, Event::Signal(message.signum, Via::Direct), &mut actions);
        let held = actions.iter().find_map(|action| {
            if let Action::Say(Line::Holding(_, duration)) = action { Some(*duration) } else { None }
        });
        let forwarded_at = held.and_then(|duration| now.checked_add(duration)).unwrap_or(now);
        if held.is_some() {
            policy.decide(&|| forwarded_at, Event::Due, &mut actions);
        }
        let mut told = Signalled::default();
        let sent = self.act(&actions, message.asks_to_end, &mut told);
        let conduct = match sent.signum {
            Some(signum) => Conduct::Forwards(signum),
            None if actions.contains(&Action::CollectChildren) => Conduct::Keeps,
            None => Conduct::Drops,
        };
        let kills = if policy.kills_at() == kills_before { None } else { policy.kills_at() };
        let kills =
            kills.map_or(Deadline::Never, |at| Deadline::AfterSignal(at.saturating_duration_since(forwarded_at)));
        // Where it lingers, a drain may begin with the signal.
        self.remind(&mut policy, forwarded_at, &mut told);
        if self.position == Position::Outer {
            self.forecast.held = held;
            self.forecast.suspends = actions.contains(&Action::StopOurselves);
            self.forecast.kills = kills;
        }
        let end = self.at_the_end(&mut policy, ended, sent.end, kills, &mut told);
        Passed { conduct, end }
    }

    /// What follows when the command has ended, if it does by the signal.
    fn at_the_end(
        &mut self,
        policy: &mut Policy,
        ended: Event,
        end: End,
        kills: Deadline,
        told: &mut Signalled,
    ) -> End {
        let now = self.scenario.now;
        let before = policy.kills_at();
        let mut actions = Vec::new();
        policy.decide(&|| now, ended, &mut actions);
        let is_left = self.main.is_some() && actions.iter().any(|action| matches!(action, Action::Exit(_)));
        let rest = if is_left {
            Rest::IsLeft
        } else {
            Rest::IsAwaited(match policy.kills_at() {
                at if at == before => kills,
                Some(at) => Deadline::AfterMain(at.saturating_duration_since(now)),
                None => Deadline::Never,
            })
        };
        self.forecast.rests.entry(self.to.init).or_insert(rest);
        // What PID 1 sends when it leaves, and everybody with it, nobody lives to act on.
        let is_last_word = self.position == Position::Outer
            && is_left
            && self.scenario.evidence.facts(self.to.init).is_some_and(Facts::is_pid_1);
        if end != End::Never && !is_last_word {
            self.to.when = When::AfterMain;
            self.forecast.gone.extend(self.main);
            self.act(&actions, true, told);
            self.remind(policy, now, told);
        }
        // Who lingers without a drain stays for as long as anybody is left.
        if rest == Rest::IsAwaited(Deadline::Never) && self.is_anybody_left() { End::Never } else { end }
    }

    /// Is there a descendant that doesn't end?
    fn is_anybody_left(&self) -> bool {
        let family = self.scenario.tree.descendants(self.to.init, |_| false, Depth::All, |_| false).unwrap_or_default();
        let stays = |process: &Process| process.state != State::Zombie && !self.forecast.gone.contains(&process.pid);
        family.iter().any(stays)
    }

    /// A drain goes on to whoever is left behind by those that end meanwhile.
    fn remind(&mut self, policy: &mut Policy, now: Instant, told: &mut Signalled) {
        let at_first = self.to.when;
        self.to.when = When::AfterMain;
        for _ in 0..MOST_REMINDERS {
            let mut actions = Vec::new();
            policy.decide(&|| now, Event::Collected, &mut actions);
            let before = self.forecast.arrival_count;
            self.act(&actions, true, told);
            if self.forecast.arrival_count == before {
                break;
            }
        }
        self.to.when = at_first;
    }

    /// Notes what these actions send.
    fn act(&mut self, actions: &[Action], asks_to_end: bool, told: &mut Signalled) -> Sent {
        // Who is stopped acts on what it gets only if it goes on, which comes right after it.
        for action in actions {
            if let Action::WakeIfStopped(recipient) = action {
                self.wake(*recipient);
            }
        }
        let mut sent = Sent { signum: None, end: End::Never };
        for action in actions {
            let (signum, recipient, care) = match *action {
                Action::Forward(signum, recipient, care) => (signum, recipient, care),
                Action::Round(Some((signum, scope))) => {
                    (signum, Recipient::Unsignalled(scope), Care { records: true, spares_readers: true })
                }
                Action::Say(_)
                | Action::NoteOurGroup
                | Action::ContinueIfSuspended(_)
                | Action::WakeIfStopped(_)
                | Action::StopOurselves
                | Action::KillAll
                | Action::CollectChildren
                | Action::Reap(_)
                | Action::Release(..)
                | Action::Round(None)
                | Action::Exit(_) => continue,
            };
            let message = Message { signum, asks_to_end: asks_to_end || signum.shuts_down() };
            let recipients = self.recipients(recipient, told);
            if let Recipient::Unsignalled(_) = recipient {
                self.wake_those(&recipients);
            }
            self.forecast.walks |= recipient == Recipient::Tree;
            sent.signum = Some(signum);
            sent.end = sent.end.max(self.send(message, &recipients));
            if care.records {
                for process in &recipients {
                    told.insert(process);
                }
            }
        }
        sent
    }

    fn recipients(&self, recipient: Recipient, told: &Signalled) -> Vec<Process> {
        let evidence = self.scenario.evidence;
        let tree = self.scenario.tree;
        let is_there = |process: &Process| self.to.when == When::AtOnce || !self.forecast.gone.contains(&process.pid);
        match recipient {
            Recipient::Process(_) | Recipient::Group(_) | Recipient::RestOfGroup(_) | Recipient::Nobody => {
                let all = tree.processes().iter();
                all.filter(|process| recipient.has(process) && is_there(process)).copied().collect()
            }
            // A last word, which may come before those have ended that leave others behind.
            Recipient::Tree | Recipient::TreeOutsideOurGroup => {
                let mut all = living(evidence.family(tree, self.to.init));
                all.retain(is_there);
                all
            }
            Recipient::Unsignalled(scope) => {
                let adopted = (self.to.when != When::AtOnce)
                    .then(|| aftermath::without(tree, &self.forecast.gone, |pid| evidence.adopts(pid)));
                let mut all = living(evidence.family(adopted.as_ref().unwrap_or(tree), self.to.init));
                let is_root = |process: &Process| process.parent == self.to.init || scope == Scope::Everyone;
                all.retain(|process| is_root(process) && !told.contains(process));
                all
            }
        }
    }

    /// Notes who is let go on: all of a group if the command is stopped, else each that is.
    fn wake(&mut self, recipient: Recipient) {
        let evidence = self.scenario.evidence;
        let is_stopped = |pid: Pid| evidence.facts(pid).is_some_and(Facts::is_stopped);
        let all = match recipient {
            Recipient::Process(_) | Recipient::Group(_) if !self.main.is_some_and(is_stopped) => Vec::new(),
            Recipient::Unsignalled(_) => Vec::new(),
            Recipient::Process(_)
            | Recipient::Group(_)
            | Recipient::RestOfGroup(_)
            | Recipient::Tree
            | Recipient::TreeOutsideOurGroup
            | Recipient::Nobody => self.recipients(recipient, &Signalled::default()),
        };
        self.wake_those(&all);
    }

    /// Notes that those go on that are stopped, and what comes of what they have got before.
    fn wake_those(&mut self, all: &[Process]) {
        let evidence = self.scenario.evidence;
        for facts in all.iter().filter_map(|process| evidence.facts(process.pid)).filter(|facts| facts.is_stopped()) {
            let (pid, when) = (facts.process.pid, self.to.when);
            if !self.forecast.woken.insert((pid, when)) {
                continue;
            }
            let before = self.forecast.arrivals_at(pid).next().map(|arrival| arrival.signum);
            if let Some(signum) = before {
                self.end_of(facts, Message { signum, asks_to_end: true });
            }
        }
    }

    /// Sends a signal by one call of kill(2), as other inits do.
    pub(super) fn send_directly(&mut self, message: Message, recipient: Recipient) -> End {
        let recipients = self.recipients(recipient, &Signalled::default());
        self.send(message, &recipients)
    }

    /// Sends a signal, and tells whether the command ends by it.
    fn send(&mut self, message: Message, recipients: &[Process]) -> End {
        let Some(sender) = self.scenario.evidence.facts(self.to.init) else { return End::Never };
        let mut end = End::Never;
        for process in recipients.iter().filter(|process| process.state != State::Zombie) {
            let Some(facts) = self.scenario.evidence.facts(process.pid) else { continue };
            if !sender.may_signal(facts, message.signum) {
                self.forecast.refused.insert(process.pid);
                continue;
            }
            let (signum, when) = (message.signum, self.to.when);
            let arrival = Arrival { signum, by: self.to.init, when };
            self.forecast.add_arrival(process.pid, arrival);
            let its_end = self.end_of(facts, message);
            if Some(process.pid) == self.main {
                end = its_end;
            }
        }
        end
    }

    /// How one that gets a signal ends by it. If it is an init, it passes it on.
    fn end_of(&mut self, facts: &Facts, message: Message) -> End {
        let pid = facts.process.pid;
        if self.forecast.acts_from(facts, message.signum).is_none_or(|when| when > self.to.when) {
            return End::Never;
        }
        let end = match facts.rules {
            Some(Rules::Ours(_) | Rules::Unreadable(_) | Rules::Known(_)) => {
                let to = To { init: pid, depth: self.to.depth.saturating_add(1), ..self.to };
                self.forecast.signal(self.scenario, to, message).end
            }
            // Whom we don't know as an init is a program of which nobody expects that it forwards signals.
            Some(Rules::Pausing | Rules::Shell | Rules::Unknown) | None => {
                End::by(facts.reaction(message.signum), message)
            }
        };
        if end != End::Never {
            self.forecast.gone.insert(pid);
        }
        end
    }
}

fn living(family: Vec<Process>) -> Vec<Process> {
    family.into_iter().filter(|process| process.state != State::Zombie).collect()
}

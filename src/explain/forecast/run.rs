//! What does one init make of one signal?

use std::collections::BTreeSet;

use nix::unistd::Pid;

use super::super::facts::Facts;
use super::super::inits::Rules;
use super::{
    Arrival, Conduct, Deadline, End, Forecast, Passed, Position, Rest, Scenario, SentSignal, To, When,
};
use crate::log::Message;
use crate::options::settings::Settings;
use crate::policy::{Action, Care, Event, Policy, Recipient, SignalSource};
use crate::process::{Process, State};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// No process has this PID.
const NOBODY: Pid = Pid::from_raw(i32::MAX);

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
    pub(super) fn of_ours(mut self, settings: Settings, message: SentSignal) -> Passed {
        if matches!(message.signum, Signum::KILL | Signum::STOP) {
            return Passed { conduct: Conduct::Keeps, end: End::Never };
        }
        let now = self.scenario.now;
        let main = self.main.unwrap_or(NOBODY);
        let mut policy = Policy::new(settings, main);
        let mut actions = Vec::new();
        let ended = Event::Ended { pid: main, status: ExitStatus::SUCCESS };
        if self.main.is_none() {
            actions.extend(policy.decide(now, ended));
            actions.clear();
        }
        let kills_before = policy.kills_at();
        actions.extend(policy.decide(now, Event::Signal(message.signum, SignalSource::Direct)));
        let held = actions.iter().find_map(|action| {
            if let Action::Log(Message::Holding(_, duration)) = action { Some(*duration) } else { None }
        });
        let forwarded_at = held.and_then(|duration| now.checked_add(duration)).unwrap_or(now);
        if held.is_some() {
            actions.extend(policy.decide(forwarded_at, Event::Deadline));
        }
        let sent = self.act(&actions, message.asks_to_end);
        let conduct = match sent.signum {
            Some(signum) => Conduct::Forwards(signum),
            None if actions.contains(&Action::CollectChildren) => Conduct::Keeps,
            None => Conduct::Drops,
        };
        let kills = if policy.kills_at() == kills_before { None } else { policy.kills_at() };
        let kills = kills
            .map_or(Deadline::Never, |at| Deadline::AfterSignal(at.saturating_duration_since(forwarded_at)));
        if self.position == Position::Outer {
            self.forecast.held = held;
            self.forecast.suspends = actions.contains(&Action::StopOurselves);
            self.forecast.kills = kills;
        }
        let end = self.at_the_end(&mut policy, ended, sent.end, kills);
        Passed { conduct, end }
    }

    /// What follows when the command has ended, if it does by the signal.
    fn at_the_end(&mut self, policy: &mut Policy, ended: Event, end: End, kills: Deadline) -> End {
        let now = self.scenario.now;
        let before = policy.kills_at();
        let mut actions = Vec::new();
        actions.extend(policy.decide(now, ended));
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
            self.to.when = self.to.when.max(When::AfterMain);
            self.forecast.gone.extend(self.main);
            self.act(&actions, true);
        }
        // Who lingers without a drain stays for as long as anybody is left.
        if rest == Rest::IsAwaited(Deadline::Never) && self.is_anybody_left() { End::Never } else { end }
    }

    /// Is there a descendant that doesn't end?
    fn is_anybody_left(&self) -> bool {
        let family = self.scenario.tree.descendants(self.to.init, |_| false, |_| false);
        let stays =
            |process: &Process| process.state != State::Zombie && !self.forecast.gone.contains(&process.pid);
        family.iter().any(stays)
    }

    /// Notes what these actions send.
    fn act(&mut self, actions: &[Action], asks_to_end: bool) -> Sent {
        // Who is stopped acts on what it gets only if it goes on, which comes right after it.
        for action in actions {
            if let Action::ResumeIfStopped(recipient) = action {
                self.wake(*recipient);
            }
        }
        let mut sent = Sent { signum: None, end: End::Never };
        for action in actions {
            let Action::Forward(signum, recipient, care) = *action else { continue };
            let message = SentSignal { signum, asks_to_end: asks_to_end || signum.shuts_down() };
            let end = if let Recipient::Unsignalled(_) = recipient {
                self.drain(message, care)
            } else {
                let recipients = self.recipients(recipient, care);
                self.send(message, &recipients, care)
            };
            self.forecast.walks |= recipient == Recipient::Tree;
            sent.signum = Some(signum);
            sent.end = sent.end.max(end);
        }
        sent
    }

    /// Notes what a drain sends: at first to the roots, to all others when their parents exit or half of the time is over.
    fn drain(&mut self, message: SentSignal, care: Care) -> End {
        let mut done = BTreeSet::new();
        let mut end = End::Never;
        loop {
            let mut due = self.family_and_orphans();
            due.retain(|process| done.insert(process.pid) && self.is_there(process));
            if due.is_empty() {
                return end;
            }
            for process in due {
                let is_of_main =
                    Some(process.parent) == self.main && self.forecast.gone.contains(&process.parent);
                let when = match process.parent {
                    parent if parent == self.to.init => When::AtOnce,
                    _ if is_of_main => When::AfterMain,
                    _ => When::AfterParent,
                };
                let when = when.max(self.to.when);
                let has_it =
                    |arrival: &Arrival| arrival.by == self.to.init && arrival.signum == message.signum;
                let is_signalled = self.forecast.arrivals_at(process.pid).any(has_it);
                self.wake_those(&[process], when);
                if !is_signalled {
                    end = end.max(self.send_to(message, &process, care, when));
                }
            }
        }
    }

    /// The family, with what inits leave behind that are over, and the orphans from below other inits.
    fn family_and_orphans(&self) -> Vec<Process> {
        let Scenario { evidence, tree, .. } = self.scenario;
        let is_over = |pid| self.forecast.gone.contains(&pid);
        let mut family = self.family(is_over);
        let all = tree.descendants(self.to.init, |_| false, |_| false);
        for orphan in
            all.iter().filter(|process| is_over(process.parent) && self.adopts_orphans_of(process.parent))
        {
            family.push(*orphan);
            if !evidence.facts(orphan.pid).is_some_and(Facts::counts_as_ours) || is_over(orphan.pid) {
                family.extend(evidence.family(tree, orphan.pid, is_over));
            }
        }
        family.retain(|process| process.state != State::Zombie);
        family
    }

    /// Whether the children of a process that is over become this init's.
    fn adopts_orphans_of(&self, parent: Pid) -> bool {
        let evidence = self.scenario.evidence;
        let parent_of = |pid: &Pid| evidence.facts(*pid).map(|facts| facts.process.parent);
        let mut above =
            std::iter::successors(Some(parent), parent_of).take(self.scenario.tree.processes().len());
        above.find(|&pid| pid == self.to.init || evidence.adopts(pid) && !self.forecast.gone.contains(&pid))
            == Some(self.to.init)
    }

    /// The living descendants of the init, as far down as it signals them, through the inits that are over.
    fn family(&self, is_over: impl Fn(Pid) -> bool) -> Vec<Process> {
        let mut family = self.scenario.evidence.family(self.scenario.tree, self.to.init, is_over);
        family.retain(|process| process.state != State::Zombie);
        family
    }

    fn is_there(&self, process: &Process) -> bool {
        self.to.when == When::AtOnce || !self.forecast.gone.contains(&process.pid)
    }

    fn recipients(&self, recipient: Recipient, care: Care) -> Vec<Process> {
        let mut all = match recipient {
            Recipient::Process(_) | Recipient::Group(_) | Recipient::RestOfGroup(_) | Recipient::Nobody => {
                let all = self.scenario.tree.processes().iter();
                let members: Vec<Process> =
                    all.filter(|process| recipient.includes(process.pid, process.group)).copied().collect();
                if members.iter().any(|process| self.is_spared(process.pid, care)) {
                    // They are signalled one by one then.
                    let mut family = self.family(|_| false);
                    family.retain(|process| recipient.includes(process.pid, process.group));
                    family
                } else {
                    members
                }
            }
            Recipient::Tree => self.family(|_| false),
            Recipient::Unsignalled(_) => Vec::new(),
        };
        all.retain(|process| self.is_there(process));
        all
    }

    /// Is it a pipe reader that gets this signal after its writers?
    fn is_spared(&self, pid: Pid, care: Care) -> bool {
        care.spares_readers && Some(pid) != self.main && self.scenario.evidence.is_reader(self.to.init, pid)
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
            | Recipient::Nobody => self.recipients(recipient, Care::NONE),
        };
        self.wake_those(&all, self.to.when);
    }

    /// Notes that those go on that are stopped, and what comes of what they have got before.
    fn wake_those(&mut self, all: &[Process], when: When) {
        let evidence = self.scenario.evidence;
        for facts in
            all.iter().filter_map(|process| evidence.facts(process.pid)).filter(|facts| facts.is_stopped())
        {
            let pid = facts.process.pid;
            if !self.forecast.woken.insert((pid, when)) {
                continue;
            }
            let before = self.forecast.arrivals_at(pid).next().map(|arrival| arrival.signum);
            if let Some(signum) = before {
                self.end_of(facts, SentSignal { signum, asks_to_end: true }, when);
            }
        }
    }

    /// Sends a signal by one call of kill(2), as other inits do.
    pub(super) fn send_directly(&mut self, message: SentSignal, recipient: Recipient) -> End {
        let recipients = self.recipients(recipient, Care::NONE);
        self.send(message, &recipients, Care::NONE)
    }

    /// Sends a signal, and tells whether the command ends by it.
    fn send(&mut self, message: SentSignal, recipients: &[Process], care: Care) -> End {
        let ends = recipients.iter().map(|process| self.send_to(message, process, care, self.to.when));
        ends.max().unwrap_or(End::Never)
    }

    /// The same for one process.
    fn send_to(&mut self, message: SentSignal, process: &Process, care: Care, when: When) -> End {
        let evidence = self.scenario.evidence;
        let (Some(sender), Some(facts)) = (evidence.facts(self.to.init), evidence.facts(process.pid)) else {
            return End::Never;
        };
        if process.state == State::Zombie {
            return End::Never;
        }
        if !sender.may_signal(facts, message.signum) {
            self.forecast.refused.insert(process.pid);
            return End::Never;
        }
        let is_kept = self.is_spared(process.pid, care);
        let when = if is_kept { When::AfterWriters } else { when };
        self.forecast
            .add_arrival(process.pid, Arrival { signum: message.signum, by: self.to.init, when, is_kept });
        let end = self.end_of(facts, message, when);
        if Some(process.pid) == self.main { end } else { End::Never }
    }

    /// How one that gets a signal ends by it. If it is an init, it passes it on.
    fn end_of(&mut self, facts: &Facts, message: SentSignal, when: When) -> End {
        let pid = facts.process.pid;
        if self.forecast.acts_from(facts, message.signum).is_none_or(|from| from > when) {
            return End::Never;
        }
        let end = match facts.rules {
            Some(Rules::Ours(_) | Rules::Unreadable(_) | Rules::Known(_)) => {
                let to = To { init: pid, when, depth: self.to.depth.saturating_add(1) };
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

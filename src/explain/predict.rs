//! Predicts the effect of a signal to the init on every process. No input or output.
//!
//! The policy that decides while a command runs decides here, too, with the settings of the init. Its actions
//! are recorded instead of executed. An init below that receives a signal is predicted in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::unistd::Pid;

use super::answer::{Answer, Deadline};
use super::facts::Facts;
use super::handling::Effect;
use super::inits::{Edition, Init, Role};
use super::snapshot::Snapshot;
use crate::options::settings::{Forward, Isolation, Limit, Settings, Source};
use crate::policy::{Action, Care, Recipient};
use crate::process::descendants::Tree;
use crate::process::{Process, State};
use crate::signal::Signum;

/// Time at which a process receives a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    AtOnce,
    /// When the command has exited, or a helper.
    AfterCommand,
    /// When its parent has exited, or half of the time of a drain is over.
    AfterParent,
    /// When the processes that write to its standard input have exited.
    AfterWriters,
}

/// A signal that a process receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrival {
    signum: Signum,
    sender: Pid,
    when: When,
    /// Whether the process is stopped and stays so.
    is_stopped: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Fate {
    pub(super) pid: Pid,
    pub(super) effect: Effect,
    pub(super) when: When,
}

/// A change of settings that could be advised.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) forward: Option<Forward>,
    pub(super) drain: Option<Limit>,
}

/// An init that sends signals.
#[derive(Clone, Copy)]
struct Sender {
    pid: Pid,
    command: Option<Pid>,
    when: When,
    /// Whether it continues stopped processes so that they can exit.
    resumes: bool,
}

/// The answer to a question: a signal to the init, with its settings as they are or after a change.
pub(super) struct Prediction<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) signum: Signum,
    change: Change,
    /// The processes after the change.
    tree: Tree,
    /// The signal that the explained init forwards.
    pub(super) forwarded: Option<Signum>,
    /// For how long `--delay` holds it.
    pub(super) held: Option<Duration>,
    /// For how long the hook holds it at most.
    pub(super) held_by_hook: Option<Limit>,
    pub(super) deadline: Option<Deadline>,
    /// Whether the explained init waits for the remaining processes when its command has exited.
    pub(super) waits: bool,
    /// All processes that have to do with the signal, in the order of PIDs.
    pub(super) fates: Vec<Fate>,
    /// Processes that an init may not signal (kill(2), EPERM).
    pub(super) refused: BTreeSet<Pid>,
    arrivals: BTreeMap<Pid, Vec<Arrival>>,
    /// Inits that have received a signal and wait for the remaining processes after their command.
    patient: BTreeSet<Pid>,
    /// Signals that inits have received. None takes effect twice.
    received: BTreeSet<(Pid, u8, bool)>,
    /// Processes that exit because of a signal, sooner or later.
    gone: BTreeSet<Pid>,
    /// Programs that may or may not forward the signal.
    unknown: BTreeSet<Pid>,
    /// Whether an init looks for its descendants. It may or may not find the orphans of a process that exits.
    has_walk: bool,
}

impl<'a> Prediction<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, signum: Signum, change: Change) -> Self {
        let mut prediction = Self {
            snapshot,
            signum,
            change,
            tree: tree_after(snapshot, change),
            forwarded: None,
            held: None,
            held_by_hook: None,
            deadline: None,
            waits: false,
            fates: Vec::new(),
            refused: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            patient: BTreeSet::new(),
            received: BTreeSet::new(),
            gone: BTreeSet::new(),
            unknown: BTreeSet::new(),
            has_walk: false,
        };
        prediction.receive(snapshot.init, signum, When::AtOnce);
        prediction.fates = prediction.find_fates();
        prediction
    }

    /// An init receives a signal. Returns whether it exits because of it.
    fn receive(&mut self, pid: Pid, signum: Signum, when: When) -> bool {
        let Some(facts) = self.snapshot.get(pid) else { return false };
        if !self.received.insert((pid, signum.number(), self.asks_to_end(signum, when))) {
            return self.gone.contains(&pid);
        }
        let reaction = facts.reaction(signum);
        let init = match &facts.role {
            Role::Init(init) if !matches!(signum, Signum::KILL | Signum::STOP) => init,
            Role::Init(_) | Role::Pausing => return false,
            Role::Shell if reaction == Effect::Terminates => return false,
            Role::Shell | Role::Program => {
                if !matches!(reaction, Effect::Discarded | Effect::Ignores) {
                    self.unknown.insert(pid);
                }
                return false;
            }
        };
        let is_outer = pid == self.snapshot.init;
        let programs = self.snapshot.programs_of(pid);
        let (command, helpers) = (programs.command, programs.running(init));
        let settings = self.settings_of(init, is_outer);
        let mut answer = Answer::new(settings, command, helpers.clone(), signum, self.snapshot.time);
        let Answer { held, held_by_hook, deadline, is_patient, .. } = answer;
        let sender = Sender { pid, command, when, resumes: init.edition != Edition::Peer };
        self.patient.extend(is_patient.then_some(pid));
        let (forwarded, mut exits) = self.act(sender, &answer.actions);
        if is_outer {
            (self.forwarded, self.deadline, self.waits) = (forwarded, deadline, is_patient);
            (self.held, self.held_by_hook) = (held, held_by_hook);
        }
        let later = Sender { when: when.max(When::AfterCommand), ..sender };
        // A helper that does not survive the signal ends the container.
        for helper in helpers {
            if !exits && self.gone.contains(&helper.pid) {
                exits = self.act(later, &answer.on_exit(helper.pid)).1;
            }
        }
        // The kernel kills all processes together with PID 1, before they could act on its last signal.
        let is_end_of_all = is_outer && !is_patient && facts.handling.is_pid_1;
        if let Some(command) = command.filter(|_| exits && !is_end_of_all) {
            self.act(later, &answer.on_exit(command));
        }
        let waits_for_ever = is_patient && deadline.is_none();
        let has_survivor = || below(&self.tree, [pid]).iter().any(|pid| !self.gone.contains(pid));
        exits && !(waits_for_ever && has_survivor())
    }

    /// The settings of an init after the change. It is made by variables, which inits below inherit and
    /// options override. The explained init is changed in any case.
    fn settings_of(&self, init: &Init, is_outer: bool) -> Settings {
        let mut settings = init.config.settings.clone();
        if is_outer || init.edition == Edition::Ours {
            let is_fixed = !is_outer && matches!(init.config.forward_source, Source::Option(_));
            settings.forward = self.change.forward.filter(|_| !is_fixed).unwrap_or(settings.forward);
            settings.drain = settings.drain.or(self.change.drain);
        }
        settings
    }

    /// Records the effect of actions. Returns the signal that is forwarded, and whether the command exits.
    fn act(&mut self, sender: Sender, actions: &[Action]) -> (Option<Signum>, bool) {
        let (mut forwarded, mut exits) = (None, false);
        let resumes = |action: &Action| matches!(action, Action::ResumeIfStopped(_) | Action::Continue(_));
        let resumes = sender.resumes && actions.iter().any(resumes);
        for action in actions {
            let Action::Forward(signum, recipient, care) = *action else { continue };
            forwarded = Some(signum);
            self.has_walk |= recipient == Recipient::Tree;
            if matches!(recipient, Recipient::Unsignalled(_)) {
                exits |= self.drain(sender, signum, care);
                continue;
            }
            // A SIGCONT follows, to the whole group if its leader is stopped, or to each descendant that is.
            let is_leader_stopped =
                recipient.process().and_then(|pid| self.snapshot.get(pid)).is_some_and(Facts::is_stopped);
            let resumes = resumes && (recipient == Recipient::Tree || is_leader_stopped);
            for process in self.recipients(sender, recipient, care) {
                exits |= self.send(sender, signum, &process, care, resumes);
            }
        }
        (forwarded, exits)
    }

    /// A drain signals the children of the init, and all other processes when their parents have exited.
    fn drain(&mut self, sender: Sender, signum: Signum, care: Care) -> bool {
        let (mut seen, mut exits) = (BTreeSet::new(), false);
        loop {
            let mut due = self.family(sender.pid, &self.tree_after_exits(sender.pid));
            due.retain(|process| seen.insert(process.pid));
            if due.is_empty() {
                return exits;
            }
            for process in due {
                let parent = self.snapshot.parent_of(process.pid);
                let is_parent_gone = parent.is_some_and(|parent| self.gone.contains(&parent));
                let when = if parent == Some(sender.pid) {
                    sender.when
                } else if is_parent_gone && parent == sender.command {
                    sender.when.max(When::AfterCommand)
                } else {
                    When::AfterParent
                };
                let has_it = |arrival: &Arrival| {
                    arrival.sender == sender.pid && arrival.signum == signum && !arrival.is_stopped
                };
                if !self.arrivals_at(process.pid).any(has_it) {
                    exits |= self.send(Sender { when, ..sender }, signum, &process, care, true);
                }
            }
        }
    }

    /// The remaining processes. An orphan is a child of the init if the init adopts it.
    fn tree_after_exits(&self, init: Pid) -> Tree {
        let adopts = |&pid: &Pid| pid == init || self.snapshot.adopts(pid) && !self.gone.contains(&pid);
        let after_exits = |process: &Process| {
            let is_orphan = self.gone.contains(&process.parent);
            let above = std::iter::successors(Some(process.parent), |&pid| self.snapshot.parent_of(pid));
            let adopter = above.take(self.snapshot.facts.len()).filter(|_| is_orphan).find(adopts);
            Process { parent: adopter.unwrap_or(process.parent), ..*process }
        };
        let remaining = self.tree.processes().iter().filter(|process| !self.gone.contains(&process.pid));
        Tree::new(remaining.map(after_exits).collect())
    }

    /// The descendants of an init, as far down as it signals them.
    fn family(&self, init: Pid, tree: &Tree) -> Vec<Process> {
        let is_init =
            |process: &Process| self.snapshot.get(process.pid).is_some_and(|facts| facts.is_nested_init);
        tree.descendants(init, |_| false, is_init)
    }

    /// The processes that an init signals now.
    fn recipients(&self, sender: Sender, recipient: Recipient, care: Care) -> Vec<Process> {
        let is_tree = recipient == Recipient::Tree;
        let is_member = |process: &Process| is_tree || recipient.includes(process.pid, process.group);
        let is_spared = |process: &Process| is_member(process) && self.is_spared(sender, process.pid, care);
        let all = self.tree.processes();
        // A group with a pipe reader is signalled one by one, too.
        let is_walk = is_tree || all.iter().any(is_spared);
        let mut recipients = if is_walk { self.family(sender.pid, &self.tree) } else { all.to_vec() };
        let can_receive = |pid| sender.when == When::AtOnce || !self.gone.contains(&pid);
        recipients.retain(|process| is_member(process) && can_receive(process.pid));
        recipients
    }

    /// Whether a process is a pipe reader that receives this signal after its writers.
    fn is_spared(&self, sender: Sender, pid: Pid, care: Care) -> bool {
        let is_reader = self.snapshot.pipe_readers.contains(&(sender.pid, pid));
        care.spares_readers && Some(pid) != sender.command && is_reader
    }

    /// Records that a process receives a signal. Returns whether it is the command and exits because of it.
    fn send(&mut self, sender: Sender, signum: Signum, to: &Process, care: Care, resumes: bool) -> bool {
        let pid = to.pid;
        let (Some(from), Some(to)) = (self.snapshot.get(sender.pid), self.snapshot.get(pid)) else {
            return false;
        };
        if !from.may_signal(to, signum) {
            self.refused.insert(pid);
            return false;
        }
        let is_spared = self.is_spared(sender, pid, care);
        if is_spared && !self.patient.contains(&sender.pid) {
            // The init may exit before the writers.
            self.unknown.insert(pid);
            return false;
        }
        let when = if is_spared { When::AfterWriters } else { sender.when };
        let is_stopped = to.is_stopped() && !resumes && !matches!(signum, Signum::CONT | Signum::KILL);
        self.arrivals.entry(pid).or_default().push(Arrival { signum, sender: sender.pid, when, is_stopped });
        let exits = match to.reaction(signum) {
            _ if is_stopped => false,
            _ if to.init().is_some() => self.receive(pid, signum, when),
            Effect::Terminates => true,
            Effect::Catches | Effect::Waits | Effect::Reads | Effect::Receives => {
                self.asks_to_end(signum, when)
            }
            _ => false,
        };
        if exits {
            self.gone.insert(pid);
        }
        exits && Some(pid) == sender.command
    }

    /// Whether a program that handles a signal exits: the signal stands for a request to end.
    fn asks_to_end(&self, signum: Signum, when: When) -> bool {
        self.signum.shuts_down() || signum.shuts_down() || when != When::AtOnce
    }

    fn arrivals_at(&self, pid: Pid) -> impl Iterator<Item = &Arrival> {
        self.arrivals.get(&pid).into_iter().flatten()
    }

    fn find_fates(&self) -> Vec<Fate> {
        let left_behind = below(&self.tree, self.gone.iter().filter(|_| self.has_walk).copied());
        let unknown = &(&below(&self.tree, self.unknown.iter().copied()) | &self.unknown) | &left_behind;
        let family = &below(&self.tree, [self.snapshot.init]) | &BTreeSet::from([self.snapshot.init]);
        let is_command_certain = self.snapshot.programs_of(self.snapshot.init).is_certain;
        let fate_of = |facts: &Facts| {
            let pid = facts.process.pid;
            let fate = self.fate(facts);
            let is_unknown = match fate.effect {
                Effect::NotSignalled if self.refused.contains(&pid) => false,
                Effect::NotSignalled => unknown.contains(&pid) || !is_command_certain,
                effect => effect == Effect::IsStopped && left_behind.contains(&pid),
            };
            let fate = Fate { effect: if is_unknown { Effect::Unknown } else { fate.effect }, ..fate };
            let has_effect = !matches!(fate.effect, Effect::NotSignalled | Effect::Zombie);
            (has_effect || family.contains(&facts.process.parent)).then_some(fate)
        };
        self.snapshot.facts.values().filter_map(fate_of).collect()
    }

    fn fate(&self, facts: &Facts) -> Fate {
        let pid = facts.process.pid;
        let first = self.arrivals_at(pid).min_by_key(|arrival| (arrival.is_stopped, arrival.when));
        let effect = match first {
            _ if facts.process.state == State::Zombie => Effect::Zombie,
            _ if pid == self.snapshot.init => match (facts.init(), self.forwarded, self.signum) {
                (None, ..) | (.., Signum::KILL | Signum::STOP) => facts.reaction(self.signum),
                (Some(_), Some(_), _) => Effect::Forwards,
                (Some(_), None, _) => Effect::Drops,
            },
            None => Effect::NotSignalled,
            Some(Arrival { is_stopped: true, .. }) => Effect::IsStopped,
            Some(_) if facts.init().is_some() => Effect::Forwards,
            Some(arrival) => facts.reaction(arrival.signum),
        };
        Fate { pid, effect, when: first.map_or(When::AtOnce, |arrival| arrival.when) }
    }

    pub(super) fn with(&self, is_it: impl Fn(&Fate) -> bool) -> Vec<Pid> {
        self.fates.iter().filter(|fate| is_it(fate)).map(|fate| fate.pid).collect()
    }

    /// The processes that should receive the signal: those below the init, or a program without an init.
    pub(super) fn expected(&self) -> Vec<Fate> {
        let init = self.snapshot.init;
        let is_expected = |fate: &Fate| fate.pid != init && fate.effect != Effect::Zombie;
        let mut expected: Vec<Fate> = self.fates.iter().copied().filter(is_expected).collect();
        if expected.is_empty() && self.snapshot.get(init).and_then(Facts::init).is_none() {
            expected.extend(self.fates.iter().filter(|fate| fate.pid == init));
        }
        expected
    }

    /// Whether every process receives the signal, none beside its master, and the container waits for all.
    pub(super) fn is_good(&self) -> bool {
        let is_bad = |fate: &Fate| fate.effect.is_missed() || fate.effect == Effect::Unknown;
        !self.expected().iter().any(is_bad) && self.workers().is_empty() && self.is_complete()
    }

    /// Whether the container waits for all processes: the init does, or it waits for an init that does.
    pub(super) fn is_complete(&self) -> bool {
        let all: Vec<Pid> = self.expected().iter().map(|fate| fate.pid).collect();
        let mut next = Some(self.snapshot.init);
        for _ in 0..=all.len() {
            let Some(init) = next else { return false };
            let family = below(&self.tree, [init]);
            let command = self.snapshot.programs_of(init).command;
            let is_below = all.iter().all(|pid| *pid == init || family.contains(pid));
            let is_command_alone = all.iter().all(|&pid| pid == init || Some(pid) == command);
            if !is_below || is_command_alone || self.patient.contains(&init) {
                return is_below;
            }
            next = command.filter(|&pid| self.snapshot.get(pid).and_then(Facts::init).is_some());
        }
        false
    }

    /// Workers that receive the signal at the same time as a master that stops them itself. A master is the
    /// command, a helper, or the program that a start script runs.
    pub(super) fn workers(&self) -> Vec<Pid> {
        let handled = |facts: &Facts| {
            let first = self.arrivals_at(facts.process.pid).find(|arrival| arrival.when == When::AtOnce);
            let is_handled = |effect| matches!(effect, Effect::Catches | Effect::Waits | Effect::Reads);
            first.copied().filter(|arrival| is_handled(facts.reaction(arrival.signum)))
        };
        let is_worker = |worker: &&Facts| {
            let Some(master) = self.snapshot.get(worker.process.parent) else { return false };
            let Some(arrival) = handled(master) else { return false };
            let script = self.snapshot.get(master.process.parent).filter(|parent| parent.is_shell());
            let programs = self.snapshot.programs_of(arrival.sender);
            let is_program = |facts: &Facts| programs.includes(facts.process.pid);
            (is_program(master) || script.is_some_and(is_program))
                && matches!(master.role, Role::Program)
                && worker.process.group == master.process.group
                && worker.resembles(master)
                && handled(worker) == Some(arrival)
        };
        let workers = self.snapshot.others().filter(|_| self.signum.shuts_down()).filter(is_worker);
        workers.map(|worker| worker.process.pid).collect()
    }
}

/// The descendants of all `roots`.
fn below(tree: &Tree, roots: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
    let mut next: Vec<Pid> = roots.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(parent) = next.pop() {
        next.extend(tree.children(parent).iter().map(|child| child.pid).filter(|&child| found.insert(child)));
    }
    found
}

/// The processes after a change. If the command leads a session only then, the processes in the group of the
/// init are in its group.
fn tree_after(snapshot: &Snapshot, change: Change) -> Tree {
    let init = snapshot.get(snapshot.init);
    let isolation = init.and_then(Facts::init).map(|init| init.config.settings.isolation());
    let starts_session =
        isolation == Some(Isolation::None) && matches!(change.forward, Some(Forward::Group | Forward::Tree));
    let group = init.map(|init| init.process.group).filter(|_| starts_session);
    let moved = |process: &Process| {
        let is_moved = process.pid != snapshot.init && Some(process.group) == group;
        let command = snapshot.programs_of(snapshot.init).command.filter(|_| is_moved);
        Process { group: command.unwrap_or(process.group), ..*process }
    };
    Tree::new(snapshot.tree.processes().iter().map(moved).collect())
}

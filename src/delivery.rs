//! How does a signal get to those who are to get it?
//!
//! The policy says whom to signal; here it is done. A process or a group is one kill(2), descendants are a `walk`. Who has got
//! what is noted in a `Ledger`, which decides who is left.
//!
//! What is rare and has buffers is kept out of line: else they would be in the frame of the loop that runs for all of our life,
//! and their pages in memory for as long.

use std::mem;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Pid, getpgrp, getpid};

use crate::descendants::{Depth, Descendant, Tree};
use crate::ledger::{Helpers, Ledger};
use crate::logging::{self, Fate, Line};
use crate::plumbing;
use crate::policy::{Noted, Recipient};
use crate::process::{self, CommandLine, Moment, Process, State};
use crate::signal::Signum;
use crate::sys::signals;
use crate::sys::{capabilities, children};

mod walk;

use walk::{Walk, target_of};

/// What is to be known for signalling.
#[derive(Clone)]
pub(crate) struct Delivery {
    /// The command's process, as long as it hasn't been reaped: whoever has its number then is another.
    main: Option<Pid>,
    /// Children from before our exec, which may be a part of our own plumbing.
    older_children: Vec<Pid>,
    /// Who has got the drain's signal.
    told: Ledger,
    /// Has it been sent at all? All that is known where there is no /proc.
    is_told_without_proc: bool,
    /// Who was named as killed.
    killed: Ledger,
    /// Has it been said that /proc hides some?
    is_hiding_said: bool,
}

impl Delivery {
    /// Prepares for signals to the command that runs as `main`.
    pub(crate) fn new(main: Pid, older_children: Vec<Pid>) -> Self {
        Self {
            main: Some(main),
            older_children,
            told: Ledger::default(),
            is_told_without_proc: false,
            killed: Ledger::default(),
            is_hiding_said: false,
        }
    }

    /// Takes note that a child was reaped, so that its number may be another's.
    pub(crate) fn forget(&mut self, pid: Pid) {
        self.main = self.main.filter(|&main| main != pid);
        self.older_children.retain(|&child| child != pid);
    }

    /// Forgets the children that were reaped without our taking note of it.
    pub(crate) fn forget_who_is_no_child(&mut self) {
        self.older_children.retain(|&child| Process::read(child).is_some_and(|process| process.parent == getpid()));
    }

    /// Is there any descendant left but our plumbing? Where there is none of that, wait(2) knows.
    pub(crate) fn is_anybody_left(&mut self) -> bool {
        self.older_children.is_empty() || self.family(Depth::All).is_none_or(|family| living(&family).next().is_some())
    }

    /// Our descendants. `None` where they can't be told.
    fn family(&mut self, depth: Depth) -> Option<Vec<Descendant>> {
        self.family_in(&Tree::new(process::snapshot()?), depth)
    }

    fn family_in(&mut self, tree: &Tree, depth: Depth) -> Option<Vec<Descendant>> {
        let hides = tree.processes().iter().any(|process| process.state == State::Hidden);
        if hides && !mem::replace(&mut self.is_hiding_said, true) {
            logging::say(Line::Hidden);
        }
        let is_plumbing = |pid| self.older_children.contains(&pid) && plumbing::has(pid);
        tree.descendants(getpid(), is_plumbing, depth, process::is_an_init)
    }

    /// Forwards a signal, and says so.
    pub(crate) fn forward(&mut self, signum: Signum, recipient: Recipient, noted: Noted) {
        let is_recipient = |process: &Process| recipient.has(process);
        let (pid, result) = match recipient {
            Recipient::Process(pid) => {
                (pid, self.account_for(signum, noted, is_recipient, || signals::send_to_process(pid, signum)))
            }
            Recipient::Group(group) => {
                (group, self.account_for(signum, noted, is_recipient, || signals::send_to_group(group, signum)))
            }
            Recipient::RestOfGroup(group) => {
                (group, self.account_for(signum, noted, is_recipient, || signals::send_to_rest_of_group(group, signum)))
            }
            Recipient::Tree => return self.forward_by_walk(signum, Walk::Forward, noted),
            Recipient::TreeOutsideOurGroup => return self.forward_by_walk(signum, Walk::ForwardOutsideOurGroup, noted),
            Recipient::Untold => return self.forward_by_walk(signum, Walk::Drain(Helpers::Spared), noted),
            Recipient::Nobody => return logging::say(Line::Forwarded(signum)),
        };
        match (result, recipient) {
            // ESRCH: it has ended; the news of it is on its way. At the end it may well be that nobody is left, or nobody whom
            // we may signal.
            (Ok(()) | Err(Errno::ESRCH), _) | (Err(_), Recipient::RestOfGroup(_)) => {
                logging::say(Line::Forwarded(signum));
            }
            // EPERM: the command runs as another user and we lack CAP_KILL.
            (Err(errno), _) => return logging::say(Line::NotDelivered { signum, pid, errno }),
        }
        if let Recipient::Group(group) = recipient {
            tell_who_was_left_out(signum, group);
        }
    }

    #[inline(never)]
    fn forward_by_walk(&mut self, signum: Signum, walk: Walk, noted: Noted) {
        self.walk(signum, walk, noted);
        logging::say(Line::Forwarded(signum));
    }

    /// Sends a signal by one call, and accounts for those who get it.
    fn account_for(
        &mut self,
        signum: Signum,
        noted: Noted,
        is_recipient: impl Fn(&Process) -> bool,
        send: impl FnOnce() -> nix::Result<()>,
    ) -> nix::Result<()> {
        say_who_gets(signum, &is_recipient);
        if noted == Noted::No {
            return send();
        }
        self.is_told_without_proc = true;
        let before = Before::now(&is_recipient);
        let (result, at) = at_a_moment(send);
        self.note_recipients(at, before, is_recipient);
        result
    }

    /// Notes who has got the drain's signal, which was sent at that time.
    #[inline(never)]
    fn note_recipients(&mut self, at: Moment, before: Option<Before>, is_recipient: impl Fn(&Process) -> bool) {
        let after = process::snapshot();
        if let Some(after) = &after {
            self.told.forget_who_is_gone(after);
        }
        let (Some(before), Some(after)) = (before, after.map(Tree::new)) else { return };
        for process in before.tree.processes().iter().filter(|process| is_recipient(process)) {
            self.told.note(process, at);
            if before.inits.contains(&process.pid) {
                self.note_reached(process, at, &before.tree);
            }
        }
        for process in after.processes().iter().filter(|process| is_recipient(process) && !at.is_before(process)) {
            if !before.tree.has(process) {
                self.note_told(process, at, &after);
            }
        }
    }

    /// Notes that those in our own process group have got the drain's signal from the kernel.
    pub(crate) fn note_our_group(&mut self) {
        let ours = getpgrp();
        let is_recipient = |process: &Process| process.group == ours;
        self.note_recipients(Moment::now(), Before::now(is_recipient), is_recipient);
    }

    /// Sends the drain's signal to those who haven't got it, and lets those of them go on that are stopped.
    pub(crate) fn remind(&mut self, signum: Signum, helpers: Helpers) {
        self.walk(signum, Walk::Drain(helpers), Noted::Yes);
    }

    /// Kills every descendant, and names each.
    pub(crate) fn kill_all(&mut self) {
        self.walk(Signum::KILL, Walk::Deadline, Noted::No);
    }

    /// Notes that a process has got the drain's signal, and with it those whom it passes it on to if it is an init.
    fn note_told(&mut self, process: &Process, at: Moment, tree: &Tree) {
        self.told.note(process, at);
        if passes_on(process, tree) {
            self.note_reached(process, at, tree);
        }
    }

    /// Notes that those have got it whom this init has passed it on to.
    fn note_reached(&mut self, init: &Process, at: Moment, tree: &Tree) {
        let reached = tree.reached_by_init(init.pid).filter(|reached| !at.is_before(reached));
        reached.for_each(|reached| self.told.note(reached, at));
    }

    /// Lets those go on that are stopped, by SIGCONT. It fails only where there is nobody to reach.
    #[inline(never)]
    pub(crate) fn wake(&mut self, recipient: Recipient) {
        match recipient {
            Recipient::Process(pid) if children::is_stopped(pid) => {
                let _ = signals::send_to_process(pid, Signum::CONT);
            }
            Recipient::Group(leader) if children::is_stopped(leader) => {
                let _ = signals::send_to_group(leader, Signum::CONT);
            }
            Recipient::Process(_) | Recipient::Group(_) | Recipient::RestOfGroup(_) | Recipient::Nobody => {}
            Recipient::Tree | Recipient::TreeOutsideOurGroup | Recipient::Untold => {
                match self.family(Depth::DownToInits) {
                    Some(family) => {
                        for process in living(&family).filter(|process| process.state == State::Stopped) {
                            let _ = target_of(process).and_then(|target| target.send(Signum::CONT));
                        }
                    }
                    None if self.main.is_some_and(children::is_stopped) => {
                        self.without_proc(Signum::CONT, Walk::Forward, Noted::No);
                    }
                    None => {}
                }
            }
        }
    }

    /// Waits a moment for our plumbing, if there is any.
    pub(crate) fn await_plumbing(&self) {
        if !self.older_children.is_empty() {
            plumbing::await_its_end();
        }
    }

    /// Says what is still running, at the highest verbosity.
    #[inline(never)]
    pub(crate) fn say_who_is_left(&mut self) {
        if logging::traces() {
            for process in self.family(Depth::All).iter().flat_map(|family| living(family)) {
                logging::say_of(process.pid, &CommandLine::of(process.pid), Fate::LeftBehind);
            }
        }
    }
}

/// Nobody answers a signal by starting a process within this time, from the signal to the new process.
const FASTER_THAN_ANY_ANSWER: Duration = Duration::from_micros(50);

/// Sends a signal, and tells a moment that parts those who were there from those who came later. What begins while it is sent is
/// one that the signal was meant for, too; but where we were kept from looking for long, it may just as well be an answer.
fn at_a_moment<R>(send: impl FnOnce() -> R) -> (R, Moment) {
    let before = Moment::now();
    let begin = Instant::now();
    let result = send();
    let after = Moment::now();
    (result, if begin.elapsed() < FASTER_THAN_ANY_ANSWER { after } else { before })
}

/// How things stand shortly before a signal is sent: afterwards an init that has passed it on may have ended, and others may have
/// joined the group.
struct Before {
    tree: Tree,
    /// The inits among the recipients.
    inits: Vec<Pid>,
}

impl Before {
    fn now(is_recipient: impl Fn(&Process) -> bool) -> Option<Self> {
        let tree = Tree::new(process::snapshot()?);
        let mut inits = Vec::new();
        for init in tree.processes().iter().filter(|process| is_recipient(process) && passes_on(process, &tree)) {
            inits.try_reserve(1).ok()?;
            inits.push(init.pid);
        }
        Some(Self { tree, inits })
    }
}

/// Is it an init of ours that has somebody to pass a signal on to?
fn passes_on(process: &Process, tree: &Tree) -> bool {
    !tree.children(process.pid).is_empty() && process::is_an_init(process.pid)
}

fn living(family: &[Descendant]) -> impl Iterator<Item = &Process> {
    family.iter().map(|descendant| &descendant.process).filter(|process| process.state != State::Zombie)
}

/// Says, at the highest verbosity, who is about to get a signal: afterwards it may have ended, and with it what it was
/// called.
#[inline(never)]
fn say_who_gets(signum: Signum, is_recipient: &impl Fn(&Process) -> bool) {
    if logging::traces() {
        let is_there = |process: &&Process| is_recipient(process) && process.state != State::Zombie;
        for process in process::snapshot().iter().flatten().filter(is_there) {
            logging::say_of(process.pid, &CommandLine::of(process.pid), Fate::Gets(signum));
        }
    }
}

/// Tells which members of a group the kernel didn't let us signal, now that it has let us signal one (kill(2) succeeds
/// with the first). For signals that don't ask to end it is the command's process alone that is looked at, since they
/// may come by the thousand.
#[inline(never)]
fn tell_who_was_left_out(signum: Signum, group: Pid) {
    if capabilities::may_signal_everybody() {
        return;
    }
    let tell = |pid| {
        if let Err(errno @ Errno::EPERM) = signals::try_process(pid) {
            logging::say(Line::NotDelivered { signum, pid, errno });
        }
    };
    // The command's process, which leads the group, also where /proc doesn't show it (hidepid).
    tell(group);
    if signum.asks_to_end() {
        process::members_of_group(group).filter(|&pid| pid != group).for_each(tell);
    }
}

//! How are all descendants signalled?
//!
//! They are looked up in /proc and signalled one by one, each through a pidfd so that it is no other process by then, and again
//! until no new one turns up.

use nix::errno::Errno;
use nix::unistd::{getpgid, getpgrp};

use super::{Delivery, at_a_moment};
use crate::descendants::{Depth, Tree};
use crate::ledger::{Helpers, Ledger};
use crate::logging::{self, Fate, Line};
use crate::policy::Noted;
use crate::process::{self, CommandLine, Moment, Process, State};
use crate::signal::Signum;
use crate::sys::signals::{self, Target};

/// Passes over the descendants that are made at most, each of which finds a new one: whoever forks without end can't keep
/// us here for ever.
const MOST_PASSES: usize = 32;

/// Why all descendants are gone through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// A signal is forwarded to everybody.
    Forward,
    /// The same, but those in our own process group have got it from the kernel.
    ForwardOutsideOurGroup,
    /// The drain's signal goes to those who haven't got it.
    Drain(Helpers),
    /// Time has run out.
    Deadline,
}

impl Walk {
    fn depth(self) -> Depth {
        match self {
            Self::Forward | Self::ForwardOutsideOurGroup | Self::Drain(_) => Depth::DownToInits,
            Self::Deadline => Depth::All,
        }
    }

    fn helpers(self) -> Helpers {
        match self {
            Self::Forward | Self::ForwardOutsideOurGroup => Helpers::Spared,
            Self::Drain(helpers) => helpers,
            Self::Deadline => Helpers::Due,
        }
    }
}

impl Delivery {
    /// Signals descendants, until no new one turns up.
    pub(super) fn walk(&mut self, signum: Signum, walk: Walk, noted: Noted) {
        let mut done = Ledger::default();
        for _ in 0..MOST_PASSES {
            let Some(all) = process::snapshot() else { return self.without_proc(signum, walk, noted) };
            self.told.forget_who_is_gone(&all);
            let tree = Tree::new(all);
            // There is no memory for them.
            let Some(family) = self.family_in(&tree, walk.depth()) else {
                return self.without_proc(signum, walk, noted);
            };
            let mut due = match walk {
                Walk::Forward | Walk::ForwardOutsideOurGroup | Walk::Deadline => done.due(&family, walk.helpers()),
                Walk::Drain(helpers) => self.told.due(&family, helpers),
            };
            if walk == Walk::ForwardOutsideOurGroup {
                due.retain(|process| process.group != getpgrp());
            }
            if due.is_empty() {
                return;
            }
            for process in due {
                let at = self.signal(&process, signum, walk);
                done.note(&process, at);
                if noted == Noted::Yes {
                    self.note_told(&process, at, &tree);
                }
            }
        }
    }

    /// Signals one of them, and tells when.
    fn signal(&mut self, process: &Process, signum: Signum, walk: Walk) -> Moment {
        // What it was called is gone when it is killed.
        let command = (walk == Walk::Deadline || logging::traces()).then(|| CommandLine::of(process.pid));
        let target = target_of(process);
        let (sent, at) = at_a_moment(|| {
            let target = target?;
            target.send(signum)?;
            match walk {
                Walk::Drain(_) if process.state == State::Stopped => target.send(Signum::CONT),
                Walk::Drain(_) | Walk::Forward | Walk::ForwardOutsideOurGroup | Walk::Deadline => Ok(()),
            }
        });
        // A killed one is found again until it has ended, and one that can't be killed until we give it up.
        let is_news = walk != Walk::Deadline || !self.killed.has(process);
        if walk == Walk::Deadline {
            self.killed.note(process, at);
        }
        match (sent, command) {
            // ESRCH: it has ended meanwhile.
            (Err(Errno::ESRCH), _) | (Ok(()), None) => {}
            (Err(_) | Ok(()), _) if !is_news => {}
            (Err(errno), _) => logging::say(Line::NotDelivered { signum, pid: process.pid, errno }),
            (Ok(()), Some(command)) if walk == Walk::Deadline => logging::say_of(process.pid, &command, Fate::Killed),
            (Ok(()), Some(command)) => logging::say_of(process.pid, &command, Fate::Gets(signum)),
        }
        at
    }

    /// The nearest thing to all descendants that can be reached where /proc doesn't show them.
    pub(super) fn without_proc(&mut self, signum: Signum, walk: Walk, noted: Noted) {
        let is_told = self.is_told_without_proc && matches!(walk, Walk::Drain(_));
        self.is_told_without_proc |= noted == Noted::Yes;
        // The number of the group is its own as long as its leader isn't reaped.
        if let Some(main) = self.main.filter(|_| !is_told) {
            // It fails only where there is nobody to reach.
            let _ = if getpgid(Some(main)) == Ok(main) {
                signals::send_to_group(main, signum)
            } else {
                signals::send_to_process(main, signum)
            };
        }
    }
}

/// A process, and no other that has its PID by now.
pub(super) fn target_of(process: &Process) -> nix::Result<Target> {
    let target = Target::open(process.pid)?;
    // Of a hidden one we know that it is our child still.
    let is_it =
        process.state == State::Hidden || Process::read(process.pid).is_some_and(|now| now.started == process.started);
    if is_it { Ok(target) } else { Err(Errno::ESRCH) }
}

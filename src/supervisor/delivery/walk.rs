//! Signals descendants one by one, until no new one appears.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use nix::unistd::{Pid, getpgid, getpid};

use super::deferred::Wait;
use super::{Delivery, target};
use crate::log::ProcessMessage;
use crate::policy::{Care, Scope};
use crate::process::{self, Process};
use crate::signal::Signum;
use crate::sys::signals;

/// The limit on passes over the descendants. A program that forks without end must not keep us here for
/// ever.
const MOST_PASSES: usize = 32;

/// The descendants that a walk signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All, except those below a nested init, which forwards the signal itself.
    Everyone,
    /// The same within this process group.
    Group(Pid),
    /// The descendants that have not received the drain's signal.
    Drain(Scope),
    /// All, since the deadline has passed.
    Deadline,
}

impl Reach {
    fn is_drain(self) -> bool {
        matches!(self, Self::Drain(_))
    }
}

impl Delivery {
    /// Signals the descendants within reach, until no new one appears. Returns their number.
    pub(super) fn walk(&mut self, signum: Signum, mut reach: Reach, care: Care) -> usize {
        // The processes that this walk has signalled, and their starts.
        let mut signalled = BTreeMap::new();
        for pass in 0..MOST_PASSES {
            let due = match self.processes_due(signum, reach, care, &signalled) {
                Ok(due) => due,
                Err(_) if pass == 0 => {
                    self.send_without_look(signum, reach, care);
                    break;
                }
                // The recipients of an earlier pass must not receive the signal again.
                Err(_) => break,
            };
            if due.is_empty() {
                break;
            }
            for process in due {
                signalled.insert(process.pid, process.started);
                if care.records {
                    self.record_signalled(&process);
                }
                self.signal(&process, signum, reach);
            }
            // Processes that were started since then are left to their parents again.
            if reach.is_drain() {
                reach = Reach::Drain(Scope::Roots);
            }
        }
        signalled.len()
    }

    /// The processes to signal in one pass. The first rule that fits a process decides:
    ///
    /// 1. It has received the signal: never. A drain resumes it if it is stopped.
    /// 2. Its parent has received the signal in an earlier pass, and may have started it in answer, or the
    ///    parent is such a process itself: when the parent has exited. A drain finds it then; other signals
    ///    are deferred.
    /// 3. It is a pipe reader: when its input has ended. The signal is deferred.
    /// 4. Otherwise: now.
    fn processes_due(
        &mut self,
        signum: Signum,
        reach: Reach,
        care: Care,
        signalled: &BTreeMap<Pid, u64>,
    ) -> nix::Result<Vec<Process>> {
        let mut due = Vec::new();
        let mut newborns = BTreeSet::new();
        // Parents come before their children.
        for process in self.candidates(reach)? {
            let is_signalled = if reach.is_drain() {
                self.is_signalled(&process)
            } else {
                signalled.get(&process.pid) == Some(&process.started)
            };
            if is_signalled {
                if reach.is_drain() {
                    target::resume(&process);
                }
            } else if reach != Reach::Deadline
                && (signalled.contains_key(&process.parent) || newborns.contains(&process.parent))
            {
                newborns.insert(process.pid);
                if !care.records {
                    self.defer(&process, signum, Wait::FOR_PARENT);
                }
            } else {
                due.push(process);
            }
        }
        if care.spares_readers {
            let readers = self.readers(&due, reach.is_drain());
            due.retain(|process| {
                let Some(wait) = readers.get(&process.pid) else { return true };
                self.defer(process, signum, *wait);
                if care.records {
                    self.record_of(process).is_signalled = true;
                }
                false
            });
        }
        Ok(due)
    }

    /// The living processes within reach.
    pub(super) fn candidates(&mut self, reach: Reach) -> nix::Result<Vec<Process>> {
        if reach == Reach::Drain(Scope::Roots) {
            return self.new_roots();
        }
        let is_leaf = |process: &Process| match reach {
            Reach::Everyone | Reach::Group(_) => process::is_nested_init(process),
            // Another program with the name of our process forwards nothing.
            Reach::Drain(_) => process::is_nested_init_by_file(process),
            Reach::Deadline => false,
        };
        let mut family = self.look()?.descendants(getpid(), |pid| Some(pid) == self.hook, is_leaf);
        if let Reach::Group(group) = reach {
            family.retain(|process| process.group == group);
        }
        Ok(family)
    }

    /// The living children of ours that no earlier round has seen. Each is read once.
    fn new_roots(&mut self) -> nix::Result<Vec<Process>> {
        let is_seen = |child: &Pid| self.records.get(child).is_some_and(|record| record.is_seen);
        let is_new = |child: &Pid| !is_seen(child) && Some(*child) != self.hook;
        let roots = process::children()
            .and_then(|children| children.into_iter().filter(is_new).map(Process::read_child).collect());
        let mut roots = self.log_gaps(roots)?;
        for root in &roots {
            self.record_of(root).is_seen = true;
        }
        roots.retain(Process::is_alive);
        Ok(roots)
    }

    /// Signals one process, and logs its name if it is killed, or at the highest verbosity.
    fn signal(&mut self, process: &Process, signum: Signum, reach: Reach) {
        let message = if reach == Reach::Deadline {
            // A killed process is found again until it has exited.
            let is_logged = mem::replace(&mut self.record_of(process).is_killed, true);
            (!is_logged).then_some(ProcessMessage::Killed)
        } else {
            Some(ProcessMessage::Gets(signum))
        };
        target::signal(process, signum, message);
        if reach.is_drain() {
            target::resume(process);
        }
    }

    /// The fallback if descendants cannot be found: signals the command's process group.
    pub(super) fn send_without_look(&mut self, signum: Signum, reach: Reach, care: Care) {
        let has_signalled =
            || self.signalled_group.is_some() || self.records.values().any(|record| record.is_signalled);
        // No process receives the drain's signal twice. Later rounds look again.
        if reach.is_drain() && has_signalled() {
            return;
        }
        if reach == Reach::Deadline {
            // Children keep their PIDs until we reap them. The processes that they leave are killed next
            // time.
            let hook = self.hook;
            for child in
                process::children().unwrap_or_default().into_iter().filter(|&child| Some(child) != hook)
            {
                let _ = signals::send_to_process(child, signum);
            }
        }
        // No PID or ID of a group is reused before the process is reaped.
        for &helper in &self.helpers {
            let _ = signals::send_to_group(helper, signum);
        }
        let Some(command) = self.command else { return };
        // It fails only if no recipient is left.
        if getpgid(Some(command)) == Ok(command) {
            let _ = signals::send_to_group(command, signum);
            if care.records {
                self.signalled_group = Some(command);
            }
        } else {
            let _ = signals::send_to_process(command, signum);
        }
    }
}

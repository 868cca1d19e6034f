//! Signals descendants one by one, until no new one appears.
//!
//! Each is signalled through a pidfd, since its PID may be reused. A child of ours keeps its PID until we
//! reap it.

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpid};

use super::{Delivery, family, living};
use crate::log::{self, Message, ProcessMessage};
use crate::policy::{Care, Scope};
use crate::process::descendants::{Depth, Tree};
use crate::process::signalled::Signalled;
use crate::process::{self, Process, State, list_with_capacity};
use crate::signal::Signum;
use crate::sys::procfs;
use crate::sys::signals::{self, Target};

/// The limit on passes over the descendants. A program that forks without end must not keep us here for ever.
const MOST_PASSES: usize = 32;

/// The descendants that a walk signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All, except those below a nested init, which forwards the signal itself.
    Everyone,
    /// The members of this process group.
    Group(Pid),
    /// The descendants that have not received the drain's signal.
    Drain(Scope),
    /// All, since the deadline has passed.
    Deadline,
}

impl Reach {
    fn includes(self, process: &Process) -> bool {
        match self {
            Self::Everyone | Self::Deadline | Self::Drain(Scope::Everyone) => true,
            Self::Group(group) => process.group == group,
            Self::Drain(Scope::Roots) => process.parent == getpid(),
        }
    }

    fn is_drain(self) -> bool {
        matches!(self, Self::Drain(_))
    }
}

impl Delivery {
    /// Signals the descendants within reach, until no new one appears.
    pub(super) fn walk(&mut self, signum: Signum, reach: Reach, care: Care) {
        let mut done = Signalled::default();
        for pass in 0..MOST_PASSES {
            // Processes that were started since the fallback are their parents' business again.
            let reach = if pass > 0 && reach.is_drain() { Reach::Drain(Scope::Roots) } else { reach };
            let (due, tree) = match self.due(signum, reach, care, &done) {
                Ok(due) => due,
                // The recipients of an earlier pass must not receive the signal again.
                Err(_) if pass > 0 => return,
                Err(_) => return self.send_without_look(signum, reach, care),
            };
            if due.is_empty() {
                return;
            }
            // A process that could not be recorded would be signalled in each pass.
            if done.reserve(due.len()).and(self.signalled.reserve(due.len())).is_err() {
                // A later round finds them again.
                for process in &due {
                    self.seen_roots.remove(process.pid);
                }
                if pass == 0 {
                    self.send_without_look(signum, reach, care);
                }
                return;
            }
            for process in due {
                done.insert(&process);
                if care.records {
                    self.record(&process, tree.as_ref());
                }
                self.signal(&process, signum, reach);
            }
        }
    }

    /// The processes to signal in one pass, and all processes if they were listed. Pipe readers are put
    /// aside.
    fn due(
        &mut self,
        signum: Signum,
        reach: Reach,
        care: Care,
        done: &Signalled,
    ) -> nix::Result<(Vec<Process>, Option<Tree>)> {
        let mut tree = None;
        let family = match reach {
            Reach::Drain(Scope::Roots) => self.new_roots()?,
            Reach::Deadline => family(tree.insert(self.look()?), Depth::All)?,
            Reach::Everyone | Reach::Group(_) => family(tree.insert(self.look()?), Depth::DownToInits)?,
            // Nobody forwards the signal below a process with a false mark.
            Reach::Drain(Scope::Everyone) => tree
                .insert(self.look()?)
                .descendants(getpid(), |_| false, Depth::DownToInits, process::is_nested_init_by_file)
                .ok_or(Errno::ENOMEM)?,
        };
        let mut due = list_with_capacity(family.len())?;
        if reach == Reach::Drain(Scope::Roots) {
            self.seen_roots.reserve(family.len())?;
            for root in &family {
                self.seen_roots.insert(root);
            }
        }
        for process in living(&family).filter(|process| reach.includes(process)) {
            let has_it =
                if reach.is_drain() { self.has_drain_signal(process) } else { done.contains(process) };
            if has_it {
                // A stopped process acts on no signal until it is continued.
                if reach.is_drain() && process.state == State::Stopped {
                    let _ = target_of(process).and_then(|target| target.send(Signum::CONT));
                }
            } else if reach != Reach::Deadline && done.contains_pid(process.parent) {
                // Its parent may have started it in answer to the signal, so it is left to the parent until
                // that exits. A drain finds it then.
                if !care.records {
                    self.deferred.add_newborn(process, signum);
                }
            } else {
                due.push(*process);
            }
        }
        if care.spares_readers {
            self.put_readers_aside(&mut due, signum, care, tree.as_ref(), reach.is_drain());
        }
        Ok((due, tree))
    }

    /// Children of ours that no earlier round has signalled. Each is read once.
    fn new_roots(&mut self) -> nix::Result<Vec<Process>> {
        let children = process::children();
        let children = self.account_for(children)?;
        let mut roots = list_with_capacity(children.len())?;
        for child in children {
            if self.seen_roots.contains_pid(child) {
                continue;
            }
            if self.signalled.contains_pid(child) {
                // A PID that was reused since then is read in the round for all descendants.
                self.seen_roots.insert_pid(child)?;
                if self.stopped.contains_pid(child) {
                    let _ = signals::send_to_process(child, Signum::CONT);
                }
            } else {
                let process = Process::read_child(child);
                roots.push(self.account_for(process)?);
            }
        }
        self.say_hidden(&roots);
        Ok(roots)
    }

    /// Whether a process has received the drain's signal, or it is deferred for it.
    fn has_drain_signal(&self, process: &Process) -> bool {
        self.signalled.contains(process) || self.signalled_group == Some(process.group)
    }

    /// Signals one process, and logs its name if it is killed, or at the highest verbosity.
    fn signal(&mut self, process: &Process, signum: Signum, reach: Reach) {
        let sent = target_of(process).and_then(|target| {
            target.send(signum)?;
            if reach.is_drain() && process.state == State::Stopped {
                target.send(Signum::CONT)
            } else {
                Ok(())
            }
        });
        let is_deadline = reach == Reach::Deadline;
        // A killed process is found again until it has exited. It is reported once.
        let is_news = !is_deadline || !self.killed.contains(process);
        if is_deadline {
            self.killed.insert(process);
        }
        match sent {
            // ESRCH: it has exited meanwhile.
            Err(Errno::ESRCH) => {}
            _ if !is_news => {}
            Err(errno) => log::write(Message::NotDelivered { signum, pid: process.pid, errno }),
            Ok(()) if is_deadline => log::write_process(process.pid, &process.name, ProcessMessage::Killed),
            Ok(()) => log::write_process(process.pid, &process.name, ProcessMessage::Gets(signum)),
        }
    }

    /// The fallback if descendants cannot be found: signals the command's process group.
    pub(super) fn send_without_look(&mut self, signum: Signum, reach: Reach, care: Care) {
        // No process receives the drain's signal twice. Later rounds look again.
        if reach.is_drain() && (self.signalled_group.is_some() || !self.signalled.is_empty()) {
            return;
        }
        if reach == Reach::Deadline {
            // Children keep their PIDs until we reap them. Those that they leave behind are killed next time.
            let _ = procfs::for_each_child(|child| signals::send_to_process(child, signum));
        }
        // Neither the command's PID nor its group's ID is reused before the command is reaped.
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

/// A handle to a process that reaches no other one with its PID.
///
/// # Errors
/// ESRCH if it has exited.
pub(super) fn target_of(process: &Process) -> nix::Result<Target> {
    if process.parent == getpid() {
        return Ok(Target::Pid(process.pid));
    }
    let target = Target::open(process.pid)?;
    match process.is_still_there() {
        Ok(true) => Ok(target),
        Ok(false) => Err(Errno::ESRCH),
        Err(_) => {
            // The pidfd may have taken the last descriptor. A process is not skipped because a look has failed.
            drop(target);
            if process.is_still_there() == Ok(false) {
                Err(Errno::ESRCH)
            } else {
                Ok(Target::Pid(process.pid))
            }
        }
    }
}

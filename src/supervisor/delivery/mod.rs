//! Sends signals to the command, its group or all descendants.
//!
//! A process or a group takes one kill(2). Descendants are found in /proc and signalled one by one (`walk`).
//! NoChild that can block is read before a signal is sent: see `process` and `pipes`.

use std::mem;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::log::{self, Message, ProcessMessage};
use crate::policy::{Care, Recipient, Scope};
use crate::process::descendants::{Depth, Tree};
use crate::process::pipes::{self, Ends};
use crate::process::signalled::Signalled;
use crate::process::{self, Process, State};
use crate::signal::Signum;
use crate::sys::{capabilities, children, fds, signals};

mod deferred;
mod walk;

use deferred::Deferred;
use walk::{Reach, target_of};

/// The recipients of signals, and the signals that they have received.
#[derive(Clone)]
pub(crate) struct Delivery {
    /// The command's PID until it is reaped; the PID may be reused afterwards.
    command: Option<Pid>,
    /// Children from before our exec that have not been reaped.
    older_children: Vec<Pid>,
    /// Processes that have received the drain's signal.
    signalled: Signalled,
    /// Those among them that were stopped then. They are continued when they are roots.
    stopped: Signalled,
    /// The group that has received the drain's signal while its members could not be read.
    signalled_group: Option<Pid>,
    /// Children that a round of the drain has seen.
    seen_roots: Signalled,
    deferred: Deferred,
    /// The time of the last look at all processes for deferred signals.
    looked_at: Option<Instant>,
    /// Children that read our standard output or error. They see end of file when we close our end.
    our_readers: Vec<Pid>,
    /// When we closed our end, after all other children had exited.
    released_at: Option<Instant>,
    /// Processes that were reported as killed.
    killed: Signalled,
    has_said_hidden: bool,
    has_said_failed: bool,
}

impl Delivery {
    /// Prepares for signals to `command`.
    pub(crate) fn new(command: Pid, older_children: Vec<Pid>) -> Self {
        Self {
            command: Some(command),
            older_children,
            signalled: Signalled::default(),
            stopped: Signalled::default(),
            signalled_group: None,
            seen_roots: Signalled::default(),
            deferred: Deferred::default(),
            looked_at: None,
            our_readers: Vec::new(),
            released_at: None,
            killed: Signalled::default(),
            has_said_hidden: false,
            has_said_failed: false,
        }
    }

    /// Forgets a child that was reaped, since its PID may be reused.
    pub(crate) fn forget(&mut self, pid: Pid) {
        self.command = self.command.filter(|&command| command != pid);
        self.older_children.retain(|&child| child != pid);
        self.our_readers.retain(|&child| child != pid);
        self.signalled.remove(pid);
        self.stopped.remove(pid);
        self.seen_roots.remove(pid);
    }

    /// Whether a signal waits for the end of a pipe reader's input or of a parent.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// All processes. Logs once that /proc hides some, or that the look failed.
    ///
    /// # Errors
    /// As [`process::snapshot`].
    fn look(&mut self) -> nix::Result<Tree> {
        let result = process::snapshot();
        let all = self.account_for(result)?;
        self.say_hidden(&all);
        self.signalled.retain_in(&all);
        self.killed.retain_in(&all);
        Ok(Tree::new(all))
    }

    fn say_hidden(&mut self, processes: &[Process]) {
        let hides = processes.iter().any(|process| process.state == State::Hidden);
        if hides && !mem::replace(&mut self.has_said_hidden, true) {
            log::write(Message::Hidden);
        }
    }

    /// Logs the first look that failed. A missing /proc was reported at the start.
    fn account_for<T>(&mut self, result: nix::Result<T>) -> nix::Result<T> {
        if let Err(errno) = &result
            && *errno != Errno::ENOENT
            && !mem::replace(&mut self.has_said_failed, true)
        {
            log::write(Message::NoLook(*errno));
        }
        result
    }

    /// Forwards a signal, and logs it.
    pub(crate) fn forward(&mut self, signum: Signum, recipient: Recipient, care: Care) {
        let reach = match recipient {
            Recipient::Process(pid) => return self.forward_to_process(signum, pid, care),
            Recipient::Group(group) => return self.forward_to_group(signum, group, care),
            Recipient::RestOfGroup(group) => {
                self.say_recipients(signum, |process| process.group == group);
                // ESRCH or EPERM: no member is left, or none that we may signal.
                let _ = signals::send_to_group(group, signum);
                return log::write(Message::Forwarded(signum));
            }
            Recipient::Nobody => return log::write(Message::Forwarded(signum)),
            Recipient::Tree => Reach::Everyone,
            Recipient::Unsignalled(scope) => Reach::Drain(scope),
        };
        self.walk(signum, reach, care);
        self.release_our_readers();
        log::write(Message::Forwarded(signum));
    }

    fn forward_to_process(&mut self, signum: Signum, pid: Pid, care: Care) {
        if care.records || log::traces() {
            let look = self.look();
            if let Ok(tree) = look {
                let processes = tree.processes().iter().filter(|process| process.pid == pid);
                say_each(signum, processes.clone());
                if care.records {
                    processes.for_each(|process| self.record(process, Some(&tree)));
                }
            }
        }
        say_outcome(signum, pid, signals::send_to_process(pid, signum));
    }

    /// Records that a process receives the drain's signal. If it is a nested init, so do the processes that
    /// it forwards the signal to.
    fn record(&mut self, process: &Process, tree: Option<&Tree>) {
        self.signalled.insert(process);
        if process.state == State::Stopped {
            self.stopped.insert(process);
        }
        let has_children = tree.is_none_or(|tree| !tree.children(process.pid).is_empty());
        if has_children && process::is_nested_init(process) {
            let look = if tree.is_none() { self.look().ok() } else { None };
            if let Some(tree) = tree.or(look.as_ref()) {
                tree.reached_by_init(process.pid).for_each(|reached| self.signalled.insert(reached));
            }
        }
    }

    fn forward_to_group(&mut self, signum: Signum, group: Pid, care: Care) {
        let members =
            if care == Care::NONE && !log::traces() { Err(Errno::ENOENT) } else { self.members(group) };
        if care.spares_readers
            && let Ok((members, tree)) = &members
            && self.has_reader(members, tree)
        {
            self.walk(signum, Reach::Group(group), care);
            return log::write(Message::Forwarded(signum));
        }
        // Before the signal is sent, since a nested init may exit as soon as it has forwarded it.
        match &members {
            Ok((members, tree)) if care.records => {
                for process in members {
                    self.record(process, Some(tree));
                }
            }
            Err(_) if care.records => self.signalled_group = Some(group),
            Ok(_) | Err(_) => {}
        }
        let result = signals::send_to_group(group, signum);
        let is_reached = result.is_ok();
        if let Ok((members, _)) = &members {
            say_each(signum, members);
        }
        say_outcome(signum, group, result);
        if is_reached {
            say_excluded(signum, group);
        }
    }

    /// The members of a process group, and all processes.
    fn members(&mut self, group: Pid) -> nix::Result<(Vec<Process>, Tree)> {
        let tree = self.look()?;
        let mut members = process::list_with_capacity(tree.processes().len())?;
        let is_member = |process: &&Process| process.group == group && process.state != State::Zombie;
        members.extend(tree.processes().iter().filter(is_member));
        Ok((members, tree))
    }

    /// Sends the drain's signal to processes that have not received it, and deferred signals that are due.
    /// Returns whether the next round should come soon: if new processes were found, or if a process waits
    /// for an end of file.
    pub(crate) fn round(&mut self, drain: Option<(Signum, Scope)>) -> bool {
        let before = self.seen_roots.len();
        if let Some((signum, scope)) = drain {
            self.walk(
                signum,
                Reach::Drain(scope),
                Care { records: true, spares_readers: signum.asks_to_end() },
            );
        } else {
            self.find_our_readers();
        }
        self.send_deferred(drain.is_some_and(|(_, scope)| scope == Scope::Everyone));
        self.release_our_readers();
        let awaits_end = self.has_deferred() || (!self.our_readers.is_empty() && self.released_at.is_none());
        awaits_end || self.seen_roots.len() > before
    }

    /// Kills every descendant, and logs the name of each.
    pub(crate) fn kill_all(&mut self) {
        self.walk(Signum::KILL, Reach::Deadline, Care::NONE);
    }

    /// Closes our end of the pipes that our readers read, if the command has exited and no other children are
    /// left. The readers see end of file then.
    fn release_our_readers(&mut self) {
        if self.command.is_some() || self.released_at.is_some() || self.our_readers.is_empty() {
            return;
        }
        let is_other = |&child: &Pid| {
            !self.our_readers.contains(&child)
                && Process::read_child(child).is_ok_and(|process| process.state != State::Zombie)
        };
        if process::children().is_ok_and(|children| !children.iter().any(is_other)) {
            // A reader that hides its input may read either.
            let inputs = || self.our_readers.iter().map(|&reader| pipes::likely_input_of(reader));
            for (descriptor, pipe) in
                [libc::STDOUT_FILENO, libc::STDERR_FILENO].into_iter().zip(Ends::ours().outputs)
            {
                if pipe.is_some() && inputs().any(|input| input.is_none() || input == pipe) {
                    fds::replace_by_null(descriptor);
                }
            }
            self.released_at = Some(Instant::now());
        }
    }

    /// Continues stopped recipients by SIGCONT. It fails only if no recipient is left.
    pub(crate) fn wake(&mut self, recipient: Recipient) {
        match recipient {
            Recipient::Process(pid) if children::is_stopped(pid) => {
                let _ = signals::send_to_process(pid, Signum::CONT);
            }
            Recipient::Group(leader) if children::is_stopped(leader) => {
                let _ = signals::send_to_group(leader, Signum::CONT);
            }
            // A drain continues each process as it signals it.
            Recipient::Process(_)
            | Recipient::Group(_)
            | Recipient::RestOfGroup(_)
            | Recipient::Unsignalled(_)
            | Recipient::Nobody => {}
            Recipient::Tree => match self.look().and_then(|tree| family(&tree, Depth::DownToInits)) {
                Ok(family) => {
                    for process in living(&family).filter(|process| process.state == State::Stopped) {
                        let _ = target_of(process).and_then(|target| target.send(Signum::CONT));
                    }
                }
                Err(_) if self.command.is_some_and(children::is_stopped) => {
                    self.send_without_look(Signum::CONT, Reach::Everyone, Care::NONE);
                }
                Err(_) => {}
            },
        }
    }

    /// Logs the processes that are still running, at the highest verbosity.
    pub(crate) fn say_remaining(&mut self) {
        if log::traces() {
            let family = self.look().and_then(|tree| family(&tree, Depth::All)).unwrap_or_default();
            for process in living(&family) {
                log::write_process(process.pid, &process.name, ProcessMessage::LeftBehind);
            }
        }
    }

    /// Logs the recipients before a signal is sent, at the highest verbosity.
    fn say_recipients(&mut self, signum: Signum, is_recipient: impl Fn(&Process) -> bool) {
        if log::traces()
            && let Ok(tree) = self.look()
        {
            say_each(signum, tree.processes().iter().filter(|process| is_recipient(process)));
        }
    }
}

/// Logs the recipients of a signal, at the highest verbosity.
fn say_each<'a>(signum: Signum, processes: impl IntoIterator<Item = &'a Process>) {
    for process in processes.into_iter().filter(|process| process.state != State::Zombie) {
        log::write_process(process.pid, &process.name, ProcessMessage::Gets(signum));
    }
}

fn say_outcome(signum: Signum, pid: Pid, result: nix::Result<()>) {
    match result {
        // ESRCH: it has exited, and its SIGCHLD is pending.
        Ok(()) | Err(Errno::ESRCH) => log::write(Message::Forwarded(signum)),
        // EPERM: it runs as another user, and we lack CAP_KILL.
        Err(errno) => log::write(Message::NotDelivered { signum, pid, errno }),
    }
}

/// Our descendants.
///
/// # Errors
/// ENOMEM.
fn family(tree: &Tree, depth: Depth) -> nix::Result<Vec<Process>> {
    tree.descendants(getpid(), |_| false, depth, process::is_nested_init).ok_or(Errno::ENOMEM)
}

fn living(family: &[Process]) -> impl Iterator<Item = &Process> {
    family.iter().filter(|process| process.state != State::Zombie)
}

/// Logs the members of a group that we may not signal. kill(2) succeeds if it reaches one member. Only the
/// command is checked for signals other than SIGTERM and the like, since thousands of them may arrive.
fn say_excluded(signum: Signum, group: Pid) {
    if capabilities::may_signal_everybody() {
        return;
    }
    let check = |pid| {
        if let Err(errno @ Errno::EPERM) = signals::try_process(pid) {
            log::write(Message::NotDelivered { signum, pid, errno });
        }
    };
    // The command leads the group. It is checked also if /proc does not show it (hidepid).
    check(group);
    if signum.asks_to_end() {
        process::members_of_group(group).filter(|&pid| pid != group).for_each(check);
    }
}

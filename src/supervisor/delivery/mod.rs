//! Sends signals to the command, its group or all descendants.
//!
//! A process or a group takes one kill(2). Descendants are found in /proc and signalled one by one
//! (`walk`). Nothing that can block is read before a signal is sent: see `process`.

use std::collections::BTreeMap;
use std::mem;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::log::{self, Message, ProcessMessage};
use crate::policy::{Care, Recipient, Scope};
use crate::process::descendants::Tree;
use crate::process::{self, Process, State};
use crate::signal::Signum;
use crate::sys::{capabilities, children, signals};

mod deferred;
mod our_output;
mod target;
mod walk;

use deferred::Deferred;
use walk::Reach;

/// The recipients of signals, and the signals that they have received.
#[derive(Clone)]
pub(crate) struct Delivery {
    /// The command's PID until it is reaped; the PID may be reused afterwards.
    command: Option<Pid>,
    /// The helpers that have not been reaped.
    helpers: Vec<Pid>,
    /// The hook that has not been reaped. Only its timeout ends it.
    hook: Option<Pid>,
    records: BTreeMap<Pid, Record>,
    /// The group that has received the drain's signal while its members could not be read.
    signalled_group: Option<Pid>,
    deferred: Vec<Deferred>,
    /// Children from before our exec that have not been reaped.
    older_children: Vec<Pid>,
    /// When we closed our end of the pipes that children read.
    our_end_closed_at: Option<Instant>,
    has_logged_hidden: bool,
    has_logged_failure: bool,
}

/// The treatment of a process so far.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// The start of the process, since another one may reuse its PID.
    started: u64,
    /// Whether it has received the drain's signal, or the signal is deferred.
    is_signalled: bool,
    /// Whether it is a child that a round of the drain has seen.
    is_seen: bool,
    /// Whether it was reported as killed.
    is_killed: bool,
}

impl Delivery {
    /// Prepares for signals to `command` and its helpers.
    pub(crate) fn new(command: Pid, helpers: Vec<Pid>, older_children: Vec<Pid>) -> Self {
        Self {
            command: Some(command),
            helpers,
            hook: None,
            records: BTreeMap::new(),
            signalled_group: None,
            deferred: Vec::new(),
            older_children,
            our_end_closed_at: None,
            has_logged_hidden: false,
            has_logged_failure: false,
        }
    }

    /// Forgets a child that was reaped, since its PID may be reused.
    pub(crate) fn forget(&mut self, pid: Pid) {
        self.command = self.command.filter(|&command| command != pid);
        self.helpers.retain(|&helper| helper != pid);
        self.hook = self.hook.filter(|&hook| hook != pid);
        self.older_children.retain(|&child| child != pid);
        self.records.remove(&pid);
    }

    /// Spares this child and its descendants from all signals.
    pub(crate) fn spare(&mut self, hook: Pid) {
        self.hook = Some(hook);
    }

    /// Whether a signal waits for an end of file or for a process to exit.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    fn record_of(&mut self, process: &Process) -> &mut Record {
        let record = self.records.entry(process.pid).or_default();
        if record.started != process.started {
            *record = Record { started: process.started, ..Record::default() };
        }
        record
    }

    /// Whether a process has received the drain's signal, or the signal is deferred.
    fn is_signalled(&self, process: &Process) -> bool {
        let is_same = |record: &Record| record.started == process.started && record.is_signalled;
        self.records.get(&process.pid).is_some_and(is_same) || self.signalled_group == Some(process.group)
    }

    /// Records that a process receives the drain's signal. If it is a nested init, so do the processes that
    /// it forwards the signal to.
    fn record_signalled(&mut self, process: &Process) {
        let nested = process::is_nested_init(process).then(|| self.look());
        if let Some(Ok(tree)) = nested {
            for reached in tree.reached_by_init(process.pid) {
                self.record_of(reached).is_signalled = true;
            }
        }
        self.record_of(process).is_signalled = true;
    }

    /// All processes at this moment. Records of processes that are gone are removed.
    fn look(&mut self) -> nix::Result<Tree> {
        let all = self.log_gaps(process::snapshot())?;
        let starts: BTreeMap<Pid, u64> = all.iter().map(|process| (process.pid, process.started)).collect();
        self.records.retain(|pid, record| starts.get(pid) == Some(&record.started));
        Ok(Tree::new(all))
    }

    /// Logs once that /proc hides processes, and once that a look failed. A missing /proc was reported at
    /// the start.
    fn log_gaps(&mut self, look: nix::Result<Vec<Process>>) -> nix::Result<Vec<Process>> {
        let is_hidden = |process: &Process| process.state == State::Hidden;
        let is_partial = look.as_ref().is_ok_and(|processes| processes.iter().any(is_hidden));
        if is_partial && !mem::replace(&mut self.has_logged_hidden, true) {
            log::write(Message::Hidden);
        }
        let failure = look.as_ref().err().filter(|&&errno| errno != Errno::ENOENT);
        if let Some(&errno) = failure.filter(|_| !mem::replace(&mut self.has_logged_failure, true)) {
            log::write(Message::NoLook(errno));
        }
        look
    }

    /// Forwards a signal, and logs it. Returns the number of processes that were signalled one by one.
    pub(crate) fn forward(&mut self, signum: Signum, recipient: Recipient, care: Care) -> usize {
        let (pid, result) = match recipient {
            Recipient::Nobody => {
                log::write(Message::Forwarded(signum));
                return 0;
            }
            Recipient::Tree => return self.forward_to_each(signum, Reach::Everyone, care),
            Recipient::Unsignalled(scope) => return self.forward_to_each(signum, Reach::Drain(scope), care),
            Recipient::Process(pid) => {
                self.record_recipients(signum, recipient, Care { spares_readers: false, ..care });
                (pid, signals::send_to_process(pid, signum))
            }
            Recipient::Group(group) => {
                let has_reader = self.record_recipients(signum, recipient, care);
                if has_reader {
                    return self.forward_to_each(signum, Reach::Group(group), care);
                }
                (group, signals::send_to_group(group, signum))
            }
            Recipient::RestOfGroup(group) => {
                self.record_recipients(signum, recipient, Care::NONE);
                // No member may be left, or none that we may signal.
                (group, signals::send_to_group(group, signum).or(Ok(())))
            }
        };
        match result {
            // ESRCH: it has exited, and its SIGCHLD is pending.
            Ok(()) | Err(Errno::ESRCH) => log::write(Message::Forwarded(signum)),
            // EPERM: it runs as another user, and we lack CAP_KILL.
            Err(errno) => log::write(Message::NotDelivered { signum, pid, errno }),
        }
        if result.is_ok() && recipient == Recipient::Group(pid) {
            log_excluded(signum, pid);
        }
        0
    }

    /// Records and logs the recipients of a call of kill(2). It comes before the call, since a nested init
    /// may exit as soon as it has forwarded the signal. Returns true, and does neither, if one recipient is a
    /// pipe reader that is to be spared.
    fn record_recipients(&mut self, signum: Signum, recipient: Recipient, care: Care) -> bool {
        if care == Care::NONE && !log::traces() {
            return false;
        }
        let Ok(tree) = self.look() else {
            match recipient {
                Recipient::Group(group) if care.records => self.signalled_group = Some(group),
                _ => {}
            }
            return false;
        };
        let is_member =
            |process: &&Process| process.is_alive() && recipient.includes(process.pid, process.group);
        let members: Vec<Process> = tree.processes().iter().filter(is_member).copied().collect();
        if care.spares_readers && !self.readers(&members, false).is_empty() {
            return true;
        }
        for process in members {
            if care.records {
                self.record_signalled(&process);
            }
            log::write_process(process.pid, &process.name, ProcessMessage::Gets(signum));
        }
        false
    }

    fn forward_to_each(&mut self, signum: Signum, reach: Reach, care: Care) -> usize {
        let count = self.walk(signum, reach, care);
        self.close_our_end_if_alone();
        log::write(Message::Forwarded(signum));
        count
    }

    /// Sends the drain's signal to processes that have not received it, and deferred signals that are due.
    /// Returns the number of processes found. If there are any, the next round should come soon.
    pub(crate) fn round(&mut self, drain: Option<(Signum, Scope)>) -> usize {
        let found = drain.map_or(0, |(signum, scope)| {
            let care = Care { records: true, spares_readers: signum.asks_to_end() };
            self.walk(signum, Reach::Drain(scope), care)
        });
        self.send_deferred(drain.is_some_and(|(_, scope)| scope == Scope::Everyone));
        self.close_our_end_if_alone();
        found
    }

    /// Kills every descendant, and logs the name of each.
    pub(crate) fn kill_all(&mut self) {
        self.walk(Signum::KILL, Reach::Deadline, Care::NONE);
    }

    /// Resumes stopped recipients. SIGCONT fails only if no recipient is left.
    pub(crate) fn resume(&mut self, recipient: Recipient) {
        match recipient {
            Recipient::Process(pid) if children::is_stopped(pid) => {
                let _ = signals::send_to_process(pid, Signum::CONT);
            }
            Recipient::Group(leader) if children::is_stopped(leader) => {
                let _ = signals::send_to_group(leader, Signum::CONT);
            }
            Recipient::Tree => match self.candidates(Reach::Everyone) {
                Ok(family) => family.iter().for_each(target::resume),
                Err(_) if self.command.is_some_and(children::is_stopped) => {
                    self.send_without_look(Signum::CONT, Reach::Everyone, Care::NONE);
                }
                Err(_) => {}
            },
            // A drain resumes each process as it signals it.
            Recipient::Process(_)
            | Recipient::Group(_)
            | Recipient::RestOfGroup(_)
            | Recipient::Unsignalled(_)
            | Recipient::Nobody => {}
        }
    }

    /// Logs the processes that are still running, at the highest verbosity.
    pub(crate) fn log_remaining(&mut self) {
        let tree = log::traces().then(|| self.look());
        if let Some(Ok(tree)) = tree {
            for process in tree.descendants(getpid(), |_| false, |_| false) {
                log::write_process(process.pid, &process.name, ProcessMessage::LeftBehind);
            }
        }
    }
}

/// The number of members of a group that receives a signal by one call, as far as /proc shows them.
pub(super) fn members(recipient: Recipient) -> usize {
    let is_alive =
        |pid: &Pid| Process::read(*pid).is_ok_and(|process| process.is_none_or(|found| found.is_alive()));
    let living = |leader| process::members_of_group(leader).filter(is_alive);
    match recipient {
        Recipient::Group(leader) => living(leader).count(),
        Recipient::RestOfGroup(leader) => living(leader).filter(|&pid| pid != leader).count(),
        Recipient::Process(_) | Recipient::Tree | Recipient::Unsignalled(_) | Recipient::Nobody => 0,
    }
}

/// Logs the members of a group that we may not signal. kill(2) succeeds if it reaches one member. Only the
/// command is checked for signals other than SIGTERM and the like, since thousands of them may arrive.
fn log_excluded(signum: Signum, group: Pid) {
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

//! What is to be known of a process?

use std::fs;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::handling::{Credentials, Handling, Reaction};
use super::inits::{Known, Ours, Rules, Variables, command_line, name};
use super::relations::Groups;
use crate::options::config::Source;
use crate::options::forward::Forward;
use crate::options::personality::{Isolation, Personality, last_part};
use crate::process::descendants::Tree;
use crate::process::{self, Process, State};
use crate::signal::Signum;
use crate::sys::arguments::Arg;
use crate::sys::procfs;

/// A process, and what is known of it.
pub(crate) struct Facts {
    pub(crate) process: Process,
    handling: Option<Handling>,
    /// If it has children, so that there is somebody to forward a signal to.
    pub(crate) rules: Option<Rules>,
    /// Do other inits leave to it what descends from it?
    counts_as_ours: bool,
    /// May it have reaped a child, if it may be an init?
    pub(super) may_have_reaped: bool,
    /// Is nobody's parent in another group of the session, so that TSTP, TTIN and TTOU stop nobody in this one (setpgid(2))?
    in_orphaned_group: bool,
    /// Its command line; its name, where it has none.
    pub(crate) command: Vec<Arg>,
    executable: Option<PathBuf>,
}

/// Fields of /proc/PID/stat by their numbers in proc_pid_stat(5): `tty_nr` and `cminflt`.
const TERMINAL: usize = 7;
const FAULTS_OF_CHILDREN: usize = 11;

impl Facts {
    /// `None` where it has ended.
    pub(super) fn read(process: Process, tree: &Tree, groups: &Groups, init: Pid) -> Option<Self> {
        let pid = process.pid;
        let may_be_an_init = pid == init || !tree.children(pid).is_empty();
        let mut rules = may_be_an_init.then(|| Rules::of(&process));
        if let Some(Rules::Ours(ours)) = &mut rules {
            let settings = &mut ours.config.settings;
            // Otherwise it would have given its terminal up.
            let leads_with_terminal = process.session == pid && field_of_stat(pid, TERMINAL) != Some(0);
            settings.keeps_terminal = settings.may_outlive_command() && leads_with_terminal;
        }
        let facts = Self {
            process,
            handling: Handling::read(pid),
            rules,
            counts_as_ours: may_be_an_init && process::is_nested_init(&process),
            // The children that it has reaped leave their page faults behind. A program that ran in the process before may have
            // reaped some.
            may_have_reaped: may_be_an_init && field_of_stat(pid, FAULTS_OF_CHILDREN) != Some(0),
            executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
            in_orphaned_group: groups.is_orphaned(process.group),
            command: command_line(pid).unwrap_or_else(|| name(pid)),
        };
        // What was read is of this process only if it is still there.
        (process.is_still_there() == Ok(true)).then_some(facts)
    }

    /// What it does with a signal.
    pub(crate) fn reaction(&self, signum: Signum) -> Reaction {
        // They act on the first process of a namespace if they come from outside of it; of ours, as we do, nobody does.
        if matches!(signum, Signum::KILL | Signum::STOP) && self.process.pid == Pid::from_raw(1) {
            return Reaction::Drops;
        }
        match self.handling.map_or(Reaction::Unknown, |handling| handling.reaction(signum)) {
            Reaction::Stops if self.in_orphaned_group && signum.suspends_a_job() => Reaction::DoesNothing,
            reaction => reaction,
        }
    }

    /// Would it act on the signal, also as PID 1?
    pub(crate) fn handles(&self, signum: Signum) -> bool {
        matches!(self.reaction(signum), Reaction::Catches | Reaction::Awaits | Reaction::Reads)
    }

    /// Has it the same executable or title as `other`, as a worker and its master?
    pub(crate) fn resembles(&self, other: &Self) -> bool {
        self.executable.is_some() && self.executable == other.executable || self.title() == other.title()
    }

    /// `nginx` of `/usr/sbin/nginx` and of `nginx: worker process`.
    fn title(&self) -> &[u8] {
        let first = self.command.first().map(|word| word.to_bytes()).unwrap_or_default();
        let first = first.split(|&byte| byte == b' ' || byte == b':').next().unwrap_or_default();
        last_part(first)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.process.state == State::Stopped
    }

    fn credentials(&self) -> Option<Credentials> {
        self.handling.and_then(|handling| handling.credentials)
    }

    /// The numbers of the user and the group that it runs as.
    pub(crate) fn user_and_group(&self) -> Option<(u32, u32)> {
        self.credentials().map(|credentials| credentials.user_and_group())
    }

    /// May this process send that one a signal? If in doubt it may.
    pub(crate) fn may_signal(&self, other: &Self, signum: Signum) -> bool {
        let in_session = signum == Signum::CONT && self.process.session == other.process.session;
        match (self.credentials(), other.credentials()) {
            (Some(ours), Some(theirs)) => in_session || ours.may_signal(&theirs),
            (None, _) | (_, None) => true,
        }
    }

    pub(crate) fn is_pid_1(&self) -> bool {
        self.handling.is_some_and(|handling| handling.is_pid_1)
    }

    pub(crate) fn ours(&self) -> Option<&Ours> {
        match &self.rules {
            Some(Rules::Ours(ours)) => Some(ours),
            Some(Rules::Unreadable(_) | Rules::Known(_) | Rules::Pausing | Rules::Shell | Rules::Unknown)
            | None => None,
        }
    }

    pub(crate) fn counts_as_ours(&self) -> bool {
        self.counts_as_ours
    }

    /// Are there variables of it that we may not see and that could change what it does?
    pub(crate) fn hides_variables(&self) -> bool {
        match &self.rules {
            Some(Rules::Ours(ours)) => ours.variables == Variables::Hidden,
            Some(Rules::Known(known)) => known.variables == Variables::Hidden,
            Some(Rules::Unreadable(_) | Rules::Pausing | Rules::Shell | Rules::Unknown) | None => false,
        }
    }

    /// Where its variables are hidden, its children tell whether one leads a session, as the command does in all modes but one.
    pub(super) fn infer_mode(&mut self, tree: &Tree) {
        let process = self.process;
        let share_its_session =
            tree.children(process.pid).iter().all(|child| child.session == process.session);
        if self.hides_variables()
            && share_its_session
            && let Some(Rules::Ours(ours)) = &mut self.rules
            && ours.config.forward_source == Source::Default
            && ours.config.settings.personality == Personality::DumbInit
        {
            ours.config.settings.forward = Forward::Child;
        }
    }

    pub(super) fn may_outlive_command(&self) -> bool {
        self.ours().is_some_and(|ours| ours.config.settings.may_outlive_command())
    }

    /// Does it put its command where this child is: at the head of a session, or of a group?
    pub(super) fn starts_as(&self, child: &Process) -> bool {
        match (self.ours().map(|ours| ours.config.settings.isolation()), self.known()) {
            (Some(Isolation::Session), _) => child.session == child.pid,
            (Some(Isolation::Group), _) | (None, Some(_)) => child.group == child.pid,
            (Some(Isolation::None), _) | (None, None) => true,
        }
    }

    pub(super) fn known(&self) -> Option<&Known> {
        match &self.rules {
            Some(Rules::Known(known)) => Some(known),
            Some(Rules::Unreadable(_) | Rules::Ours(_) | Rules::Pausing | Rules::Shell | Rules::Unknown)
            | None => None,
        }
    }
}

/// A number of /proc/PID/stat, by its place behind the name, the second field.
fn field_of_stat(pid: Pid, number: usize) -> Option<u64> {
    let mut buffer = [0; 1024];
    let text = procfs::read_of(pid, "stat", &mut buffer).ok()?;
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace();
    fields.nth(number.checked_sub(2)?)?.parse().ok()
}

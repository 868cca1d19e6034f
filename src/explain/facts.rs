//! Everything that is read about one process.

use std::fs;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::handling::{Effect, Handling};
use super::inits::{Init, Role, command_line, stat_field};
use crate::log::escape::Escaped;
use crate::options::personality::last_part;
use crate::process::{self, Process, State};
use crate::signal::Signum;
use crate::sys::arguments::Arg;

/// A process and everything that was read about it.
pub(super) struct Facts {
    pub(super) process: Process,
    pub(super) handling: Handling,
    pub(super) role: Role,
    /// Whether inits above leave its descendants to it.
    pub(super) is_nested_init: bool,
    /// Whether it has reaped a child with page faults (the field `cminflt` in /proc/PID/stat).
    pub(super) may_have_reaped: bool,
    /// Whether SIGTSTP, SIGTTIN and SIGTTOU stop no process in its group (setpgid(2)).
    is_group_orphaned: bool,
    pub(super) arguments: Vec<Arg>,
    executable: Option<PathBuf>,
}

impl Facts {
    /// `None` if the process has exited meanwhile.
    pub(super) fn read(process: Process, is_group_orphaned: bool, may_be_init: bool) -> Option<Self> {
        let pid = process.pid;
        let facts = Self {
            process,
            handling: Handling::read(pid),
            role: if may_be_init { Role::read(&process) } else { Role::Program },
            is_nested_init: may_be_init && process::is_nested_init(&process),
            may_have_reaped: may_be_init && stat_field(pid, 11) != Some(0),
            is_group_orphaned,
            arguments: command_line(pid),
            executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
        };
        (process.is_still_there() == Ok(true)).then_some(facts)
    }

    /// The effect of a signal on the process itself.
    pub(super) fn reaction(&self, signum: Signum) -> Effect {
        let is_our_pid_1 = self.process.pid == Pid::from_raw(1);
        match self.handling.reaction(signum) {
            // Only a process outside of the namespace can kill or stop its PID 1.
            _ if matches!(signum, Signum::KILL | Signum::STOP) && is_our_pid_1 => Effect::Discarded,
            Effect::Stops if self.is_group_orphaned && signum.suspends_a_job() => Effect::Nothing,
            reaction => reaction,
        }
    }

    pub(super) fn init(&self) -> Option<&Init> {
        if let Role::Init(init) = &self.role { Some(init) } else { None }
    }

    pub(super) fn is_shell(&self) -> bool {
        matches!(self.role, Role::Shell)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.process.state == State::Stopped
    }

    pub(super) fn hides_variables(&self) -> bool {
        self.init().is_some_and(|init| init.hides_variables)
    }

    pub(super) fn may_signal(&self, other: &Self, signum: Signum) -> bool {
        let is_same_session = self.process.session == other.process.session;
        signum == Signum::CONT && is_same_session || self.handling.may_signal(&other.handling)
    }

    /// Whether both have the same executable or title, as a master and its worker.
    pub(super) fn resembles(&self, other: &Self) -> bool {
        self.executable.is_some() && self.executable == other.executable || self.title() == other.title()
    }

    /// `nginx` of `/usr/sbin/nginx` and of `nginx: worker process`.
    fn title(&self) -> &[u8] {
        let first = self.arguments.first().map(|word| word.to_bytes()).unwrap_or_default();
        last_part(first.split(|&byte| byte == b' ' || byte == b':').next().unwrap_or_default())
    }

    /// The command line, or the name of a process without one.
    pub(super) fn line(&self) -> String {
        if self.arguments.is_empty() { self.process.name.to_string() } else { line_of(&self.arguments) }
    }

    pub(super) fn program(&self) -> String {
        let title = self.title();
        let name = if title.is_empty() { self.line() } else { Escaped(title).to_string() };
        cut(name.trim_start_matches('-'), LONGEST_NAME)
    }
}

/// Longer names are cut in a sentence.
pub(super) const LONGEST_NAME: usize = 40;

/// Arguments as one line of harmless text.
pub(super) fn line_of(arguments: &[Arg]) -> String {
    let words: Vec<String> = arguments.iter().map(|word| Escaped(word.to_bytes()).to_string()).collect();
    words.join(" ")
}

/// The line, or its beginning and `...` if it is too long.
pub(super) fn cut(line: &str, longest: usize) -> String {
    if line.chars().count() <= longest {
        return line.to_owned();
    }
    let beginning: String = line.chars().take(longest.saturating_sub(3)).collect();
    format!("{beginning}...")
}

//! Our environment, and the command's.
//!
//! The command gets every entry byte for byte, but for those that name our process and mean the command's,
//! and those that start programs beside it.

use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::io::Write;
use std::mem;

use nix::unistd::Pid;

use crate::signal::{Name, Signum};
use crate::sys::arguments::Arg;
use crate::sys::exec::Strings;
use crate::sys::signals;

/// The variables that start programs. An init below us would start them again, and a helper with an init in
/// its `#!` line would start itself without end.
const STARTING_PROGRAMS: [&str; 2] = ["DUMB_INIT_WITH", "DUMB_INIT_PRE_STOP"];

/// The variables that the hook gets.
pub(super) const FOR_HOOK: [&str; 2] = ["DUMB_INIT_SIGNAL", "DUMB_INIT_COMMAND_PID"];

/// The environment that we were started with, or that of our children.
pub(crate) struct Environment {
    entries: Vec<Arg>,
    is_ours: bool,
}

impl Environment {
    pub(crate) fn new(entries: Vec<Arg>) -> Self {
        Self { entries, is_ours: true }
    }

    /// The environment of all programs that we start.
    pub(crate) fn for_children(self) -> Self {
        let starts = |entry: &Arg| STARTING_PROGRAMS.iter().any(|name| value_of(entry, name).is_some());
        if !self.entries.iter().any(starts) {
            return self;
        }
        Self { entries: self.entries.into_iter().filter(|entry| !starts(entry)).collect(), is_ours: false }
    }

    /// The value of a variable, the first one if there are two (getenv(3)).
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|(_, value)| value)
    }

    /// The names that begin with `beginning`.
    pub(super) fn names_from(&self, beginning: &str) -> impl Iterator<Item = &'static [u8]> {
        let names =
            self.entries.iter().filter_map(|entry| entry.to_bytes().split(|&byte| byte == b'=').next());
        names.filter(move |name| name.starts_with(beginning.as_bytes()))
    }

    /// Prepares the environment of the command, in which entries that name the process `init` name the
    /// command's.
    pub(crate) fn for_command(&self, init: Pid) -> CommandEnvironment {
        let names_init =
            |value: &[u8]| std::str::from_utf8(value).is_ok_and(|value| value.parse() == Ok(init.as_raw()));
        let naming_init = |name| {
            self.find(name).filter(|(_, value)| names_init(value)).map(|(index, _)| Entry::new(name, index))
        };
        let listen_pid = naming_init(LISTEN_PID);
        // Without LISTEN_PID it has no meaning. It is the last one, since it may be removed.
        let pidfd_id = listen_pid.as_ref().and_then(|_| self.find(LISTEN_PIDFDID));
        let pidfd_id = pidfd_id.map(|(index, _)| Entry::new(LISTEN_PIDFDID, index));
        let entries: Vec<Entry> =
            [naming_init(WATCHDOG_PID), listen_pid, pidfd_id].into_iter().flatten().collect();
        CommandEnvironment { strings: None, entries }.prepared(self)
    }

    /// The environment of a helper or the hook.
    pub(crate) fn for_background(&self) -> CommandEnvironment {
        CommandEnvironment { strings: None, entries: Vec::new() }.prepared(self)
    }

    /// The environment of the hook, which learns the signal and the command's PID.
    pub(crate) fn for_hook(&self, signum: Signum, command: Pid) -> Self {
        let signal = Name(signum).to_string();
        let values = [signal.trim_start_matches("SIG").to_owned(), command.to_string()];
        let is_set = |entry: &Arg| FOR_HOOK.iter().any(|name| value_of(entry, name).is_some());
        // The hook runs once, and the strings live as long as the program.
        let leak = |text: String| CString::new(text).ok().map(|text| &*Box::leak(text.into_boxed_c_str()));
        let variables =
            FOR_HOOK.iter().zip(values).filter_map(|(name, value)| leak(format!("{name}={value}")));
        let others = self.entries.iter().copied().filter(|entry| !is_set(entry));
        Self { entries: others.chain(variables).collect(), is_ours: false }
    }

    /// The index and value of a variable, the first one if there are two.
    fn find(&self, name: &str) -> Option<(usize, &[u8])> {
        self.entries.iter().enumerate().find_map(|(index, entry)| Some((index, value_of(entry, name)?)))
    }
}

fn value_of(entry: &Arg, name: &str) -> Option<&'static [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// sd_listen_fds(3): the process for which the sockets are.
const LISTEN_PID: &str = "LISTEN_PID";
/// The same by the inode of its pidfd (systemd 259).
const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
/// sd_watchdog_enabled(3): the process that sends keep-alives.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

pub(crate) struct CommandEnvironment {
    /// `None` if it is the same as ours.
    strings: Option<Strings>,
    entries: Vec<Entry>,
}

/// An entry that names a process.
struct Entry {
    name: &'static str,
    index: usize,
    /// Room for name and value. It is leaked, since the environment has it until the exec.
    text: &'static mut [u8],
}

impl CommandEnvironment {
    /// Copies the pointers if the strings differ from those that we were started with.
    fn prepared(self, environment: &Environment) -> Self {
        let differs = !self.entries.is_empty() || !environment.is_ours;
        Self { strings: differs.then(|| Strings::new(environment.entries.iter().copied())), ..self }
    }

    /// Has the entries name the process `command`. Allocates nothing.
    pub(crate) fn with_command(&mut self, command: Pid) -> Option<&Strings> {
        let strings = self.strings.as_mut()?;
        for entry in &mut self.entries {
            if entry.name != LISTEN_PIDFDID {
                strings.replace(entry.index, entry.write(command));
            } else if let Ok(id) = signals::pidfd_id(command) {
                strings.replace(entry.index, entry.write(id));
            } else {
                // LISTEN_PID suffices.
                strings.remove(entry.index);
            }
        }
        Some(strings)
    }
}

impl Entry {
    fn new(name: &'static str, index: usize) -> Self {
        Self { name, index, text: Box::leak(Box::new([0; 64])) }
    }

    fn write(&mut self, value: impl Display) -> Arg {
        let text = mem::take(&mut self.text);
        // There is room for the longest number and a zero byte.
        let _ = write!(&mut *text, "{}={value}", self.name);
        CStr::from_bytes_until_nul(text).unwrap_or_default()
    }
}

//! Our environment, and the command's.
//!
//! The command gets every entry byte for byte, but for those that name our process and mean the command's.

use std::ffi::CStr;
use std::fmt::Display;
use std::io::Write;
use std::mem;

use nix::unistd::Pid;

use crate::sys::arguments::Arg;
use crate::sys::exec::Strings;
use crate::sys::signals;

/// The environment that we were started with.
pub(crate) struct Environment(Vec<Arg>);

impl Environment {
    pub(crate) fn new(entries: Vec<Arg>) -> Self {
        Self(entries)
    }

    /// The value of a variable, the first one if there are two (getenv(3)).
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|(_, value)| value)
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
        let strings = (!entries.is_empty()).then(|| Strings::new(self.0.iter().copied()));
        CommandEnvironment { strings, entries }
    }

    /// The index and value of a variable, the first one if there are two.
    fn find(&self, name: &str) -> Option<(usize, &[u8])> {
        let value = |entry: &Arg| entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
        self.0.iter().enumerate().find_map(|(index, entry)| Some((index, value(entry)?)))
    }
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

//! What stands in the environment, and what does the command find there?
//!
//! The command gets every entry as it came, byte for byte, but for those that name the process that
//! was started: that is us, and the command would take them for another's.

use std::ffi::CStr;
use std::fmt::Display;
use std::io::Write;

use nix::unistd::{Pid, getpid};

use crate::sys::arguments::Arg;
use crate::sys::exec::Vector;
use crate::sys::signals;

/// The environment that we were started with.
pub(crate) struct Environment(Vec<Arg>);

impl Environment {
    pub(crate) fn new(entries: Vec<Arg>) -> Self {
        Self(entries)
    }

    /// The value of a variable, the first one where it stands there twice (getenv(3)).
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find_map(|entry| value_of(entry, name))
    }

    /// Finds the entries that name the process `own`.
    pub(crate) fn entries_that_name(&self, own: Pid) -> Named {
        let is_own =
            |value: &[u8]| str::from_utf8(value).is_ok_and(|value| value.parse() == Ok(own.as_raw()));
        let naming = |name| self.find(name).filter(|&(_, value)| is_own(value)).map(|(index, _)| index);
        let listen_pid = naming(LISTEN_PID);
        // Without the other it is nobody's.
        let listen_pidfd_id = listen_pid.and_then(|_| self.find(LISTEN_PIDFDID)).map(|(index, _)| index);
        Named { listen_pid, listen_pidfd_id, watchdog_pid: naming(WATCHDOG_PID) }
    }

    /// Where a variable stands, the first one if it stands there twice, and its value.
    fn find(&self, name: &str) -> Option<(usize, &[u8])> {
        self.0.iter().enumerate().find_map(|(index, entry)| Some((index, value_of(entry, name)?)))
    }

    /// All of it, as exec wants it.
    pub(crate) fn vector(&self) -> Vector<'_> {
        Vector::new(self.0.iter().copied())
    }
}

/// sd_listen_fds(3): the sockets that are passed on are for this process.
const LISTEN_PID: &str = "LISTEN_PID";
/// The same, by the number of its pidfd, which is never another's (systemd 259).
const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
/// sd_watchdog_enabled(3): this process has to send keep-alives.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The entries that name us, by their places in the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    listen_pid: Option<usize>,
    listen_pidfd_id: Option<usize>,
    watchdog_pid: Option<usize>,
}

impl Named {
    /// Calls `run` with the environment in which they name the calling process. Allocates nothing.
    pub(crate) fn with_own<R>(self, vector: &mut Vector<'_>, run: impl FnOnce(&Vector<'_>) -> R) -> R {
        if self == Self::default() {
            return run(vector);
        }
        let own = getpid();
        let [listen_pid, watchdog_pid] = [LISTEN_PID, WATCHDOG_PID].map(|name| Entry::new(name, own));
        vector.with_other(self.listen_pid, listen_pid.text(), |vector| {
            vector.with_other(self.watchdog_pid, watchdog_pid.text(), |vector| {
                let Some(index) = self.listen_pidfd_id else { return run(vector) };
                match signals::pidfd_id(own) {
                    Ok(id) => {
                        let entry = Entry::new(LISTEN_PIDFDID, id);
                        vector.with_other(Some(index), entry.text(), |vector| run(vector))
                    }
                    // Without it, the other is enough.
                    Err(_) => vector.without(index, |vector| run(vector)),
                }
            })
        })
    }
}

/// An entry `LISTEN_PID=7`, made on the stack.
struct Entry([u8; 64]);

impl Entry {
    fn new(name: &str, value: impl Display) -> Self {
        let mut bytes = [0; 64];
        // It has room for the longest number and a zero byte.
        let _ = write!(bytes.as_mut_slice(), "{name}={value}");
        Self(bytes)
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

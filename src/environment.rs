//! What stands in the environment, and what does the command find there?
//!
//! The command gets every entry as it came, byte for byte, with one exception: `LISTEN_PID`.

use std::ffi::CStr;
use std::io::Write;

use nix::unistd::Pid;

use crate::sys::arguments::Word;
use crate::sys::exec::Vector;

/// The environment that we were started with.
pub(crate) struct Environment(Vec<Word>);

impl Environment {
    pub(crate) fn new(entries: Vec<Word>) -> Self {
        Self(entries)
    }

    /// The value of a variable, the first one where it stands there twice (getenv(3)).
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find_map(|entry| value_of(entry, name))
    }

    /// The entries of all variables whose names begin so, and nothing else.
    pub(crate) fn beginning_with(&self, prefix: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry.to_bytes().starts_with(prefix.as_bytes())).copied().collect())
    }

    /// Where `LISTEN_PID` stands, if it names us. Whoever passes sockets on that way (systemd, `sd_listen_fds(3)`) names
    /// the process that it starts, and that is us; the command would find another's PID there and leave the sockets
    /// alone.
    pub(crate) fn listen_pid_index(&self, own: Pid) -> Option<usize> {
        let value = |(index, entry): (usize, &Word)| Some((index, value_of(entry, LISTEN_PID)?));
        let (index, named) = self.0.iter().enumerate().find_map(value)?;
        (str::from_utf8(named).ok()?.parse() == Ok(own.as_raw())).then_some(index)
    }

    /// All of it, as exec wants it.
    pub(crate) fn vector(&self) -> Vector<'_> {
        Vector::new(self.0.iter().copied())
    }
}

const LISTEN_PID: &str = "LISTEN_PID";

/// An entry `LISTEN_PID=7`, made on the stack.
pub(crate) struct ListenPid([u8; 32]);

impl ListenPid {
    pub(crate) fn new(pid: Pid) -> Self {
        let mut bytes = [0; 32];
        // It has room for the longest number and a zero byte.
        let _ = write!(bytes.as_mut_slice(), "{LISTEN_PID}={pid}");
        Self(bytes)
    }

    pub(crate) fn entry(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

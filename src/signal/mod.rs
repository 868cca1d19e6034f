//! Which number is a signal?
//!
//! A [`Signum`] is one of the kernel's 64 signals, standard and real-time alike. The typed enums of the libraries end
//! at 31, and a command may well be stopped with SIGRTMIN+3 (systemd in a container), so nothing here uses them.
//! Numbers are the kernel's: 32 and 33 are plain signals to it, although C libraries keep them for themselves.

use std::fmt;
use std::num::NonZeroU8;

pub(crate) mod exit_status;
mod names;
pub(crate) mod rewrite;
mod table;

pub(crate) use names::Name;
pub(crate) use table::PerSignal;

/// A signal that exists: 1 to 64 (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Signum(NonZeroU8);

impl Signum {
    pub(crate) const HUP: Self = Self::constant(libc::SIGHUP);
    pub(crate) const KILL: Self = Self::constant(libc::SIGKILL);
    pub(crate) const PIPE: Self = Self::constant(libc::SIGPIPE);
    pub(crate) const TERM: Self = Self::constant(libc::SIGTERM);
    pub(crate) const CHLD: Self = Self::constant(libc::SIGCHLD);
    pub(crate) const CONT: Self = Self::constant(libc::SIGCONT);
    pub(crate) const STOP: Self = Self::constant(libc::SIGSTOP);
    pub(crate) const INT: Self = Self::constant(libc::SIGINT);
    pub(crate) const QUIT: Self = Self::constant(libc::SIGQUIT);
    pub(crate) const TRAP: Self = Self::constant(libc::SIGTRAP);
    pub(crate) const TSTP: Self = Self::constant(libc::SIGTSTP);
    pub(crate) const TTIN: Self = Self::constant(libc::SIGTTIN);
    pub(crate) const TTOU: Self = Self::constant(libc::SIGTTOU);
    pub(crate) const URG: Self = Self::constant(libc::SIGURG);
    pub(crate) const XFSZ: Self = Self::constant(libc::SIGXFSZ);
    pub(crate) const WINCH: Self = Self::constant(libc::SIGWINCH);

    /// The last standard signal; real-time ones, which queue instead of coalescing, come after it.
    const LAST_STANDARD: i32 = 31;
    /// The last signal there is on Linux (`_NSIG`).
    const LAST: i32 = 64;

    /// The signal with this number, or `None` where there is none.
    pub(crate) const fn new(number: i32) -> Option<Self> {
        if number < 1 || number > Self::LAST {
            return None;
        }
        // In range as just tested.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        match NonZeroU8::new(number as u8) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Evaluated by the compiler alone: a wrong number is a build that fails.
    #[allow(clippy::panic)] // The compiler's panic, as just said.
    const fn constant(number: i32) -> Self {
        match Self::new(number) {
            Some(signum) => signum,
            None => panic!("no such signal"),
        }
    }

    /// Is it one of the two between the standard and the real-time signals, which C libraries keep for themselves?
    pub(crate) fn is_nameless(self) -> bool {
        matches!(self.number(), 32 | 33)
    }

    /// The number as system calls want it.
    pub(crate) fn raw(self) -> i32 {
        i32::from(self.0.get())
    }

    /// The number as it goes into an exit status or an index.
    pub(crate) fn number(self) -> u8 {
        self.0.get()
    }

    /// Every signal.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=Self::LAST).filter_map(Self::new)
    }

    /// The standard signals, 1 to 31.
    pub(crate) fn standard() -> impl Iterator<Item = Self> {
        (1..=Self::LAST_STANDARD).filter_map(Self::new)
    }

    /// Is it one of the three by which a terminal suspends a job (`tty_ioctl(4)`, setpgid(2))?
    pub(crate) fn suspends_a_job(self) -> bool {
        matches!(self, Self::TSTP | Self::TTIN | Self::TTOU)
    }

    /// Does it stop a process, unless that catches it? (No process can catch SIGSTOP.)
    pub(crate) fn stops(self) -> bool {
        self == Self::STOP || self.suspends_a_job()
    }

    /// Is it one by which people, terminals and container engines ask a program to end?
    pub(crate) fn asks_to_end(self) -> bool {
        self == Self::HUP || self.shuts_down()
    }

    /// Is it one by which all of a container is asked to end? A SIGHUP may well mean the configuration alone.
    pub(crate) fn shuts_down(self) -> bool {
        matches!(self, Self::INT | Self::QUIT | Self::TERM)
    }

    /// Can it come to us and go on to others? KILL and STOP act before we see them (signal(7)), and CHLD is our own.
    pub(crate) fn can_be_forwarded(self) -> bool {
        !matches!(self, Self::KILL | Self::STOP | Self::CHLD)
    }

    /// What a process goes on with that has asked to be traced, by whom nobody knows, and is about to act on this signal. What
    /// is meant for a debugger, the stop that it waits for and the trap that follows an exec under trace (ptrace(2)), is
    /// dropped, so that the process goes on as if it had never asked.
    pub(crate) fn without_a_tracer(self) -> Option<Self> {
        (!matches!(self, Self::STOP | Self::TRAP)).then_some(self)
    }

    /// What the kernel sends to the whole foreground group for a key: Ctrl-C, Ctrl-\ and Ctrl-Z.
    pub(crate) const KEYS: [Self; 3] = [Self::INT, Self::QUIT, Self::TSTP];

    /// Is it one of [`Self::KEYS`]?
    pub(crate) fn comes_from_a_key(self) -> bool {
        Self::KEYS.contains(&self)
    }
}

impl fmt::Display for Signum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signum_accepts_1_to_64_only() {
        for number in 1..=64 {
            assert_eq!(Signum::new(number).map(Signum::raw), Some(number));
        }
        for number in [i32::MIN, -15, -1, 0, 65, 128, 257, i32::MAX] {
            assert_eq!(Signum::new(number), None, "{number}");
        }
    }
}

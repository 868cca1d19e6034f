//! The kernel's 64 signals, standard and real-time.
//!
//! nix's `Signal` ends at 31, but a container may be stopped with SIGRTMIN+3 (systemd). 32 and 33 are plain
//! signals to the kernel, although C libraries reserve them.

use std::fmt;
use std::num::NonZeroU8;

pub(crate) mod exit_status;
mod names;
pub(crate) mod rewrite;

pub(crate) use names::Name;

/// The number of a signal: 1 to 64 (signal(7)).
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

    const LAST_STANDARD: i32 = 31;
    /// `_NSIG` on Linux.
    const LAST: i32 = 64;

    /// The signal with this number. `None` if there is none.
    pub(crate) const fn new(number: i32) -> Option<Self> {
        if number < 1 || number > Self::LAST {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        match NonZeroU8::new(number as u8) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    #[allow(clippy::panic, reason = "it is evaluated by the compiler")]
    const fn constant(number: i32) -> Self {
        match Self::new(number) {
            Some(signum) => signum,
            None => panic!("no such signal"),
        }
    }

    /// Whether C libraries reserve it: 32 and 33.
    pub(crate) fn is_nameless(self) -> bool {
        matches!(self.number(), 32 | 33)
    }

    pub(crate) fn raw(self) -> i32 {
        i32::from(self.0.get())
    }

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

    /// Whether a terminal suspends a job with it (`tty_ioctl(4)`, setpgid(2)).
    pub(crate) fn suspends_a_job(self) -> bool {
        matches!(self, Self::TSTP | Self::TTIN | Self::TTOU)
    }

    /// Whether it stops a process by default.
    pub(crate) fn stops(self) -> bool {
        self == Self::STOP || self.suspends_a_job()
    }

    /// Whether it requests the exit of a program.
    pub(crate) fn asks_to_end(self) -> bool {
        self == Self::HUP || self.shuts_down()
    }

    /// Whether the kernel sends it for a fault of the process itself, or the process for its own abort.
    pub(crate) fn reports_a_fault(self) -> bool {
        use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ};
        [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ]
            .contains(&self.raw())
    }

    /// Whether it requests the exit of a container. SIGHUP may mean a new configuration.
    pub(crate) fn shuts_down(self) -> bool {
        matches!(self, Self::INT | Self::QUIT | Self::TERM)
    }

    /// Whether it can be received and forwarded. KILL and STOP cannot be received (signal(7)), and CHLD is
    /// ours.
    pub(crate) fn can_be_forwarded(self) -> bool {
        !matches!(self, Self::KILL | Self::STOP | Self::CHLD)
    }

    /// The signal with which a child in a trace stop is resumed. STOP, and the TRAP of an exec, are for a
    /// tracer (ptrace(2)). They are dropped, as if the child had not requested a tracer.
    pub(crate) fn without_a_tracer(self) -> Option<Self> {
        (!matches!(self, Self::STOP | Self::TRAP)).then_some(self)
    }

    /// The signals that a terminal sends to its foreground group for Ctrl-C, Ctrl-\ and Ctrl-Z.
    pub(crate) const KEYS: [Self; 3] = [Self::INT, Self::QUIT, Self::TSTP];

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

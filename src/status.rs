//! Why 143?
//!
//! A process ends by itself, with a status, or by a signal. An init has only a status of its own to report either, so
//! it reports 128 + n for signal n, as shells do.

use crate::signal::Signum;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// It called exit(3) with this status.
    Exited(u8),
    /// This signal ended it.
    Killed(Signum),
}

impl ExitStatus {
    /// The program did what it was asked for.
    pub(crate) const SUCCESS: Self = Self::Exited(0);
    /// The command line is wrong, or the command's process could not be set up (fork, setsid).
    pub(crate) const FAILURE: Self = Self::Exited(1);
    /// The command's process could not execute it.
    pub(crate) const NOT_EXECUTED: Self = Self::Exited(2);

    /// The status to exit with so as to report this one.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signum) => 128 | signum.number(), // 128 + n, since n < 128.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_by_signal_is_reported_as_128_and_its_number() {
        assert_eq!(ExitStatus::Killed(Signum::TERM).code(), 143);
        assert_eq!(Signum::new(64).map(|last| ExitStatus::Killed(last).code()), Some(192));
        assert_eq!(ExitStatus::Exited(143).code(), 143);
    }
}

//! What does a process do with a signal?
//!
//! From what it has prepared for to what becomes of a signal, as signal(7) and the kernel have it. `reading` finds out what
//! that is; here is no input or output.

use crate::signal::Signum;

mod reading;

/// Some of the 64 signals, signal n being bit n - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    pub(crate) fn has(self, signum: Signum) -> bool {
        self.0.wrapping_shr(u32::from(signum.number()).wrapping_sub(1)) & 1 == 1
    }

    fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn only_in(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }
}

/// How a process has prepared for signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handling {
    caught: SignalSet,
    ignored: SignalSet,
    /// What every thread blocks.
    blocked: SignalSet,
    /// What the first thread blocks, by which the kernel decides whether an ignored signal is thrown away (`sig_ignored()`).
    blocked_by_first: SignalSet,
    /// What a thread waits for, by sigwait(3) and the like.
    awaited: SignalSet,
    /// A thread may wait for signals, and we aren't let see whether and for which.
    may_await: bool,
    /// What can be read from a signalfd(2); all of it where we aren't let see whether there is one.
    readable: Readable,
    /// Is it PID 1 of a PID namespace, which only gets what it has a handler for (pid_namespaces(7))?
    pub(crate) is_pid_1: bool,
    pub(crate) credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readable {
    Known(SignalSet),
    Hidden,
}

impl Default for Readable {
    fn default() -> Self {
        Self::Known(SignalSet::default())
    }
}

/// Whom a process may signal, and who may signal it (kill(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    real: u32,
    effective: u32,
    saved: u32,
    group: u32,
    signals_everybody: bool,
}

impl Credentials {
    /// The numbers of the user and the group that it runs as.
    pub(crate) fn user_and_group(&self) -> (u32, u32) {
        (self.real, self.group)
    }

    /// May a process with these signal one with those?
    pub(crate) fn may_signal(&self, other: &Self) -> bool {
        let is_theirs = |user| user == other.real || user == other.saved;
        self.signals_everybody || is_theirs(self.effective) || is_theirs(self.real)
    }
}

/// What a process does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// It has a handler.
    Catches,
    /// It waits for it in sigwait(3).
    Awaits,
    /// It gets it from a signalfd(2).
    Reads,
    Ignores,
    /// It stays pending for as long as that is so.
    Blocks,
    /// It is blocked; whether it is read we aren't let see.
    BlocksOrReads,
    /// The default action ends it.
    Dies,
    /// The default action stops it.
    Stops,
    /// It goes on, if it is stopped, whatever else it does.
    GoesOn,
    /// The default action is none.
    DoesNothing,
    /// It is PID 1 of a PID namespace and has no handler for it.
    Drops,
    /// Either it waits for it or it dies of it: we aren't let see which.
    AwaitsOrDies,
    /// We aren't let see anything.
    Unknown,
}

/// What the kernel does with a signal for which there is no handler.
fn by_default(signum: Signum) -> Reaction {
    match signum {
        Signum::STOP | Signum::TSTP | Signum::TTIN | Signum::TTOU => Reaction::Stops,
        Signum::CONT => Reaction::GoesOn,
        Signum::CHLD | Signum::URG | Signum::WINCH => Reaction::DoesNothing,
        _ => Reaction::Dies,
    }
}

impl Handling {
    /// What it does with a signal that reaches it. For KILL and STOP see `Facts::reaction`: it depends on who sends them.
    pub(crate) fn reaction(&self, signum: Signum) -> Reaction {
        let reaction = self.reaction_to_caught(signum);
        match reaction {
            // It lets a process go on even if that ignores or blocks it.
            Reaction::Ignores | Reaction::Blocks | Reaction::BlocksOrReads if signum == Signum::CONT => {
                Reaction::GoesOn
            }
            reaction => reaction,
        }
    }

    fn reaction_to_caught(&self, signum: Signum) -> Reaction {
        if matches!(signum, Signum::KILL | Signum::STOP) {
            return by_default(signum);
        }
        if self.awaited.has(signum) {
            return Reaction::Awaits;
        }
        // What is blocked is kept, even where it is ignored.
        if !self.blocked_by_first.has(signum) && self.ignored.has(signum) {
            return Reaction::Ignores;
        }
        if self.blocked.has(signum) {
            return match self.readable {
                Readable::Known(set) if set.has(signum) => Reaction::Reads,
                Readable::Known(_) => Reaction::Blocks,
                Readable::Hidden => Reaction::BlocksOrReads,
            };
        }
        if self.caught.has(signum) {
            return Reaction::Catches;
        }
        if self.ignored.has(signum) {
            return Reaction::Ignores;
        }
        match (self.is_pid_1, self.may_await) {
            (true, true) => Reaction::Unknown,
            (true, false) => Reaction::Drops,
            (false, true) if by_default(signum) == Reaction::Dies => Reaction::AwaitsOrDies,
            (false, true | false) => by_default(signum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn set(numbers: &[i32]) -> SignalSet {
        SignalSet(numbers.iter().fold(0, |set, number| set | 1 << (number - 1)))
    }

    #[test]
    fn what_becomes_of_a_signal_is_decided_as_the_kernel_does() {
        let nothing = Handling::default();
        let term = set(&[libc::SIGTERM]);
        let pid_1 = Handling { is_pid_1: true, ..nothing };
        let blocks = Handling { blocked: term, blocked_by_first: term, ..nothing };
        for (handling, expected) in [
            (nothing, Reaction::Dies),
            (Handling { caught: term, ..nothing }, Reaction::Catches),
            (Handling { caught: term, ..pid_1 }, Reaction::Catches),
            (Handling { ignored: term, ..nothing }, Reaction::Ignores),
            (pid_1, Reaction::Drops),
            (blocks, Reaction::Blocks),
            (Handling { ignored: term, ..blocks }, Reaction::Blocks),
            // Another thread doesn't block it.
            (Handling { blocked_by_first: term, caught: term, ..nothing }, Reaction::Catches),
            (Handling { blocked_by_first: term, ignored: term, ..nothing }, Reaction::Ignores),
            (Handling { readable: Readable::Known(term), ..blocks }, Reaction::Reads),
            (Handling { readable: Readable::Hidden, ..blocks }, Reaction::BlocksOrReads),
            (Handling { awaited: term, ..nothing }, Reaction::Awaits),
            (Handling { awaited: term, ..pid_1 }, Reaction::Awaits),
            (Handling { may_await: true, ..nothing }, Reaction::AwaitsOrDies),
            (Handling { may_await: true, ..pid_1 }, Reaction::Unknown),
            (Handling { may_await: true, caught: term, ..nothing }, Reaction::Catches),
        ] {
            assert_eq!(handling.reaction(Signum::TERM), expected, "{handling:?}");
        }
        let may_await = Handling { may_await: true, ..nothing };
        for (signum, expected) in [
            (Signum::WINCH, Reaction::DoesNothing),
            (Signum::CHLD, Reaction::DoesNothing),
            (Signum::CONT, Reaction::GoesOn),
            (Signum::TSTP, Reaction::Stops),
            (Signum::STOP, Reaction::Stops),
        ] {
            assert_eq!(nothing.reaction(signum), expected, "{signum}");
            assert_eq!(may_await.reaction(signum), expected, "{signum}");
        }
        assert_eq!(nothing.reaction(Signum::new(64).unwrap()), Reaction::Dies);
        let all = SignalSet(u64::MAX);
        for handling in
            [Handling { caught: all, ..nothing }, Handling { blocked: all, blocked_by_first: all, ..nothing }]
        {
            assert_eq!(handling.reaction(Signum::KILL), Reaction::Dies);
        }
        for handling in [
            Handling { ignored: all, ..nothing },
            Handling { blocked: all, blocked_by_first: all, ..nothing },
        ] {
            assert_eq!(handling.reaction(Signum::CONT), Reaction::GoesOn);
        }
    }

    #[test]
    fn who_is_somebody_else_needs_a_capability_to_signal() {
        let user = |user| Credentials {
            real: user,
            effective: user,
            saved: user,
            group: 0,
            signals_everybody: false,
        };
        assert!(user(7).may_signal(&user(7)) && !user(7).may_signal(&user(8)));
        assert!(Credentials { effective: 8, ..user(7) }.may_signal(&user(8)));
        // It has become another, but began as this one.
        assert!(user(7).may_signal(&Credentials { effective: 0, ..user(7) }));
        assert!(Credentials { signals_everybody: true, ..user(7) }.may_signal(&user(8)));
    }
}

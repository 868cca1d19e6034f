//! For how long is a signal held, and which are held now?
//!
//! `--delay`: a signal waits for its time to come, for a second one of its kind, or for the end of the command.

use std::time::Instant;

use super::SignalSource;
use crate::signal::Signum;

/// A signal that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// `None` where its time never comes.
    pub(super) until: Option<Instant>,
    pub(super) via: SignalSource,
}

/// Those that are held, each of them once.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldSignals(Vec<(Signum, Held)>);

impl HeldSignals {
    /// Holds a signal, unless it is held already: then both go on as one.
    pub(super) fn hold(&mut self, signum: Signum, held: Held) -> bool {
        let is_new = self.place(signum).is_none();
        if is_new {
            self.0.push((signum, held));
        }
        is_new
    }

    /// Lets go of a signal, if it is held.
    pub(super) fn take(&mut self, signum: Signum) -> Option<Held> {
        self.take_if(signum, |_| true)
    }

    /// Lets go of a signal, if it is held and that is so.
    pub(super) fn take_if(&mut self, signum: Signum, is_so: impl Fn(&Held) -> bool) -> Option<Held> {
        let place = self.place(signum)?;
        self.0.get(place).is_some_and(|(_, held)| is_so(held)).then(|| self.0.swap_remove(place).1)
    }

    /// Is this one held?
    #[cfg(test)]
    pub(super) fn has(&self, signum: Signum) -> bool {
        self.place(signum).is_some()
    }

    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|(_, held)| held.until).min()
    }

    fn place(&self, signum: Signum) -> Option<usize> {
        self.0.iter().position(|&(other, _)| other == signum)
    }
}

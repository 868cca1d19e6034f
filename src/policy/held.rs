//! For how long is a signal held, and which are held now?
//!
//! `--delay`: a signal waits for its time to come, for a second one of its kind, or for the end of the command.

use std::time::{Duration, Instant};

use super::Via;
use crate::duration::Delay;
use crate::signal::{PerSignal, Signum};

/// For how long each signal is held.
#[derive(Clone, Debug)]
pub(crate) struct Delays(Vec<Delay>);

impl Delays {
    /// Of two for the same signal the last one counts.
    pub(crate) fn new(delays: &[Delay]) -> Self {
        Self(delays.to_vec())
    }

    /// As many signals can be held at the same time.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, signum: Signum) -> Option<Duration> {
        self.0.iter().rev().find(|delay| delay.signum == signum).map(|delay| delay.duration)
    }
}

/// A signal that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// `None` where its time never comes.
    pub(super) until: Option<Instant>,
    pub(super) via: Via,
}

/// Those that are held.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldSignals(PerSignal<Held>);

impl HeldSignals {
    pub(super) const NONE: Self = Self(PerSignal::NONE);

    /// Holds a signal, unless it is held already: then both go on as one.
    pub(super) fn hold(&mut self, signum: Signum, held: Held) -> bool {
        let place = self.0.place(signum).filter(|place| place.is_none());
        place.map(|place| *place = Some(held)).is_some()
    }

    /// Lets go of a signal, if it is held.
    pub(super) fn take(&mut self, signum: Signum) -> Option<Held> {
        self.0.place(signum)?.take()
    }

    /// Lets go of a signal, if it is held and that is so.
    pub(super) fn take_if(&mut self, signum: Signum, is_so: impl Fn(&Held) -> bool) -> Option<Held> {
        self.0.place(signum)?.take_if(|held| is_so(held))
    }

    /// Is this one held?
    #[cfg(test)]
    pub(super) fn has(&self, signum: Signum) -> bool {
        self.0.get(signum).is_some()
    }

    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|held| held.until).min()
    }
}

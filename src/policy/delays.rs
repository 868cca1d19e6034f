//! Signals that `--delay` delays: until their time comes, until they are received again, or until the command
//! exits.

use std::time::Instant;

use super::SignalSource;
use crate::signal::Signum;

/// A delayed signal.
#[derive(Clone, Copy, Debug)]
struct Delayed {
    signum: Signum,
    source: SignalSource,
    /// `None` if its time is beyond the clock's range.
    until: Option<Instant>,
}

/// The delayed signals. Each signal is delayed once.
#[derive(Clone, Debug, Default)]
pub(super) struct DelayedSignals(Vec<Delayed>);

impl DelayedSignals {
    pub(super) fn contains(&self, signum: Signum) -> bool {
        self.0.iter().any(|delayed| delayed.signum == signum)
    }

    pub(super) fn signals(&self) -> impl Iterator<Item = Signum> {
        self.0.iter().map(|delayed| delayed.signum)
    }

    pub(super) fn insert(&mut self, signum: Signum, source: SignalSource, until: Option<Instant>) {
        self.0.push(Delayed { signum, source, until });
    }

    pub(super) fn remove(&mut self, signum: Signum) {
        self.0.retain(|delayed| delayed.signum != signum);
    }

    /// Removes and returns every signal, or every signal whose time has come by `now`. In the order of the
    /// signals' numbers.
    pub(super) fn take(&mut self, now: Option<Instant>) -> Vec<(Signum, SignalSource)> {
        let is_due =
            |delayed: &Delayed| now.is_none_or(|now| delayed.until.is_some_and(|until| until <= now));
        let mut due: Vec<Delayed> = self.0.iter().copied().filter(is_due).collect();
        self.0.retain(|delayed| !is_due(delayed));
        due.sort_by_key(|delayed| delayed.signum.raw());
        due.into_iter().map(|delayed| (delayed.signum, delayed.source)).collect()
    }

    /// The earliest time of a signal.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|delayed| delayed.until).min()
    }
}

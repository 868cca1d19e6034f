//! The shutdown: `--drain`, `--kill-after`, and rounds that look for remaining processes.

use std::time::{Duration, Instant};

use super::{Action, Deadline, Decision, Policy, Recipient, Scope, SignalSource};
use crate::options::settings::Limit;
use crate::signal::Signum;
use crate::signal::rewrite::Outcome;

/// The number of times that SIGKILL is sent, for processes that appear meanwhile. Processes that remain after
/// that hang in the kernel.
pub(super) const KILLS: u8 = 20;
pub(super) const KILL_GAP: Duration = Duration::from_millis(100);

/// A drain signals every remaining descendant after half of the time until the deadline, at the latest after
/// this time.
const LONGEST_FALLBACK: Duration = Duration::from_secs(30);

/// The time between two rounds, so that their cost does not grow with the number of exits. It doubles with
/// each round that finds nothing, up to the second value.
pub(super) const ROUND_GAP: Duration = Duration::from_millis(10);
pub(super) const LONGEST_GAP: Duration = Duration::from_millis(160);
/// The time until a round that no exit has caused. A parent that is not our child exits without a SIGCHLD for
/// us.
pub(super) const POLL: Duration = Duration::from_millis(500);

/// The state of a shutdown.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    is_draining: bool,
    /// Whether a signal has started the time of `--kill-after`.
    is_requested: bool,
    /// The time at which a drain signals every remaining descendant.
    pub(super) fallback_at: Option<Instant>,
    round_at: Option<Instant>,
    /// The time of the last round, or of the start of rounds.
    last_round: Option<Instant>,
    gap: Duration,
    pub(super) kill_at: Option<Instant>,
    /// The deadline that comes first.
    kill_by: Option<Deadline>,
    /// The deadline at which descendants were killed.
    pub(super) killed_at: Option<Deadline>,
    kills: u8,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            is_draining: false,
            is_requested: false,
            fallback_at: None,
            round_at: None,
            last_round: None,
            gap: ROUND_GAP,
            kill_at: None,
            kill_by: None,
            killed_at: None,
            kills: 0,
        }
    }
}

impl Shutdown {
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.fallback_at, self.round_at, self.kill_at].into_iter().flatten().min()
    }

    /// Schedules a round after `delay`, unless one is due before.
    pub(super) fn expect_round(&mut self, now: Instant, delay: Duration) {
        self.round_at = [self.round_at, now.checked_add(delay)].into_iter().flatten().min();
        self.last_round = self.last_round.or(Some(now));
    }

    /// Schedules a round after children were reaped: their children are ours now, and a pipe may have lost
    /// its last writer.
    pub(super) fn on_reaped(&mut self, now: Instant) {
        if let Some(last) = self.last_round.filter(|_| self.round_at.is_some()) {
            let elapsed = now.saturating_duration_since(last);
            self.expect_round(now, self.gap.saturating_sub(elapsed).max(Duration::from_millis(1)));
        }
    }

    /// Sets the deadline, unless it is earlier already.
    fn kill_after(&mut self, now: Instant, limit: Limit, deadline: fn(Duration) -> Deadline) {
        if let Limit::After(duration) = limit {
            // A time beyond the clock's range never comes.
            let at = now.checked_add(duration).filter(|&at| self.kill_at.is_none_or(|before| at < before));
            if at.is_some() {
                (self.kill_at, self.kill_by) = (at, Some(deadline(duration)));
            }
        }
        // Every process receives the signal before it is killed.
        if let (Some(fallback_at), Some(kill_at)) = (self.fallback_at, self.kill_at) {
            let half = kill_at.saturating_duration_since(now).checked_div(2).unwrap_or_default();
            self.fallback_at = now.checked_add(half).map(|half| half.min(fallback_at));
        }
    }
}

impl Policy {
    /// Signals the descendants whose parent we are, and schedules the rest of the drain.
    pub(super) fn start_drain(&mut self, limit: Limit, out: &mut Decision) {
        if self.shutdown.is_draining {
            return;
        }
        self.shutdown.is_draining = true;
        self.shutdown.kills = 0;
        if self.rewritten(Signum::TERM) != Outcome::Dropped {
            self.shutdown.fallback_at = out.now.checked_add(LONGEST_FALLBACK);
        }
        self.shutdown.kill_after(out.now, limit, Deadline::Drain);
        self.forward(Signum::TERM, SignalSource::Direct, Recipient::Unsignalled(Scope::Roots), out);
        self.shutdown.expect_round(out.now, POLL);
    }

    /// Starts the deadlines after a SIGTERM, SIGINT or SIGQUIT was forwarded.
    pub(super) fn on_shutdown(&mut self, out: &mut Decision) {
        if !self.shutdown.is_requested {
            self.shutdown.is_requested = true;
            self.shutdown.kill_after(out.now, self.settings.kill_after, Deadline::KillAfter);
        }
        if let Some(limit) = self.settings.drain.filter(|_| self.settings.linger) {
            self.start_drain(limit, out);
        }
    }

    /// Schedules rounds if a deferred signal waits for the exit of a process.
    pub(crate) fn expect_rounds(&mut self, now: Instant) {
        if self.shutdown.round_at.is_none() {
            self.shutdown.expect_round(now, POLL);
        }
    }

    /// Sets the time until the next round. `is_changing` is whether it should come soon.
    pub(crate) fn on_round(&mut self, is_changing: bool) {
        let doubled = self.shutdown.gap.saturating_mul(2).min(LONGEST_GAP);
        self.shutdown.gap = if is_changing { ROUND_GAP } else { doubled };
    }

    pub(super) fn on_deadline_of_shutdown(&mut self, out: &mut Decision) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= out.now);
        let is_killing = is_due(self.shutdown.kill_at);
        if is_due(self.shutdown.fallback_at) {
            self.shutdown.fallback_at = None;
            self.round(Scope::Everyone, out);
        } else if is_due(self.shutdown.round_at) {
            self.round(Scope::Roots, out);
        }
        if is_killing {
            self.kill(out);
        }
    }

    fn round(&mut self, scope: Scope, out: &mut Decision) {
        self.shutdown.last_round = Some(out.now);
        // Without a drain the next round is scheduled if a signal is deferred.
        self.shutdown.round_at = None;
        let drain = match self.rewritten(Signum::TERM) {
            Outcome::Becomes(to) if self.shutdown.is_draining => Some((to, scope)),
            Outcome::Becomes(_) | Outcome::Dropped => None,
        };
        if self.shutdown.is_draining || self.has_ended() {
            self.shutdown.expect_round(out.now, POLL);
        }
        out.push(Action::Round(drain));
    }

    /// Sends SIGKILL, after which no process needs another signal. Exits if it was sent often enough.
    fn kill(&mut self, out: &mut Decision) {
        (self.shutdown.round_at, self.shutdown.fallback_at) = (None, None);
        if self.shutdown.kills < KILLS {
            self.shutdown.kills = self.shutdown.kills.saturating_add(1);
            self.shutdown.kill_at = out.now.checked_add(KILL_GAP);
            self.shutdown.killed_at = self.shutdown.kill_by;
            out.push(Action::KillAll);
        } else {
            self.shutdown.kill_at = None;
            if let Some(status) = self.status {
                self.exit(status, out);
            }
        }
    }
}

//! The shutdown: `--drain`, `--kill-after`, and the rounds in which remaining processes are looked for.

use std::time::{Duration, Instant};

use super::{Action, Clock, Policy, Recipient, Scope, SignalSource};
use crate::options::settings::Limit;
use crate::signal::Signum;
use crate::signal::rewrite::Outcome;

/// How often, and how far apart, SIGKILL is repeated for processes that appear meanwhile. After that, the
/// remaining ones cannot be killed (they hang in the kernel), and the init exits.
pub(super) const KILL_AGAIN: u8 = 20;
pub(super) const KILL_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// After half of the time until the deadline, but at the latest after this time, a drain signals every
/// remaining descendant.
const PATIENCE_WITH_PARENTS: Duration = Duration::from_secs(30);

/// The time between two rounds, so that their cost does not grow with the number of deaths. It doubles with
/// each round that finds nothing, up to the second value.
pub(super) const ROUND_GAP: Duration = Duration::from_millis(10);
pub(super) const LONGEST_GAP: Duration = Duration::from_millis(160);
/// A parent that is no child of ours exits without a SIGCHLD for us, so a round comes at the latest after
/// this time.
pub(super) const POLL: Duration = Duration::from_millis(500);

impl Policy {
    /// Signals the roots: descendants whose parent we are.
    pub(super) fn start_drain(&mut self, clock: Clock<'_>, limit: Limit, actions: &mut Vec<Action>) {
        if self.state.draining {
            return;
        }
        self.state.draining = true;
        self.state.kills = 0;
        if self.outcome(Signum::TERM) != Outcome::Dropped {
            self.state.fallback_at = clock().checked_add(PATIENCE_WITH_PARENTS);
        }
        self.kill_at(clock, limit);
        self.forward(
            clock,
            Signum::TERM,
            SignalSource::Direct,
            Recipient::Unsignalled(Scope::Roots),
            actions,
        );
        self.expect_round(clock, POLL);
    }

    /// Schedules a round after `delay`, unless one is due before.
    pub(super) fn expect_round(&mut self, clock: Clock<'_>, delay: Duration) {
        let now = clock();
        let at = now.checked_add(delay);
        self.state.round_at = [self.state.round_at, at].into_iter().flatten().min();
        self.state.last_round = self.state.last_round.or(Some(now));
    }

    /// Schedules rounds, since a deferred signal waits for a process to exit.
    pub(crate) fn expect_rounds(&mut self, clock: Clock<'_>) {
        if self.state.round_at.is_none() {
            self.expect_round(clock, POLL);
        }
    }

    /// Schedules a round after children were reaped: their children are ours now, and a pipe may have lost
    /// its last writer.
    pub(super) fn on_reaped(&mut self, clock: Clock<'_>) {
        let Some(last) = self.state.last_round.filter(|_| self.state.round_at.is_some()) else { return };
        let elapsed = clock().saturating_duration_since(last);
        self.expect_round(clock, self.state.gap.saturating_sub(elapsed).max(Duration::from_millis(1)));
    }

    /// Sets the time until the next round. `found` is whether it should come soon.
    pub(crate) fn on_round(&mut self, found: bool) {
        self.state.gap = if found { ROUND_GAP } else { self.state.gap.saturating_mul(2).min(LONGEST_GAP) };
    }

    fn round(&mut self, clock: Clock<'_>, scope: Scope, actions: &mut Vec<Action>) {
        self.state.last_round = Some(clock());
        // Without a drain the next one is scheduled if it is needed.
        self.state.round_at = None;
        let drain = match (self.state.draining, self.outcome(Signum::TERM)) {
            (true, Outcome::Becomes(to)) => Some((to, scope)),
            (true, Outcome::Dropped) | (false, _) => None,
        };
        if self.state.draining || self.state.ended.is_some() {
            self.expect_round(clock, POLL);
        }
        actions.push(Action::Round(drain));
    }

    /// Sets the deadline, unless it is earlier already.
    fn kill_at(&mut self, clock: Clock<'_>, limit: Limit) {
        let at = match limit {
            Limit::Never => None,
            // A time beyond the clock's range never comes.
            Limit::After(duration) => clock().checked_add(duration),
        };
        self.state.kill_at = [self.state.kill_at, at].into_iter().flatten().min();
        // Every process receives the signal before it is killed.
        if let (Some(fallback_at), Some(kill_at)) = (self.state.fallback_at, self.state.kill_at) {
            let now = clock();
            let half = kill_at.saturating_duration_since(now).checked_div(2).unwrap_or_default();
            self.state.fallback_at = now.checked_add(half).map(|half| half.min(fallback_at));
        }
    }

    pub(super) fn on_time(&mut self, clock: Clock<'_>, actions: &mut Vec<Action>) {
        self.let_go(clock, actions);
        let now = clock();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.state.fallback_at) {
            self.state.fallback_at = None;
            self.round(clock, Scope::Everyone, actions);
        } else if is_due(self.state.round_at) {
            self.round(clock, Scope::Roots, actions);
        }
        if self.state.kill_at.is_none_or(|at| at > now) {
            return;
        }
        // All processes have received the signal by now.
        (self.state.round_at, self.state.fallback_at) = (None, None);
        if self.state.kills < KILL_AGAIN {
            self.state.kills = self.state.kills.saturating_add(1);
            self.state.kill_at = now.checked_add(KILL_AGAIN_AFTER);
            actions.push(Action::KillAll);
        } else {
            self.state.kill_at = None;
            if let Some(status) = self.state.ended {
                self.exit(status, actions);
            }
        }
    }

    /// Starts the deadlines after a SIGTERM, SIGINT or SIGQUIT was forwarded.
    pub(super) fn on_shutdown(&mut self, clock: Clock<'_>, actions: &mut Vec<Action>) {
        if !self.state.asked_to_end {
            self.state.asked_to_end = true;
            self.kill_at(clock, self.settings.kill_after);
        }
        if let Some(limit) = self.settings.drain
            && self.lingers()
        {
            self.start_drain(clock, limit, actions);
        }
    }
}

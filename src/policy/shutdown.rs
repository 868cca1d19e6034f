//! When does everybody have to be gone?
//!
//! `--drain` and `--kill-after`: who is asked to end and when, and what becomes of those who don't.

use std::time::Duration;

use super::{Action, Clock, Policy, Recipient, Via};
use crate::duration::Limit;
use crate::ledger::Helpers;
use crate::rewrite::Outcome;
use crate::signal::Signum;

/// After SIGKILL was sent to all that is left, it is sent again to what has turned up meanwhile, so often and so long
/// apart. Then whatever is left can't be killed (a process that hangs in the kernel), and is no reason to stay.
pub(super) const KILL_AGAIN: u8 = 20;
pub(super) const KILL_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Helpers may take half of the time until the deadline, but no longer than this, until they are asked to end, too.
const PATIENCE_WITH_HELPERS: Duration = Duration::from_secs(30);

impl Policy {
    /// Asks everybody to end who hasn't been asked yet.
    pub(super) fn start_drain(&mut self, clock: Clock<'_>, limit: Limit, actions: &mut Vec<Action>) {
        if self.state.draining.is_some() {
            return;
        }
        self.state.draining = Some(Helpers::Spared);
        self.state.kills = 0;
        if self.outcome(Signum::TERM) != Outcome::Dropped {
            self.state.helpers_until = clock().checked_add(PATIENCE_WITH_HELPERS);
        }
        self.kill_at(clock, limit);
        self.forward(clock, Signum::TERM, Via::Direct, Recipient::Untold, actions);
    }

    /// Asks those who have turned up since the drain began.
    pub(super) fn remind(&self, actions: &mut Vec<Action>) {
        if let (Some(helpers), Outcome::Becomes(to)) = (self.state.draining, self.outcome(Signum::TERM)) {
            actions.push(Action::Remind(to, helpers));
        }
    }

    /// Sets the deadline, unless it is earlier already.
    fn kill_at(&mut self, clock: Clock<'_>, limit: Limit) {
        let at = match limit {
            Limit::Never => None,
            // A time that no clock can tell never comes.
            Limit::After(duration) => clock().checked_add(duration),
        };
        self.state.kill_at = [self.state.kill_at, at].into_iter().flatten().min();
        // Nobody is to be killed who wasn't asked before.
        if let (Some(until), Some(kill_at)) = (self.state.helpers_until, self.state.kill_at) {
            let now = clock();
            let half = kill_at.saturating_duration_since(now).checked_div(2).unwrap_or_default();
            self.state.helpers_until = now.checked_add(half).map(|half| half.min(until));
        }
    }

    pub(super) fn on_time(&mut self, clock: Clock<'_>, actions: &mut Vec<Action>) {
        self.let_go(clock, actions);
        let now = clock();
        if self.state.helpers_until.is_some_and(|until| until <= now) {
            self.state.helpers_until = None;
            self.state.draining = Some(Helpers::Due);
            self.remind(actions);
        }
        if self.state.kill_at.is_none_or(|at| at > now) {
            return;
        }
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

    /// A signal was forwarded by which everybody is asked to end.
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

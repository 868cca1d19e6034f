//! What was asked for, as far as decisions depend on it?

use std::time::Duration;

use super::duration::Delay;
pub(crate) use super::duration::Limit;
pub(crate) use super::forward::Forward;
pub(crate) use super::personality::Isolation;
use super::personality::Personality;
use crate::signal::Signum;
use crate::signal::exit_status::ExitMap;
use crate::signal::rewrite::RewriteTable;

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) personality: Personality,
    /// Is each orphan that is reaped named?
    pub(crate) names_orphans: bool,
    pub(crate) forward: Forward,
    pub(crate) rewrites: RewriteTable,
    /// How long descendants may take to end after the command has, where they are waited for: `--drain`.
    pub(crate) drain: Option<Limit>,
    /// Is the end of the command not the end, but that of the last descendant: `--linger`?
    pub(crate) linger: bool,
    /// How long everybody may take to end after the first signal that shuts down: `--kill-after`.
    pub(crate) kill_after: Limit,
    pub(crate) delays: Delays,
    pub(crate) exit_map: ExitMap,
    /// Whether we stay the leader of our terminal's session. If the command led it, the kernel would send
    /// SIGHUP to the processes that a drain waits for as soon as the command exits (setsid(2), NOTES).
    pub(crate) keeps_terminal: bool,
}

impl Settings {
    /// Where the command's process is put.
    pub(crate) fn isolation(&self) -> Isolation {
        match self.personality.isolation(self.forward) {
            Isolation::Session if self.keeps_terminal => Isolation::Group,
            isolation => isolation,
        }
    }

    /// Whether the init may stay after the end of the command.
    pub(crate) fn may_outlive_command(&self) -> bool {
        self.drain.is_some() || self.linger
    }

    /// Does any of it reach beyond the command's process and its group?
    pub(crate) fn needs_descendants(&self) -> bool {
        self.may_outlive_command() || self.forward == Forward::Tree || self.kill_after != Limit::Never
    }
}

/// For how long each signal is held.
#[derive(Clone, Debug)]
pub(crate) struct Delays(Vec<Delay>);

impl Delays {
    /// Of two for the same signal the last one counts.
    pub(crate) fn new(delays: &[Delay]) -> Self {
        Self(delays.to_vec())
    }

    pub(crate) fn get(&self, signum: Signum) -> Option<Duration> {
        self.0.iter().rev().find(|delay| delay.signum == signum).map(|delay| delay.duration)
    }
}

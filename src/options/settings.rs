//! The settings that the policy depends on.

use std::time::Duration;

use super::duration::Delay;
pub(crate) use super::duration::Limit;
pub(crate) use super::forward::Forward;
pub(crate) use super::personality::Isolation;
use super::personality::Personality;
use crate::signal::Signum;
use crate::signal::exit_status::ExitMap;
use crate::signal::rewrite::RewriteTable;

/// The settings.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) personality: Personality,
    /// Whether to log each orphan that is reaped.
    pub(crate) names_orphans: bool,
    pub(crate) forward: Forward,
    pub(crate) rewrites: RewriteTable,
    /// `--drain`: the time for the remaining processes to exit.
    pub(crate) drain: Option<Limit>,
    /// `--linger`: whether to wait for all descendants.
    pub(crate) linger: bool,
    /// `--kill-after`: the time for all processes to exit after the first signal that shuts down.
    pub(crate) kill_after: Limit,
    pub(crate) delays: Delays,
    pub(crate) exit_map: ExitMap,
    /// Whether we stay the leader of our terminal's session. If the command led it, the kernel would send
    /// SIGHUP to the processes that a drain waits for as soon as the command exits (setsid(2), NOTES).
    pub(crate) keeps_terminal: bool,
}

/// The settings of dumb-init without options.
impl Default for Settings {
    fn default() -> Self {
        Self {
            personality: Personality::DumbInit,
            names_orphans: false,
            forward: Forward::Group,
            rewrites: RewriteTable::new(),
            drain: None,
            linger: false,
            kill_after: Limit::Never,
            delays: Delays::default(),
            exit_map: ExitMap::default(),
            keeps_terminal: false,
        }
    }
}

impl Settings {
    /// The isolation of the command's process.
    pub(crate) fn isolation(&self) -> Isolation {
        match self.personality.isolation(self.forward) {
            Isolation::Session if self.keeps_terminal => Isolation::Group,
            isolation => isolation,
        }
    }

    /// Whether the init may outlive the command.
    pub(crate) fn may_outlive_command(&self) -> bool {
        self.drain.is_some() || self.linger
    }

    /// Whether any setting affects processes outside of the command's group.
    pub(crate) fn needs_descendants(&self) -> bool {
        self.may_outlive_command() || self.forward == Forward::Tree || self.kill_after != Limit::Never
    }
}

/// `--delay`: the time that each signal is held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays(Vec<Delay>);

impl Delays {
    /// The last delay of a signal counts.
    pub(crate) fn new(delays: &[Delay]) -> Self {
        Self(delays.to_vec())
    }

    /// The number of signals that can be held at the same time.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, signum: Signum) -> Option<Duration> {
        self.0.iter().rev().find(|delay| delay.signum == signum).map(|delay| delay.duration)
    }
}

//! What was asked for, as far as decisions depend on it?

use super::{Delays, Forward};
use crate::options::duration::Limit;
use crate::options::personality::{CalledAs, Place};
use crate::options::value::Switch;
use crate::signal::exit_status::ExitMap;
use crate::signal::rewrite::RewriteTable;

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) called_as: CalledAs,
    /// Is each orphan that is reaped named?
    pub(crate) names_orphans: Switch,
    pub(crate) forward: Forward,
    pub(crate) rewrites: RewriteTable,
    /// How long descendants may take to end after the command has, where they are waited for: `--drain`.
    pub(crate) drain: Option<Limit>,
    /// Is the end of the command not the end, but that of the last descendant: `--linger`?
    pub(crate) linger: Switch,
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
    pub(crate) fn place(&self) -> Place {
        match self.called_as.place(self.forward) {
            Place::OwnSession if self.keeps_terminal => Place::OwnGroup,
            place => place,
        }
    }

    /// Whether the init may stay after the end of the command.
    pub(crate) fn may_outlive_command(&self) -> bool {
        self.drain.is_some() || self.linger == Switch::On
    }

    /// Does any of it reach beyond the command's process and its group?
    pub(crate) fn needs_descendants(&self) -> bool {
        self.may_outlive_command() || self.forward == Forward::Tree || self.kill_after != Limit::Never
    }
}

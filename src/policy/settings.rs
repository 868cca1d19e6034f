//! What was asked for, as far as decisions depend on it?

use super::{Delays, Forward};
use crate::duration::Limit;
use crate::rewrite::RewriteTable;
use crate::status::ExitMap;
use crate::value::Switch;

/// What was asked for.
#[derive(Clone)]
pub(crate) struct Settings {
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
}

impl Settings {
    /// Does any of it reach beyond the command's process and its group?
    pub(crate) fn needs_descendants(&self) -> bool {
        self.drain.is_some()
            || self.linger == Switch::On
            || self.forward == Forward::Tree
            || self.kill_after != Limit::Never
    }
}

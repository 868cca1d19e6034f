//! The result of reading the command line and the environment.

use super::forward::Forward;
use super::personality::Personality;
use super::settings::{Options, Settings};
pub(crate) use super::value::Source;
use crate::log::{Message, Verbosity};
use crate::signal::Signum;

/// How to run the command.
pub(crate) struct Config {
    pub(crate) verbosity: Verbosity,
    pub(crate) settings: Settings,
    pub(crate) forward_source: Source,
    pub(crate) rewrites_source: Source,
    pub(crate) parent_death_signal: Option<Signum>,
    /// Whether to adopt orphans although we are not PID 1.
    pub(crate) subreaper: bool,
    /// Effects of variables, which may come unseen from a base image.
    pub(crate) notes: Vec<Message>,
    /// Rewrites with text after the rule.
    pub(crate) rewrites_with_trailing_text: Vec<Vec<u8>>,
}

impl Config {
    pub(super) fn new(options: Options) -> Self {
        let settings = options.settings();
        // catatonit always adopts orphans.
        let subreaper = options.subreaper.value.unwrap_or(settings.personality == Personality::Catatonit);
        let mut notes = options.notes;
        notes.retain(|note| *note != Message::NotSetsidMode || settings.forward == Forward::Child);
        Self {
            verbosity: options.verbosity.value.unwrap_or(Verbosity::Quiet),
            forward_source: options.forward.source,
            rewrites_source: options.rewrites.source,
            parent_death_signal: options.parent_death_signal.value,
            subreaper: subreaper || settings.may_outlive_command() || settings.forward == Forward::Tree,
            notes,
            rewrites_with_trailing_text: options.rewrites_with_trailing_text,
            settings,
        }
    }
}

//! What would the settings be after a change?

use super::super::inits::{Edition, Ours};
use super::Position;
use crate::options::config::Source;
use crate::options::duration::Limit;
use crate::options::forward::Forward;
use crate::options::settings::Settings;
use crate::signal::Signum;

/// A change of settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remedy {
    pub(crate) forward: Option<Forward>,
    pub(crate) drain: Option<Limit>,
    /// A signal that is forwarded, although a rewrite drops it.
    pub(crate) forwarded: Option<Signum>,
}

impl Remedy {
    /// The settings of an init after the change. It is made by variables, which those below inherit and their options beat;
    /// the init that is asked about is to be helped in any case.
    pub(super) fn apply(self, ours: &Ours, position: Position) -> Settings {
        let mut settings = ours.config.settings.clone();
        let is_original = ours.edition == Edition::Original && position == Position::Inner;
        let is_fixed = matches!(ours.config.forward_source, Source::Option(_)) && position == Position::Inner;
        if !is_original {
            settings.forward = self.forward.filter(|_| !is_fixed).unwrap_or(settings.forward);
            settings.drain = settings.drain.or(self.drain);
        }
        if let (Some(signum), Position::Outer) = (self.forwarded, position) {
            settings.rewrites.forget(signum);
        }
        settings
    }

    /// Those of an init of ours in the place of another one.
    pub(super) fn of_ours_instead(self) -> Settings {
        Settings { forward: self.forward.unwrap_or(Forward::Group), drain: self.drain, ..Settings::default() }
    }
}

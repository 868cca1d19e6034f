//! What was asked for, all told?
//!
//! The command line beats the variables, and those beat the defaults. No variable but the ones read here changes
//! anything: all others are the command's.

use crate::cli::Options;
use crate::environment::Environment;
use crate::logging::{Line, Verbosity};
use crate::policy::Forward;
use crate::rewrite::RewriteTable;

/// How to run the command.
pub(crate) struct Config {
    pub(crate) forward: Forward,
    pub(crate) verbosity: Verbosity,
    pub(crate) rewrites: RewriteTable,
    /// What a variable has changed is said, since it may come unseen from a base image.
    pub(crate) notes: Vec<Line>,
}

impl Config {
    /// Puts it together.
    pub(crate) fn new(options: &Options, environment: &Environment) -> Self {
        let debug = environment.get("DUMB_INIT_DEBUG") == Some(b"1");
        let same_session = environment.get("DUMB_INIT_SETSID") == Some(b"0");
        let mut rewrites = RewriteTable::new();
        for rewrite in &options.rewrites {
            rewrites.set(*rewrite);
        }
        Self {
            forward: options.forward.unwrap_or(if same_session { Forward::Child } else { Forward::Group }),
            verbosity: options.verbosity.unwrap_or(if debug { Verbosity::Debug } else { Verbosity::Quiet }),
            rewrites,
            notes: [(debug, Line::DebugMode), (same_session, Line::NotSetsidMode)]
                .into_iter()
                .filter_map(|(set, line)| set.then_some(line))
                .collect(),
        }
    }
}

//! Functions for the fuzz targets, which compare them with glibc's.

use std::collections::BTreeMap;
use std::ffi::CStr;

use super::environment::Environment;
use super::forward::Forward;
use super::getopt::Reader;
use super::personality::Personality;
use super::table::{self, Effect};
use super::value::Value;
use super::{Invocation, UsageError, help};
use crate::log::Verbosity;
use crate::signal::Signum;
use crate::signal::rewrite::{Outcome, Rewrite, RewriteTable};

/// The options of a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// Each option as `--name` or `--name=value`.
    pub options: Vec<Vec<u8>>,
    /// The reason that no further option was read.
    pub end: End,
}

/// The reason that no further option was read.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The command follows.
    Command(Vec<&'static CStr>),
    /// The last option acts at once.
    AtOnce,
    /// The next option is wrong, as this message says.
    Error(Vec<u8>),
}

/// Reads options of dumb-init, after the name of the program. With `permutes`, they may follow words of the command.
#[must_use]
pub fn read_options(words: &[&'static CStr], permutes: bool) -> Reading {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    let mut reader = Reader::new(&table::DUMB_INIT, words, permutes);
    let mut options = Vec::new();
    loop {
        match reader.next_option() {
            Ok(Some((row, value))) => {
                let value = row.value_name.map(|_| [b"=", value].concat()).unwrap_or_default();
                options.push([row.long.unwrap_or_default().as_bytes(), &value].concat());
                if matches!(row.effect, Effect::Print(_)) {
                    return Reading { options, end: End::AtOnce };
                }
            }
            Ok(None) => return Reading { options, end: End::Command(reader.into_command()) },
            Err(text) => {
                let UsageError(text) = UsageError::new(program, &text);
                return Reading { options, end: End::Error(text) };
            }
        }
    }
}

/// The meaning of a command line, as far as the original has the same options.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Run a command.
    Run {
        /// Whether `-c` is given.
        single_child: bool,
        /// Whether `-v` is given.
        verbose: bool,
        /// The signal that becomes of each rewritten signal.
        rewrites: BTreeMap<i32, i32>,
        /// The command.
        command: Vec<&'static CStr>,
    },
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Something that the original cannot do.
    Other,
    /// Print this message.
    Error(Vec<u8>),
}

/// Reads a command line in an empty environment. `None` if it has the name of another init.
#[must_use]
pub fn parse(words: &[&'static CStr]) -> Option<Meaning> {
    let init = Personality::from_arg0(words.first().copied().unwrap_or_default());
    let invocation = super::parse_as(init, words, &Environment::new(Vec::new()));
    (init == Personality::DumbInit).then_some(match invocation {
        Ok(Invocation::Run(config, command)) => Meaning::Run {
            single_child: config.settings.forward == Forward::Child,
            verbose: config.verbosity != Verbosity::Quiet,
            rewrites: numbers(&config.settings.rewrites),
            command,
        },
        Ok(Invocation::Print { text, .. }) if text == help::version(init) => Meaning::Version,
        Ok(Invocation::Print { .. }) => Meaning::Help,
        Ok(Invocation::Explain(_) | Invocation::Pause(_)) => Meaning::Other,
        Err(UsageError(text)) => Meaning::Error(text),
    })
}

/// Reads the value of `-r` as two numbers.
#[must_use]
pub fn parse_rewrite(text: &[u8]) -> Option<(i32, i32)> {
    let mut table = RewriteTable::new();
    table.set(<Rewrite as Value>::parse(text)?);
    numbers(&table).into_iter().next()
}

fn numbers(table: &RewriteTable) -> BTreeMap<i32, i32> {
    let rules = Signum::all().filter_map(|from| Some((from.raw(), table.get(from)?)));
    rules
        .map(|(from, outcome)| match outcome {
            Outcome::Dropped => (from, 0),
            Outcome::Becomes(to) => (from, to.raw()),
        })
        .collect()
}

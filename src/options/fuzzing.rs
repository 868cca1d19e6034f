//! Functions for the fuzz targets, which compare them with glibc's.

use std::collections::BTreeMap;
use std::ffi::CStr;

use super::environment::Environment;
use super::getopt::Reader;
use super::personality::Personality;
use super::table::{self, Effect};
use super::value::{Forward, Value};
use super::{Invocation, UsageError};
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

/// Reads options after the name of the program. With `permutes`, they may follow words of the command.
#[must_use]
pub fn read_options(words: &[&'static CStr], permutes: bool) -> Reading {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    let mut reader = Reader::new(table::DUMB_INIT, words, permutes);
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

/// A command and its options, as far as the original has them.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether `-c` is given.
    pub single_child: bool,
    /// Whether `-v` is given.
    pub verbose: bool,
    /// The new signal, or 0, by the signal that is rewritten.
    pub rewrites: BTreeMap<i32, i32>,
    /// The command.
    pub command: Vec<&'static CStr>,
}

/// Reads a command line of dumb-init without variables. `Err` is the text that is printed. `None` if the
/// original cannot do this.
#[must_use]
pub fn parse(words: &[&'static CStr]) -> Option<Result<Run, Vec<u8>>> {
    match super::parse_as(Personality::DumbInit, words, &Environment::new(Vec::new())) {
        Ok(Invocation::Run(config, command)) => Some(Ok(Run {
            single_child: config.settings.forward == Forward::Child,
            verbose: config.verbosity != Verbosity::Quiet,
            rewrites: numbers(&config.settings.rewrites),
            command,
        })),
        Ok(Invocation::Print { text, .. }) => Some(Err(text.into())),
        Ok(Invocation::Explain(_) | Invocation::Pause(_)) => None,
        Err(UsageError(text)) => Some(Err(text)),
    }
}

/// Reads the value of `-r` as two numbers.
#[must_use]
pub fn parse_rewrite(text: &[u8]) -> Option<(i32, i32)> {
    let mut table = RewriteTable::default();
    table.set(<Rewrite as Value>::parse(text)?);
    numbers(&table).into_iter().next()
}

fn numbers(table: &RewriteTable) -> BTreeMap<i32, i32> {
    let number = |outcome| if let Outcome::Becomes(to) = outcome { to.raw() } else { 0 };
    Signum::all().filter_map(|from| Some((from.raw(), number(table.get(from)?)))).collect()
}

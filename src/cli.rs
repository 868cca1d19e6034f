//! What was typed?
//!
//! From the words of a command line to an [`Invocation`], or to the exact text of what is wrong with it. clap has the
//! table of the options, reads their values and lays out the help; `getopt` translates the original's dialect for it.
//! No input or output, and nothing is started.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::getopt::{self, Effect, End, Spec, Translation, Value};
use crate::logging::Verbosity;
use crate::policy::Forward;
use crate::rewrite::Rewrite;
use crate::sys::arguments::Word;

/// What a command line asks for.
pub(crate) enum Invocation<'a> {
    /// Run a command.
    Run(Options, &'a [Word]),
    /// Print this text, and nothing else.
    Print(String),
}

/// What the options of a command line say; `None` where they are silent.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) forward: Option<Forward>,
    pub(crate) verbosity: Option<Verbosity>,
    pub(crate) rewrites: Vec<Rewrite>,
}

/// The text of what is wrong, with its newline.
pub(crate) struct UsageError(pub(crate) Vec<u8>);

impl UsageError {
    fn new(program: &CStr, text: &[u8]) -> Self {
        Self([program.to_bytes(), b": ", text, b"\n"].concat())
    }

    fn no_command(program: &CStr) -> Self {
        let program = program.to_bytes();
        Self([b"Usage: ", program, b" [option] program [args]\nTry ", program, b" --help for full usage.\n"].concat())
    }

    fn bad_rewrite() -> Self {
        let lines = "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                     This option can be specified multiple times.\n\
                     Use --help for full usage.\n";
        Self(lines.into())
    }
}

const HELP: &str = "help";
const SINGLE_CHILD: &str = "single-child";
const REWRITE: &str = "rewrite";
const VERBOSE: &str = "verbose";
const VERSION: &str = "version";

/// The options. Their order is that in which an ambiguous abbreviation lists them.
fn table() -> Command {
    let flag = |name: &'static str, short: char, help: &'static str| {
        Arg::new(name).long(name).short(short).help(help).action(ArgAction::SetTrue)
    };
    Command::new("dumb-init")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(flag(HELP, 'h', "Print this text and exit").display_order(4))
        .arg(flag(SINGLE_CHILD, 'c', "Signal COMMAND's process alone; start no session").display_order(1))
        .arg(
            Arg::new(REWRITE)
                .long(REWRITE)
                .short('r')
                .value_name("s:r")
                .help("Forward signal s as r, or not at all where r is 0")
                .action(ArgAction::Append)
                .value_parser(value_parser!(OsString))
                .display_order(2),
        )
        .arg(flag(VERBOSE, 'v', "Say on stderr what is done").display_order(3))
        .arg(flag(VERSION, 'V', "Print the version and exit").display_order(5))
}

fn specs(table: &Command) -> Vec<Spec<'_>> {
    table
        .get_arguments()
        .filter_map(|arg| {
            Some(Spec {
                long: arg.get_long()?,
                short: arg.get_short(),
                value: if arg.get_action().takes_values() { Value::Required } else { Value::None },
                effect: if [HELP, VERSION].contains(&arg.get_id().as_str()) {
                    Effect::AtOnce
                } else {
                    Effect::AtTheEnd
                },
            })
        })
        .collect()
}

/// Reads a command line, the name of the program first.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(words: &[Word]) -> Result<Invocation<'_>, UsageError> {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    // Nothing to parse: what starts most containers is a command without options.
    let (options, command) = if words.first().is_some_and(|word| !word.to_bytes().starts_with(b"-")) {
        (Options::default(), words)
    } else {
        let mut table = table();
        let Translation { options, end } = getopt::translate(&specs(&table), words);
        let matches = table
            .try_get_matches_from_mut(options)
            // Not to be: getopt lets nothing through that the table doesn't have.
            .map_err(|error| UsageError::new(program, error.to_string().trim_end().as_bytes()))?;
        // A bad value stands before whatever ended the options.
        let options = read(&matches)?;
        match end {
            End::Command(index) => (options, words.get(index..).unwrap_or_default()),
            End::Error(error) => return Err(UsageError::new(program, &error.text())),
            End::AtOnce if matches.get_flag(HELP) => return Ok(Invocation::Print(help(table))),
            End::AtOnce => return Ok(Invocation::Print(version())),
        }
    };
    if command.is_empty() { Err(UsageError::no_command(program)) } else { Ok(Invocation::Run(options, command)) }
}

fn read(matches: &ArgMatches) -> Result<Options, UsageError> {
    let values = matches.get_many::<OsString>(REWRITE).unwrap_or_default();
    let rewrites: Option<Vec<Rewrite>> = values.map(|value| Rewrite::parse(value.as_bytes())).collect();
    Ok(Options {
        forward: matches.get_flag(SINGLE_CHILD).then_some(Forward::Child),
        verbosity: matches.get_flag(VERBOSE).then_some(Verbosity::Debug),
        rewrites: rewrites.ok_or_else(UsageError::bad_rewrite)?,
    })
}

fn version() -> String {
    format!("dumb-init v{}\n", env!("CARGO_PKG_VERSION"))
}

fn help(table: Command) -> String {
    let template = "\
{name} v{version}

Usage: {name} [OPTION]... COMMAND [ARGUMENT]...

Starts COMMAND in a session of its own, forwards every signal to its process
group, reaps whatever ends, and exits with COMMAND's status: 128 + n where
signal n ended it, 2 where it can't be executed.

Options end at the first word that is none, or at --.

{options}

Variables:
  DUMB_INIT_SETSID=0  The same as --single-child
  DUMB_INIT_DEBUG=1   The same as --verbose
";
    table.version(env!("CARGO_PKG_VERSION")).help_template(template).render_help().to_string()
}

#[cfg(test)]
mod tests;

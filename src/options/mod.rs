//! What was typed?
//!
//! From the words of a command line to an [`Invocation`], or to the exact text of what is wrong with it. clap has the
//! table of the options (`table`), reads their values (`meaning`) and lays out the help; `getopt` finds them in the original's dialect
//! for it. Called by the name of another init, it is that one's options that are read (`peers`).
//! No input or output, and nothing is started.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};

use nix::unistd::Pid;

use crate::log::Verbosity;
use crate::options::forward::Forward;
use crate::signal::Signum;
use crate::signal::exit_status::ExitRule;
use crate::signal::rewrite::Rewrite;
use crate::sys::arguments::Arg;
use duration::{Delay, Limit};
use getopt::{Dialect, End, Given, Order, Reading};
use meaning::{BadValue, is_set, question, read};
pub(crate) use peers::{TINI_GROUP, Variables};
use personality::Personality;
use table::{HELP, all_options, help, options_of_the_original, specs, version};
use value::refusal;

pub(crate) mod config;
pub(crate) mod duration;
pub(crate) mod environment;
pub(crate) mod forward;
pub(crate) mod getopt;
mod meaning;
mod peers;
pub(crate) mod personality;
pub(crate) mod settings;
pub(crate) mod split_string;
mod table;
pub(crate) mod value;

/// What a command line asks for.
pub(crate) enum Invocation {
    /// Run a command.
    Run(Options, Vec<Arg>),
    /// Run nothing, but reap orphans.
    Pause(Options),
    /// Tell what a signal would do.
    Explain(Question),
    /// Print this text, and nothing else.
    Print(String, Stream),
}

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What is to be explained.
pub(crate) struct Question {
    pub(crate) signum: Signum,
    /// The init that would get the signal; PID 1 where nothing is said.
    pub(crate) init: Option<Pid>,
}

/// What the options of a command line say; `None` where they are silent.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) personality: Personality,
    /// What the variables of the init say whose name we are called by.
    pub(crate) their_variables: Variables,
    /// Is each orphan that is reaped named?
    pub(crate) names_orphans: bool,
    /// With the option that says so.
    pub(crate) forward: Option<(Forward, &'static str)>,
    pub(crate) verbosity: Option<Verbosity>,
    pub(crate) rewrites: Option<Vec<Rewrite>>,
    /// The values among those of `-r` that go on after the rule.
    pub(crate) rewrites_with_trailing_text: Vec<Vec<u8>>,
    pub(crate) drain: Option<Limit>,
    pub(crate) linger: Option<bool>,
    pub(crate) kill_after: Option<Limit>,
    pub(crate) delays: Option<Vec<Delay>>,
    pub(crate) exit_rules: Option<Vec<ExitRule>>,
    pub(crate) parent_death_signal: Option<Signum>,
    pub(crate) subreaper: Option<bool>,
}

/// The text of what is wrong, with its newline.
pub(crate) struct UsageError(pub(crate) Vec<u8>);

impl UsageError {
    pub(crate) fn new(program: &CStr, text: &[u8]) -> Self {
        Self([program.to_bytes(), b": ", text, b"\n"].concat())
    }

    fn no_command(program: &CStr) -> Self {
        let program = program.to_bytes();
        Self(
            [b"Usage: ", program, b" [option] program [args]\nTry ", program, b" --help for full usage.\n"]
                .concat(),
        )
    }

    fn bad_rewrite() -> Self {
        let lines = "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                     This option can be specified multiple times.\n\
                     Use --help for full usage.\n";
        Self(lines.into())
    }
}

/// Reads a command line, the name of the program first. `variable` knows the environment, which `-S` may ask for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse<'a>(
    words: &[Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    parse_as(Personality::from_arg0(words.first().copied().unwrap_or_default()), words, variable)
}

/// The same for a name that isn't the first word's.
///
/// # Errors
/// As above.
pub(crate) fn parse_as<'a>(
    init: Personality,
    words: &[Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    // That is ours under every name: a daemon mounts its init into containers that have no other file of it.
    let explains = words.first().is_some_and(|word| table::is_explain(word.to_bytes()));
    if init == Personality::DumbInit || explains {
        parse_ours(program, words, variable)
    } else {
        parse_theirs(init, program, words, &variable)
    }
}

fn parse_ours<'a>(
    program: &CStr,
    words: &[Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    // NoChild to parse: what starts most containers is a command without options.
    match words {
        [first, ..] if !first.to_bytes().starts_with(b"-") => {
            Ok(Invocation::Run(Options::default(), words.to_vec()))
        }
        [first, command @ ..] if first.to_bytes() == b"--" && !command.is_empty() => {
            Ok(Invocation::Run(Options::default(), command.to_vec()))
        }
        _ => parse_options(program, words, variable),
    }
}

#[inline(never)] // As below.
fn parse_theirs<'a>(
    init: Personality,
    program: &CStr,
    words: &[Arg],
    variable: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    let mut invocation = peers::parse(init, program, words, variable)?;
    match &mut invocation {
        Invocation::Run(options, _) | Invocation::Pause(options) => {
            options.personality = init;
            options.their_variables = Variables::of(init, variable);
        }
        Invocation::Explain(_) | Invocation::Print(..) => {}
    }
    Ok(invocation)
}

#[inline(never)] // The command that has none takes no room on the stack for them.
fn parse_options<'a>(
    program: &CStr,
    words: &[Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    let words = split_first_word(words, variable).map_err(|text| UsageError::new(program, &text))?;
    let mut table = options_of_the_original();
    let (mut given, mut command, mut end) = find(&table, &words);
    // It may be an option that the original doesn't have, or the help, which names them all.
    if end != End::Command {
        table = all_options();
        (given, command, end) = find(&table, &words);
    }
    let matches = table
        .try_get_matches_from_mut(&given)
        // Not to be: getopt lets nothing through that the table doesn't have.
        .map_err(|error| UsageError::new(program, error.to_string().trim_end().as_bytes()))?;
    // A bad value stands before whatever ended the options.
    let refused = |error| match error {
        BadValue::OfRewrite => UsageError::bad_rewrite(),
        BadValue::Other(text) => UsageError::new(program, &text),
    };
    let options = read(&matches).map_err(refused)?;
    match end {
        End::Command => match question(&matches, &given, &command).map_err(refused)? {
            Some(question) => Ok(Invocation::Explain(question)),
            None if command.is_empty() => Err(UsageError::no_command(program)),
            None => Ok(Invocation::Run(options, command)),
        },
        End::Error(error) => Err(UsageError::new(program, &error.text())),
        End::AtOnce if is_set(&matches, HELP) => Ok(Invocation::Print(help(table), Stream::Stderr)),
        End::AtOnce => Ok(Invocation::Print(version(), Stream::Stderr)),
    }
}

/// The options, each in the one form that getopt_long(3) and clap read alike, `--name` or `--name=value`; the command; and
/// why no further option was read.
fn find(table: &clap::Command, words: &[Arg]) -> (Vec<OsString>, Vec<Arg>, End) {
    let specs = specs(table);
    let Reading { options, command, end } =
        getopt::read(Dialect { specs: &specs, order: Order::InFront }, words);
    let written = |Given { spec, value }: &Given<'_>| {
        let mut option = OsString::from("--");
        option.push(spec.long.unwrap_or_default());
        if let Some(value) = value {
            option.push("=");
            option.push(value);
        }
        option
    };
    let command = command.iter().filter_map(|&index| words.get(index)).copied().collect();
    (options.iter().map(written).collect(), command, end)
}

/// The words, with those that `-S` makes of the first one in its place, if it is `-S`.
fn split_first_word<'a, 'w>(
    words: &'w [Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Cow<'w, [Arg]>, Vec<u8>> {
    let (text, rest) = match words {
        [first, second, rest @ ..] if matches!(first.to_bytes(), b"-S" | b"--split-string") => {
            (second.to_bytes(), rest)
        }
        [first, rest @ ..] => {
            let first = first.to_bytes();
            let attached = first.strip_prefix(b"-S").filter(|text| !text.is_empty());
            match attached.or_else(|| first.strip_prefix(b"--split-string=")) {
                Some(text) => (text, rest),
                None => return Ok(words.into()),
            }
        }
        [] => return Ok(words.into()),
    };
    let named = |name: &[u8]| str::from_utf8(name).ok().and_then(&variable);
    let split = split_string::split(text, named);
    let split = split.map_err(|error| refusal("option '--split-string'", &error.to_string(), text))?;
    // They live as long as the program, as all words of the command line do. None has a zero byte in it.
    let leak = |word| CString::new(word).ok().map(|word| &*Box::leak(word.into_boxed_c_str()));
    Ok(split.into_iter().filter_map(leak).chain(rest.iter().copied()).collect())
}

#[cfg(test)]
mod tests;

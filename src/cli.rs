//! What was typed?
//!
//! From the words of a command line to an [`Invocation`], or to the exact text of what is wrong with it. clap has the
//! table of the options (`table`), reads their values and lays out the help; `getopt` translates the original's dialect
//! for it.
//! No input or output, and nothing is started.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::ArgMatches;
use clap::parser::ValuesRef;
use nix::unistd::Pid;

use crate::duration::{Delay, Limit};
use crate::getopt::{self, End, Translation};
use crate::logging::Verbosity;
use crate::policy::Forward;
use crate::rewrite::Rewrite;
use crate::signal::Signum;
use crate::split_string;
use crate::status::ExitRule;
use crate::sys::arguments::Word;
use crate::value::{Switch, Value, parse_list, refusal};
pub(crate) use table::{DASH_C, is_setting_beyond};
use table::{
    DELAY, DRAIN, EXIT_MAP, EXPLAIN, FORWARD, HELP, KILL_AFTER, LINGER, PARENT_DEATH_SIGNAL, PID, REWRITE,
    SINGLE_CHILD, SPLIT_STRING, SUBREAPER, VERBOSE, all_options, help, options_of_the_original, specs, version,
};

mod table;

/// What a command line asks for.
pub(crate) enum Invocation {
    /// Run a command.
    Run(Options, Vec<Word>),
    /// Tell what a signal would do.
    Explain(Question),
    /// Print this text, and nothing else.
    Print(String),
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
    pub(crate) forward: Option<Forward>,
    /// The option that says so.
    pub(crate) forward_by: &'static str,
    pub(crate) verbosity: Option<Verbosity>,
    pub(crate) rewrites: Option<Vec<Rewrite>>,
    /// The values among those of `-r` that go on after the rule.
    pub(crate) half_ignored: Vec<Vec<u8>>,
    pub(crate) drain: Option<Limit>,
    pub(crate) linger: Option<Switch>,
    pub(crate) kill_after: Option<Limit>,
    pub(crate) delays: Option<Vec<Delay>>,
    pub(crate) exit_rules: Option<Vec<ExitRule>>,
    pub(crate) parent_death_signal: Option<Signum>,
    pub(crate) subreaper: Option<Switch>,
}

/// The text of what is wrong, with its newline.
pub(crate) struct UsageError(pub(crate) Vec<u8>);

impl UsageError {
    pub(crate) fn new(program: &CStr, text: &[u8]) -> Self {
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

/// Reads a command line, the name of the program first. `variable` knows the environment, which `-S` may ask for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse<'a>(words: &[Word], variable: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Invocation, UsageError> {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    // Nothing to parse: what starts most containers is a command without options.
    match words {
        [first, ..] if !first.to_bytes().starts_with(b"-") => Ok(Invocation::Run(Options::default(), words.to_vec())),
        [first, command @ ..] if first.to_bytes() == b"--" && !command.is_empty() => {
            Ok(Invocation::Run(Options::default(), command.to_vec()))
        }
        _ => parse_options(program, words, variable),
    }
}

#[inline(never)] // The command that has none takes no room on the stack for them.
fn parse_options<'a>(
    program: &CStr,
    words: &[Word],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    let words = split_first_word(words, variable).map_err(|text| UsageError::new(program, &text))?;
    let mut table = options_of_the_original();
    let mut translation = getopt::translate(&specs(&table), &words);
    // It may be an option that the original doesn't have, or the help, which names them all.
    if !matches!(translation.end, End::Command(_)) {
        table = all_options();
        translation = getopt::translate(&specs(&table), &words);
    }
    let Translation { options: given, end } = translation;
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
        End::Command(index) => {
            let command = words.get(index..).unwrap_or_default();
            match question(&matches, &given, command).map_err(refused)? {
                Some(question) => Ok(Invocation::Explain(question)),
                None if command.is_empty() => Err(UsageError::no_command(program)),
                None => Ok(Invocation::Run(options, command.to_vec())),
            }
        }
        End::Error(error) => Err(UsageError::new(program, &error.text())),
        End::AtOnce if is_set(&matches, HELP) => Ok(Invocation::Print(help(table))),
        End::AtOnce => Ok(Invocation::Print(version())),
    }
}

/// The words, with those that `-S` makes of the first one in its place, if it is `-S`.
fn split_first_word<'a, 'w>(
    words: &'w [Word],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Cow<'w, [Word]>, Vec<u8>> {
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

enum BadValue {
    /// The original's text stands for it.
    OfRewrite,
    Other(Vec<u8>),
}

/// The values of an option, none where the table doesn't have it.
fn values_of<'a>(matches: &'a ArgMatches, name: &str) -> ValuesRef<'a, OsString> {
    matches.try_get_many(name).ok().flatten().unwrap_or_default()
}

fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one(name).is_ok_and(|flag| flag == Some(&true))
}

fn read(matches: &ArgMatches) -> Result<Options, BadValue> {
    let given = |name: &str| values_of(matches, name);
    if given(SPLIT_STRING).next().is_some() {
        return Err(BadValue::Other(b"option '--split-string' must be the first one".into()));
    }
    let rewrites: Vec<&[u8]> = given(REWRITE).map(|value| value.as_bytes()).collect();
    let half_ignored =
        rewrites.iter().filter(|text| Rewrite::has_ignored_rest(text)).map(|text| text.to_vec()).collect();
    let rewrites: Option<Vec<Rewrite>> = rewrites.into_iter().map(Rewrite::parse).collect();
    let switch = |name: &str| is_set(matches, name).then_some(Switch::On);
    let (forward, forward_by) = forward(matches)?;
    Ok(Options {
        forward,
        forward_by,
        verbosity: match matches.get_count(VERBOSE) {
            0 => None,
            1 => Some(Verbosity::Debug),
            _ => Some(Verbosity::Trace),
        },
        rewrites: Some(rewrites.ok_or(BadValue::OfRewrite)?).filter(|rewrites| !rewrites.is_empty()),
        half_ignored,
        drain: one(matches, DRAIN)?,
        linger: switch(LINGER),
        kill_after: one(matches, KILL_AFTER)?,
        delays: several(matches, DELAY)?,
        exit_rules: several(matches, EXIT_MAP)?,
        parent_death_signal: one(matches, PARENT_DEATH_SIGNAL)?,
        subreaper: switch(SUBREAPER),
    })
}

/// Who gets a signal, as the last one of two options has it, and which one that is.
fn forward(matches: &ArgMatches) -> Result<(Option<Forward>, &'static str), BadValue> {
    let single_child = (is_set(matches, SINGLE_CHILD).then_some(Forward::Child), DASH_C);
    let Some(forward) = one(matches, FORWARD)? else { return Ok(single_child) };
    let last = |name| matches.indices_of(name).and_then(Iterator::max);
    let is_last = single_child.0.is_none() || last(FORWARD) > last(SINGLE_CHILD);
    Ok(if is_last { (Some(forward), "--forward") } else { single_child })
}

/// What is to be explained, if anything is. `given` has the options as `getopt` writes them.
fn question(matches: &ArgMatches, given: &[OsString], command: &[Word]) -> Result<Option<Question>, BadValue> {
    let signum = one(matches, EXPLAIN)?;
    let init = one(matches, PID)?;
    let refused = |text: &str| Err(BadValue::Other(text.into()));
    let Some(signum) = signum else {
        return if init.is_some() { refused("option '--pid' goes with '--explain'") } else { Ok(None) };
    };
    let names = [EXPLAIN, PID].map(|name| format!("--{name}"));
    let is_one_of_them = |option: &OsString| {
        option
            .as_bytes()
            .split(|&byte| byte == b'=')
            .next()
            .is_some_and(|name| names.iter().any(|known| known.as_bytes() == name))
    };
    if !given.iter().all(is_one_of_them) {
        return refused("option '--explain' goes with no other option than '--pid'");
    }
    match command {
        [] => Ok(Some(Question { signum, init })),
        [word, ..] if Signum::parse(word.to_bytes()).is_some() => {
            refused("option '--explain' takes its signal as in '--explain=TERM'")
        }
        [..] => refused("option '--explain' takes no command"),
    }
}

/// The value of an option; the last one, where there are several.
fn one<V: Value>(matches: &ArgMatches, name: &str) -> Result<Option<V>, BadValue> {
    values_of(matches, name)
        .map(|text| V::parse(text.as_bytes()).ok_or_else(|| bad::<V>(name, text)))
        .try_fold(None, |_, value| value.map(Some))
}

/// The values of an option that can be repeated.
fn several<V: Value>(matches: &ArgMatches, name: &str) -> Result<Option<Vec<V>>, BadValue> {
    let texts = values_of(matches, name);
    if texts.len() == 0 {
        return Ok(None);
    }
    let lists: Result<Vec<Vec<V>>, BadValue> =
        texts.map(|text| parse_list(text.as_bytes()).ok_or_else(|| bad::<V>(name, text))).collect();
    Ok(Some(lists?.into_iter().flatten().collect()))
}

fn bad<V: Value>(name: &str, text: &OsString) -> BadValue {
    BadValue::Other(refusal(&format!("option '--{name}'"), V::IS, text.as_bytes()))
}

#[cfg(test)]
mod tests;

//! What was typed?
//!
//! From the words of a command line to an [`Invocation`], or to the exact text of what is wrong with it. clap has the
//! table of the options, reads their values and lays out the help; `getopt` translates the original's dialect for it.
//! No input or output, and nothing is started.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::parser::ValuesRef;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use nix::unistd::Pid;

use crate::duration::{Delay, Limit};
use crate::getopt::{self, Effect, End, Spec, Spelling, Translation, Value as Takes};
use crate::logging::Verbosity;
use crate::policy::Forward;
use crate::rewrite::Rewrite;
use crate::signal::Signum;
use crate::split_string;
use crate::status::ExitRule;
use crate::sys::arguments::Word;
use crate::value::{Switch, Value, parse_list, refusal};

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

/// The option that is told as the source of a setting, in the spelling that people use.
pub(crate) const DASH_C: &str = "-c";
const HELP: &str = "help";
const SINGLE_CHILD: &str = "single-child";
const REWRITE: &str = "rewrite";
const VERBOSE: &str = "verbose";
const VERSION: &str = "version";
const FORWARD: &str = "forward";
const DRAIN: &str = "drain";
const LINGER: &str = "linger";
const KILL_AFTER: &str = "kill-after";
const DELAY: &str = "delay";
const EXIT_MAP: &str = "exit-map";
const PARENT_DEATH_SIGNAL: &str = "parent-death-signal";
const SUBREAPER: &str = "subreaper";
const SPLIT_STRING: &str = "split-string";
const EXPLAIN: &str = "explain";
const PID: &str = "pid";

/// The options of the original. Their order is that in which an ambiguous abbreviation lists them.
const ORIGINAL: [&str; 5] = [HELP, SINGLE_CHILD, REWRITE, VERBOSE, VERSION];

/// Of several values the last one counts, where one is wanted; but each is read.
fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).value_name(value).help(help);
    arg.action(ArgAction::Append).value_parser(value_parser!(OsString)).next_line_help(true)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// The options that the original has.
fn options_of_the_original() -> Command {
    Command::new("dumb-init")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .next_help_heading("Options of the original")
        .arg(flag(HELP, "Print this text and exit").short('h').display_order(4))
        .arg(flag(SINGLE_CHILD, "Signal COMMAND's process alone; start no session").short('c').display_order(1))
        .arg(
            value(REWRITE, "s:r", "Forward signal s as r, or not at all where r is 0")
                .short('r')
                .display_order(2)
                .next_line_help(false),
        )
        .arg(
            flag(VERBOSE, "Say on stderr what is done; -vv: who sent what, too")
                .short('v')
                .display_order(3)
                .action(ArgAction::Count),
        )
        .arg(flag(VERSION, "Print the version and exit").short('V').display_order(5))
}

/// All options. The table of clap's that has them takes time to be made.
fn all_options() -> Command {
    options_of_the_original()
        .next_help_heading("Shutdown")
        .arg(value(FORWARD, "WHOM", "Forward to the child, to its group, or to the tree: all descendants"))
        .arg(value(DRAIN, "DURATION", "After COMMAND's end, SIGTERM whoever has not got it, and wait for them"))
        .arg(flag(LINGER, "Go on after COMMAND's end until no descendant is left").next_line_help(true))
        .arg(value(KILL_AFTER, "DURATION", "Kill what is left so long after the first SIGTERM, SIGINT, SIGQUIT"))
        .arg(value(DELAY, "SIGNAL:DURATION", "Hold this signal for so long before it is forwarded"))
        .arg(value(EXIT_MAP, "CODE[:NEW]", "Report NEW, or 0, in place of exit status CODE"))
        .next_help_heading("Start")
        .arg(value(PARENT_DEATH_SIGNAL, "SIGNAL", "Get this signal when the parent of dumb-init ends"))
        .arg(flag(SUBREAPER, "Adopt orphans although not PID 1").next_line_help(true))
        .arg(value(SPLIT_STRING, "WORDS", "Take one word apart, as in a #! line; must be the first option").short('S'))
        .next_help_heading("Diagnosis")
        .arg(
            value(EXPLAIN, "SIGNAL", "Say whom this signal, or SIGTERM, would reach, and with what effect")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("TERM"),
        )
        .arg(value(PID, "PID", "Explain this init, in place of PID 1"))
}

/// Is this word an option that the original doesn't have, and that has to do with how the command is run?
pub(crate) fn is_setting_beyond(word: &[u8]) -> bool {
    let name = word.split(|&byte| byte == b'=').next().unwrap_or_default();
    let name = name.strip_prefix(b"--").and_then(|name| str::from_utf8(name).ok());
    let is_no_setting = |long: &str| ORIGINAL.contains(&long) || [SPLIT_STRING, EXPLAIN, PID].contains(&long);
    name.is_some_and(|name| {
        !is_no_setting(name) && all_options().get_arguments().any(|arg| arg.get_long() == Some(name))
    })
}

fn specs(table: &Command) -> Vec<Spec<'_>> {
    table
        .get_arguments()
        .filter_map(|arg| {
            let long = arg.get_long()?;
            Some(Spec {
                long,
                short: arg.get_short(),
                value: match arg.get_num_args() {
                    _ if !arg.get_action().takes_values() => Takes::None,
                    Some(range) if range.min_values() == 0 => Takes::Optional,
                    Some(_) | None => Takes::Required,
                },
                effect: if [HELP, VERSION].contains(&long) { Effect::AtOnce } else { Effect::AtTheEnd },
                spelling: if ORIGINAL.contains(&long) { Spelling::Abbreviated } else { Spelling::InFull },
            })
        })
        .collect()
}

/// Reads a command line, the name of the program first. `variable` knows the environment, which `-S` may ask for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse<'a>(words: &[Word], variable: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Invocation, UsageError> {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    // Nothing to parse: what starts most containers is a command without options.
    match words {
        [first, ..] if !first.to_bytes().starts_with(b"-") => {
            return Ok(Invocation::Run(Options::default(), words.to_vec()));
        }
        [first, command @ ..] if first.to_bytes() == b"--" && !command.is_empty() => {
            return Ok(Invocation::Run(Options::default(), command.to_vec()));
        }
        _ => {}
    }
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

fn version() -> String {
    format!("dumb-init v{}\n", env!("CARGO_PKG_VERSION"))
}

fn help(table: Command) -> String {
    let template = "\
{name} v{version}

Usage: {name} [OPTION]... COMMAND [ARGUMENT]...
       {name} --explain[=SIGNAL] [--pid PID]

Starts COMMAND in a session of its own, forwards every signal to its process
group, reaps whatever ends, and exits with COMMAND's status: 128 + n where
signal n ended it, 2 where it can't be executed.

Options end at the first word that is none, or at --.

{all-args}

DURATION: 10s, 500ms, 2m, 1h, forever; seconds where it has no unit.
SIGNAL: 15, TERM, SIGTERM, RTMIN+3, RTMAX-1.
WHOM: child, group, tree.

Variables (an option beats its variable; an empty one is none):
  DUMB_INIT_SETSID=0      The same as --single-child
  DUMB_INIT_DEBUG=1       The same as --verbose; 2: as if given twice
  DUMB_INIT_REWRITE=TERM:QUIT,HUP:0
  DUMB_INIT_FORWARD=tree  Beats DUMB_INIT_SETSID
  DUMB_INIT_DRAIN=10s
  DUMB_INIT_LINGER=1
  DUMB_INIT_KILL_AFTER=30s
  DUMB_INIT_DELAY=TERM:5s,INT:1s
  DUMB_INIT_EXIT_MAP=143,130:0
  DUMB_INIT_PARENT_DEATH_SIGNAL=TERM
  DUMB_INIT_SUBREAPER=1
";
    table.version(env!("CARGO_PKG_VERSION")).help_template(template).render_help().to_string()
}

#[cfg(test)]
mod tests;

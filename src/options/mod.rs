//! Reads the command line and the environment.
//!
//! `table` and `other_inits` define the options, `getopt` finds them, and their setters fill
//! `settings::Options`, first from the command line, then from the variables. Nothing is printed or started.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use nix::unistd::Pid;

use crate::log::escape::Escaped;
use crate::signal::Signum;
use crate::signal::rewrite::Rewrite;
use crate::sys::arguments::Arg;
use environment::{Environment, FOR_HOOK};
use getopt::Reader;
use personality::Personality;
use settings::{Config, Helper, Options};
use table::{DIAGNOSIS, Effect, Row, SPLIT_STRING};
use value::{Given, Source, Value};

pub(crate) mod environment;
pub mod fuzzing;
mod getopt;
mod help;
pub mod other_inits;
pub(crate) mod personality;
pub(crate) mod settings;
mod split_string;
pub mod table;
mod value;

/// The request of a command line.
pub(crate) enum Invocation {
    /// Run a command.
    Run(Config, Vec<Arg>),
    /// Run no command; reap orphans.
    Pause(Config),
    /// Report the effect of a signal.
    Explain(Question),
    Print {
        text: String,
        to_stdout: bool,
    },
}

/// The subject of a report.
pub(crate) struct Question {
    pub(crate) signum: Signum,
    /// The init that would receive the signal; by default PID 1.
    pub(crate) init: Option<Pid>,
}

/// A message about a wrong command line or variable, with its newline.
pub(crate) struct UsageError(pub(crate) Vec<u8>);

impl UsageError {
    pub(crate) fn new(program: &CStr, text: &[u8]) -> Self {
        Self([program.to_bytes(), b": ", text, b"\n"].concat())
    }

    /// The lines of the original, and one that names the bad value.
    fn bad_rewrite(given: &Given<'_>) -> Self {
        let lines = "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                     This option can be specified multiple times.\n\
                     Use --help for full usage.\n";
        Self([lines.as_bytes(), &given.refusal(Rewrite::IS).0].concat())
    }

    fn no_command(init: Personality, program: &CStr) -> Self {
        let program = program.to_bytes();
        let (words, help) = match init {
            Personality::DumbInit => ("[option] program [args]", "--help for full usage."),
            Personality::Tini | Personality::Catatonit => {
                ("[OPTION]... [--] PROGRAM [ARGUMENT]...", "-h for more.")
            }
        };
        let (words, help) = (format!(" {words}\nTry "), format!(" {help}\n"));
        Self([b"Usage: ", program, words.as_bytes(), program, help.as_bytes()].concat())
    }
}

/// Reads a command line, which begins with the name of the program, and the environment.
pub(crate) fn parse(words: &[Arg], environment: &Environment) -> Result<Invocation, UsageError> {
    let init = Personality::by_name(words.first().copied().unwrap_or_default().to_bytes());
    parse_as(init, words, environment)
}

/// Reads the command line of an init that is called by another name.
pub(crate) fn parse_as(
    init: Personality,
    words: &[Arg],
    environment: &Environment,
) -> Result<Invocation, UsageError> {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    // Under another name, `--explain` works as well: Docker mounts its init into containers without a
    // dumb-init.
    let is_explain = |word: &Arg| word.to_bytes().split(|&byte| byte == b'=').next() == Some(b"--explain");
    let init = if words.first().is_some_and(is_explain) { Personality::DumbInit } else { init };
    let words = match init {
        Personality::DumbInit => split_first_word(program, words, environment)?,
        Personality::Tini if words == [c"--version"] => {
            return Ok(help::print(table::Text::Version, init, &[], program));
        }
        Personality::Catatonit if environment.get("CATATONIT_LOG").is_some() => {
            return Err(UsageError::new(program, b"variable CATATONIT_LOG is reserved"));
        }
        Personality::Tini | Personality::Catatonit => words.into(),
    };
    // podman runs its pause container so, after resolving a link.
    let (words, is_pause) = if *words == [c"-P"] { (Cow::default(), true) } else { (words, false) };

    let rows = rows(init);
    let permutes = init != Personality::DumbInit && environment.get("POSIXLY_CORRECT").is_none();
    let mut reader = Reader::new(rows, &words, permutes);
    let mut options = Options { personality: init, ..Options::default() };
    let mut has_other_options = false;
    while let Some((row, text)) = reader.next_option().map_err(|text| {
        let UsageError(mut lines) = UsageError::new(program, &text);
        if init != Personality::DumbInit {
            lines.append(&mut UsageError::no_command(init, program).0);
            if let Some(UsageError(line)) = variable_of_option(init, program, &words) {
                lines.extend(line);
            }
        }
        UsageError(lines)
    })? {
        match row.effect {
            Effect::Set(set) => {
                set(&mut options, &Given { program, source: Source::Option(row.name()), text })?;
            }
            Effect::Print(text) => return Ok(help::print(text, init, rows, program)),
        }
        has_other_options |= row.heading != DIAGNOSIS.heading;
    }
    let command = reader.into_command();

    if let Some(question) = question(program, &options, has_other_options, &command)? {
        return Ok(Invocation::Explain(question));
    }
    let pauses = is_pause || options.pauses.value.is_some();
    if command.is_empty() && !pauses {
        return Err(UsageError::no_command(init, program));
    }
    read_variables(program, &mut options, environment)?;
    let (helpers, hook) = programs(program, &mut options, environment)?;
    let config = Config::new(options, helpers, hook);
    Ok(if pauses { Invocation::Pause(config) } else { Invocation::Run(config, command) })
}

fn rows(init: Personality) -> &'static [Row] {
    match init {
        Personality::DumbInit => table::DUMB_INIT,
        Personality::Tini => other_inits::TINI,
        Personality::Catatonit => other_inits::CATATONIT,
    }
}

/// The line about an option of dumb-init that is given under the name of another init. It shows the variable.
fn variable_of_option(init: Personality, program: &CStr, words: &[Arg]) -> Option<UsageError> {
    let has_name = |row: &&Row, name: &[u8]| {
        [row.short, row.long].into_iter().flatten().any(|known| known.as_bytes() == name)
    };
    let (row, variable) = words.iter().take_while(|word| **word != c"--").find_map(|word| {
        let name = word.to_bytes().split(|&byte| byte == b'=').next()?;
        let row = table::DUMB_INIT.iter().find(|row| has_name(row, name))?;
        // The variable of `-c` has no effect under these names.
        let is_ours = row.short != Some("-c") && !rows(init).iter().any(|row| has_name(&row, name));
        row.variable.filter(|_| is_ours).map(|variable| (row, variable))
    })?;
    let option = row.long.unwrap_or_default();
    let text = format!("{option} is an option of dumb-init; set its variable instead: {variable}");
    Some(UsageError::new(program, text.as_bytes()))
}

/// Reads the variables of the options, later ones over earlier ones: those of dumb-init beat those of the
/// init whose name we were called by, and `DUMB_INIT_FORWARD` beats `DUMB_INIT_SETSID`.
fn read_variables(
    program: &CStr,
    options: &mut Options,
    environment: &Environment,
) -> Result<(), UsageError> {
    let is_other = options.personality != Personality::DumbInit;
    let other = if is_other { rows(options.personality) } else { &[] };
    for row in other.iter().chain(table::DUMB_INIT) {
        let (Some(name), Effect::Set(set)) = (row.variable_name(), &row.effect) else { continue };
        let Some(text) = environment.get(name) else { continue };
        // tini and catatonit only check whether these exist. An empty variable of ours counts as unset.
        let has_no_value = row.variable == Some(name);
        let text = row.implied_value.filter(|_| has_no_value).map_or(text, str::as_bytes);
        if !(text.is_empty() && name.starts_with("DUMB_INIT_")) {
            set(options, &Given { program, source: Source::Variable(name), text })?;
        }
    }
    let is_known = |name: &[u8]| {
        let mut known = table::DUMB_INIT.iter().filter_map(Row::variable_name).chain(FOR_HOOK);
        known.any(|known| known.as_bytes() == name)
    };
    let unknown = environment.names_from("DUMB_INIT_").filter(|name| !is_known(name));
    options.ignored.extend(unknown.map(|name| format!("{}: there is no such variable", Escaped(name))));
    Ok(())
}

fn question(
    program: &CStr,
    options: &Options,
    has_other_options: bool,
    command: &[Arg],
) -> Result<Option<Question>, UsageError> {
    let error = match (options.explain.value, options.pid.value, command) {
        (None, None, _) => return Ok(None),
        (None, Some(_), _) => "option '--pid' goes with '--explain'",
        (Some(_), ..) if has_other_options => "option '--explain' goes with no other option than '--pid'",
        (Some(signum), init, []) => return Ok(Some(Question { signum, init })),
        (Some(_), _, [word, ..]) if Signum::parse(word.to_bytes()).is_some() => {
            "option '--explain' takes its signal as in '--explain=TERM'"
        }
        (Some(_), ..) => "option '--explain' takes no command",
    };
    Err(UsageError::new(program, error.as_bytes()))
}

/// Replaces `-S WORDS`, if it is the first option, by the words.
fn split_first_word<'w>(
    program: &CStr,
    words: &'w [Arg],
    environment: &Environment,
) -> Result<Cow<'w, [Arg]>, UsageError> {
    let mut reader = Reader::new(table::DUMB_INIT, words, false);
    let text = match reader.next_option() {
        Ok(Some((row, text))) if row.name() == SPLIT_STRING => text,
        _ => return Ok(words.into()),
    };
    let given = Given { program, source: Source::Option("--split-string"), text };
    Ok(split(&given, environment)?.into_iter().chain(reader.into_command()).collect())
}

/// Splits a value into words, which live as long as the program.
fn split(given: &Given<'_>, environment: &Environment) -> Result<Vec<Arg>, UsageError> {
    let variable = |name| std::str::from_utf8(name).ok().and_then(|name| environment.get(name));
    let words = split_string::split(given.text, variable).map_err(|error| given.refusal(error))?;
    // None of them contains a zero byte.
    let leak = |word| CString::new(word).ok().map(|word| &*Box::leak(word.into_boxed_c_str()));
    Ok(words.into_iter().filter_map(leak).collect())
}

/// The helpers of `--with`, and the words of the hook of `--pre-stop`.
fn programs(
    program: &CStr,
    options: &mut Options,
    environment: &Environment,
) -> Result<(Vec<Helper>, Vec<Arg>), UsageError> {
    let words = |source, text: &[u8], command: &[u8]| {
        let words = split(&Given { program, source, text: command }, environment)?;
        let refusal = || Given { program, source, text }.refusal("a command");
        if words.is_empty() { Err(refusal()) } else { Ok(words) }
    };
    let mut helpers = Vec::new();
    for text in options.helpers.value.take().into_iter().flatten() {
        let optional = text.trim_ascii_start().strip_prefix(b"-");
        let argv = words(options.helpers.source, &text, optional.unwrap_or(&text))?;
        helpers.push(Helper { is_optional: optional.is_some(), argv, text });
    }
    let hook = options.pre_stop.value.take();
    let hook = hook.map_or(Ok(Vec::new()), |text| words(options.pre_stop.source, &text, &text))?;
    Ok((helpers, hook))
}

#[cfg(test)]
mod tests;

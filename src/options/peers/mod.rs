//! What do the options of another init mean here?
//!
//! [`ROWS`] is the table of them, of those whose name we may be called by: each is one of ours, or prints something. So
//! nothing of what an option does is done twice. Their grammar is getopt(3)'s and getopt_long(3)'s, read as elsewhere, but
//! options may stand behind words of the command (`tini a -g b -- c` runs `a b c`), unless POSIXLY_CORRECT is set.
//! docs/coming-from.md has the same table for people.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::getopt::{self, Dialect, Effect, End, Given, Order, Spec, Spelling, Value as Takes};
use super::meaning::{BadValue, read};
use super::personality::Personality;
use super::value::refusal;
use super::{Invocation, Options, Stream, UsageError, table};
use crate::sys::arguments::Arg;
use texts::{help, stream_of_the_help, usage, version};
pub(crate) use values::{TINI_GROUP, Variables};
use values::{exit_code, parent_death_signal};

mod texts;
mod values;

/// An option of another init.
pub(super) struct Row {
    init: Personality,
    short: char,
    long: Option<&'static str>,
    here: Here,
    help: &'static str,
}

/// What it is here.
enum Here {
    /// This one.
    Is(&'static str),
    /// This one, with a value.
    Takes {
        option: &'static str,
        translate: fn(&[u8]) -> Option<String>,
        is: &'static str,
        name: &'static str,
    },
    /// Each child that is reaped is named, but for the command, also without `-v`.
    NamesOrphans,
    /// No command is run.
    Pause,
    Help,
    Version,
    License,
}

/// All of them. tini's `--version` is none: it counts only as the only word.
const ROWS: [Row; 13] = [
    row(Personality::Tini, 's', None, Here::Is("--subreaper"), "Adopt orphans although not PID 1"),
    row(
        Personality::Tini,
        'p',
        None,
        Here::Takes {
            option: "--parent-death-signal",
            translate: parent_death_signal,
            is: "a signal's name (SIGTERM)",
            name: "SIGNAL",
        },
        "Get this signal when the parent ends",
    ),
    row(Personality::Tini, 'v', None, Here::Is("--verbose"), "Say what is done; twice: who sent what, too"),
    row(Personality::Tini, 'w', None, Here::NamesOrphans, "Name each orphan that is reaped"),
    row(Personality::Tini, 'g', None, Here::Is("--forward=group"), "Signal the process group of PROGRAM"),
    row(
        Personality::Tini,
        'e',
        None,
        Here::Takes {
            option: "--exit-map",
            translate: exit_code,
            is: "an exit status from 0 to 255",
            name: "CODE",
        },
        "Report 0 in place of this exit status",
    ),
    row(Personality::Tini, 'l', None, Here::License, "Print the licence and exit"),
    row(Personality::Tini, 'h', None, Here::Help, "Print this text and exit"),
    row(
        Personality::Catatonit,
        'g',
        None,
        Here::Is("--forward=group"),
        "Signal the process group of PROGRAM",
    ),
    row(Personality::Catatonit, 'h', None, Here::Help, "Print this text and exit"),
    row(Personality::Catatonit, 'L', None, Here::License, "Print the licence and exit"),
    row(Personality::Catatonit, 'P', None, Here::Pause, "Run nothing, reap orphans until SIGTERM or SIGINT"),
    row(Personality::Catatonit, 'V', Some("version"), Here::Version, "Print the version and exit"),
];

const fn row(
    init: Personality,
    short: char,
    long: Option<&'static str>,
    here: Here,
    help: &'static str,
) -> Row {
    Row { init, short, long, here, help }
}

/// The option of other inits that is told as the source of a setting.
pub(crate) const DASH_G: &str = "-g";

impl Row {
    fn spec(&self) -> Spec<'static> {
        Spec {
            long: self.long,
            short: Some(self.short),
            value: match self.here {
                Here::Takes { .. } => Takes::Required,
                Here::Is(_)
                | Here::NamesOrphans
                | Here::Pause
                | Here::Help
                | Here::Version
                | Here::License => Takes::None,
            },
            effect: match self.here {
                Here::Help | Here::Version | Here::License => Effect::AtOnce,
                Here::Is(_) | Here::Takes { .. } | Here::NamesOrphans | Here::Pause => Effect::AtTheEnd,
            },
            spelling: Spelling::Abbreviated,
        }
    }

    /// The line of the help.
    fn line(&self) -> String {
        let value = match self.here {
            Here::Takes { name, .. } => format!(" {name}"),
            Here::Is(_) | Here::NamesOrphans | Here::Pause | Here::Help | Here::Version | Here::License => {
                String::new()
            }
        };
        let long = self.long.map(|long| format!(", --{long}")).unwrap_or_default();
        let option = format!("-{}{long}{value}", self.short);
        format!("  {option:<15} {}\n", self.help)
    }
}

/// Reads a command line of another init, without its first word, the name of the program.
pub(super) fn parse<'a>(
    init: Personality,
    program: &CStr,
    words: &[Arg],
    variable: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Invocation, UsageError> {
    if init == Personality::Tini && matches!(words, [word] if word.to_bytes() == b"--version") {
        return Ok(Invocation::Print(version(init), Stream::Stdout));
    }
    if init == Personality::Catatonit && variable("CATATONIT_LOG").is_some() {
        return Err(UsageError::new(program, b"variable CATATONIT_LOG is reserved"));
    }
    let specs: Vec<Spec<'static>> = rows(init).map(Row::spec).collect();
    let order = if variable("POSIXLY_CORRECT").is_some() { Order::InFront } else { Order::Anywhere };
    let reading = getopt::read(Dialect { specs: &specs, order }, words);

    let mut ours: Vec<OsString> = Vec::new();
    let (mut orphans, mut pauses) = (false, false);
    for Given { spec, value } in &reading.options {
        let Some(row) = rows(init).find(|row| Some(row.short) == spec.short) else { continue };
        match row.here {
            Here::Is(option) => ours.push(option.into()),
            Here::Takes { option, translate, is, .. } => {
                let text = value.as_deref().unwrap_or_default().as_bytes();
                let value = translate(text).ok_or_else(|| {
                    UsageError::new(program, &refusal(&format!("option '-{}'", row.short), is, text))
                })?;
                ours.push(format!("{option}={value}").into());
            }
            Here::NamesOrphans => orphans = true,
            Here::Pause => pauses = true,
            Here::Help => return Ok(Invocation::Print(help(init, program), stream_of_the_help(init))),
            Here::Version => return Ok(Invocation::Print(version(init), Stream::Stdout)),
            Here::License => {
                return Ok(Invocation::Print(include_str!("../../../LICENSE").to_owned(), Stream::Stdout));
            }
        }
    }
    let usage = |text: &[u8]| UsageError([text, &usage(program)].concat());
    if let End::Error(error) = reading.end {
        return Err(usage(&[program.to_bytes(), b": ", &error.text(), b"\n"].concat()));
    }
    let command: Vec<Arg> = reading.command.iter().filter_map(|&index| words.get(index)).copied().collect();
    if command.is_empty() && !pauses {
        return Err(usage(b""));
    }
    let mut options = meaning_of(&ours).map_err(|text| UsageError::new(program, &text))?;
    options.forward = options.forward.map(|(forward, _)| (forward, DASH_G));
    options.names_orphans = orphans;
    Ok(if pauses { Invocation::Pause(options) } else { Invocation::Run(options, command) })
}

/// What options of ours mean.
///
/// # Errors
/// None: each is one of the table's, with a value that it accepts.
fn meaning_of(ours: &[OsString]) -> Result<Options, Vec<u8>> {
    if ours.is_empty() {
        // As a daemon calls it. clap's table takes time to be made.
        return Ok(Options::default());
    }
    let matches = table::all_options()
        .try_get_matches_from_mut(ours)
        .map_err(|error| error.to_string().into_bytes())?;
    read(&matches).map_err(|error| match error {
        BadValue::OfRewrite => b"a bad rewrite".into(),
        BadValue::Other(text) => text,
    })
}

fn rows(init: Personality) -> impl Iterator<Item = &'static Row> {
    const { &ROWS }.iter().filter(move |row| row.init == init)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_for_people_says_the_same() {
        let page = include_str!("../../../docs/coming-from.md");
        for (heading, init) in
            [("## From tini", Personality::Tini), ("## From catatonit", Personality::Catatonit)]
        {
            let part = page.split_once(heading).expect(heading).1;
            let part = part.split("\n## ").next().unwrap();
            let lines: Vec<(&str, &str)> =
                part.lines().filter_map(|line| line.strip_prefix("| `-")?.split_once(" | ")).collect();
            let known = lines.iter().flat_map(|(theirs, _)| theirs.split("`-").map(|option| &option[..1]));
            let mut known: Vec<char> = known.flat_map(str::chars).filter(|&letter| letter != '-').collect();
            known.dedup();
            let mut letters: Vec<char> = rows(init).map(|row| row.short).collect();
            for row in rows(init) {
                let is_it =
                    |(theirs, _): &&(&str, &str)| format!("`-{theirs}").contains(&format!("`-{}", row.short));
                let (theirs, here) = lines.iter().find(is_it).expect(heading);
                let is_said = match row.here {
                    Here::Is(option) | Here::Takes { option, .. } => option,
                    Here::NamesOrphans => "each orphan that is reaped is named",
                    Here::Pause => "nothing is run",
                    Here::Help => "the help",
                    Here::Version => "the version line",
                    Here::License => "the licence is printed",
                };
                assert!(here.contains(is_said), "{theirs}: {is_said}");
                assert!(row.long.is_none_or(|long| theirs.contains(long)), "{theirs}");
            }
            known.sort_unstable();
            known.dedup();
            letters.sort_unstable();
            assert_eq!(known, letters, "{heading}");
        }
    }

    #[test]
    fn no_init_has_a_letter_twice() {
        for (_, init) in Personality::NAMES {
            let mut letters: Vec<char> = rows(init).map(|row| row.short).collect();
            let count = letters.len();
            letters.sort_unstable();
            letters.dedup();
            assert!(count > 0 && letters.len() == count, "{letters:?}");
        }
    }
}

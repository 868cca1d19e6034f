//! Does a command line still mean what it meant?
//!
//! The original reads its options with getopt_long(3) and its numbers with sscanf(3). Both are in glibc, so they can be
//! asked here, in the same process, about every input that libFuzzer comes up with: `glibc` asks them, and what differs
//! from the program's own modules is a panic, which libFuzzer reports along with the input. `ci/fuzz` builds and runs it.
//!
//! The program is no library, so its modules are included from where they are. `logging` and `policy` are not: `cli`
//! and `called_as` want one enum of each, and they would bring in half of the program.

mod glibc;
// What only the rest of the program calls is unused here.
#[allow(dead_code, unused_imports, unsafe_code)]
#[path = "../../src"]
mod program {
    pub(crate) mod called_as;
    pub(crate) mod cli;
    pub(crate) mod duration;
    pub(crate) mod escape;
    pub(crate) mod getopt;
    pub(crate) mod rewrite;
    pub(crate) mod signal;
    pub(crate) mod split_string;
    pub(crate) mod status;
    pub(crate) mod sys {
        pub(crate) mod arguments;
    }
    pub(crate) mod value;
}
mod logging {
    /// Stands in for the program's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Verbosity {
        Quiet,
        Debug,
        Trace,
    }
}
mod policy {
    /// Stands in for the program's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Forward {
        Child,
        Group,
        Tree,
    }

    impl crate::value::Value for Forward {
        const IS: &'static str = "child or another";

        fn parse(text: &[u8]) -> Option<Self> {
            Some(if text == b"child" { Self::Child } else { Self::Tree })
        }
    }
}

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use logging::Verbosity;
use policy::Forward;
// They find each other by the names that they have in the program.
use program::{called_as, cli, duration, escape, getopt, rewrite, signal, split_string, status, sys, value};

use called_as::CalledAs;
use cli::{Invocation, Options, UsageError};
use getopt::{Dialect, Effect, End, Given, Order, Spec, Spelling, Value as Takes};
use glibc::Reading;
use rewrite::{Outcome, Rewrite, RewriteTable};
use signal::Signum;
use sys::arguments::Word;
use value::Value;

/// The original's table, from which glibc's is made as well.
const SPECS: [Spec<'_>; 5] = [
    spec("help", 'h', Takes::None, Effect::AtOnce),
    spec("single-child", 'c', Takes::None, Effect::AtTheEnd),
    spec("rewrite", 'r', Takes::Required, Effect::AtTheEnd),
    spec("verbose", 'v', Takes::None, Effect::AtTheEnd),
    spec("version", 'V', Takes::None, Effect::AtOnce),
];

const fn spec(long: &'static str, short: char, value: Takes, effect: Effect) -> Spec<'static> {
    Spec { long: Some(long), short: Some(short), value, effect, spelling: Spelling::Abbreviated }
}

/// The options that the original doesn't have. Where a word may be one of them, there is nothing to compare.
const BEYOND: [&[u8]; 11] = [
    b"--forward",
    b"--drain",
    b"--linger",
    b"--kill-after",
    b"--delay",
    b"--exit-map",
    b"--parent-death-signal",
    b"--subreaper",
    b"--split-string",
    b"--explain",
    b"--pid",
];

fn may_go_beyond(word: &Word) -> bool {
    let word = word.to_bytes();
    let short = word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&b'S');
    short || BEYOND.iter().any(|name| word.starts_with(name))
}

/// The input is the words of a command line, each but the last with a NUL byte behind it. The first is the program's
/// name.
///
/// # Panics
/// The program reads it in another way than glibc.
pub fn command_line(input: &[u8]) {
    glibc::with_words(input, |words| {
        for order in [Order::Anywhere, Order::InFront] {
            assert_eq!(
                read(words, order),
                glibc::read_options(words, order),
                "getopt::read (left) and getopt_long(3) (right), {order:?}, on {words:?}"
            );
        }
        // Called by another name, it has other options.
        if words.first().is_some_and(|program| CalledAs::by_word(program) != CalledAs::DumbInit) {
            return;
        }
        let read = glibc::read_options(words, Order::InFront);
        let parsed = parsed(words);
        if words.iter().any(may_go_beyond) {
            return;
        }
        assert_eq!(parsed, expected(words, read), "cli::parse (left) and the original (right) on {words:?}");
    });
}

/// The input is the value of an `-r`.
///
/// # Panics
/// The program reads it in another way than glibc.
pub fn rewrite(input: &[u8]) {
    // A word ends at its first NUL byte.
    let text: Vec<u8> = input.iter().copied().take_while(|&byte| byte != 0).collect();
    let ours = Rewrite::parse(&text).map(numbers);
    let theirs = scanned(&text);
    if theirs.is_none() && text.iter().any(u8::is_ascii_alphabetic) {
        // It may have names in it, which the original doesn't know.
        return;
    }
    assert_eq!(ours, theirs, "Rewrite::parse (left) and sscanf(3) (right) on \"{}\"", text.escape_ascii());
}

/// What is compared of a whole command line.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Run {
        single_child: bool,
        verbose: bool,
        rewrites: Vec<(i32, i32)>,
        command: Vec<Word>,
    },
    /// The original never means that.
    Explain,
    Help,
    Version,
    Error(OsString),
}

/// What `getopt` reads.
fn read(words: &[Word], order: Order) -> Reading {
    let (program, words) = words.split_first().map_or((c"", words), |(program, words)| (*program, words));
    let reading = getopt::read(Dialect { specs: &SPECS, order }, words);
    let written = |Given { spec, value }: &Given<'_>| {
        let mut option = OsString::from(format!("--{}", spec.long.unwrap_or_default()));
        if let Some(value) = value {
            option.push("=");
            option.push(value);
        }
        option
    };
    Reading {
        options: reading.options.iter().map(written).collect(),
        end: match reading.end {
            End::Command => glibc::End::Command(reading.command.iter().map(|&index| words[index].to_owned()).collect()),
            End::AtOnce => glibc::End::AtOnce,
            End::Error(error) => {
                glibc::End::Error(os_string(&[program.to_bytes(), b": ", &error.text(), b"\n"].concat()))
            }
        },
    }
}

/// What `cli` makes of it.
fn parsed(words: &[Word]) -> Meaning {
    let version = concat!("dumb-init v", env!("CARGO_PKG_VERSION"), "\n");
    match cli::parse(words, |_| None) {
        Ok(Invocation::Run(options, command)) => {
            let Options { forward, verbosity, rewrites, .. } = options;
            Meaning::Run {
                single_child: matches!(forward, Some((Forward::Child, _))),
                verbose: matches!(verbosity, Some(Verbosity::Debug | Verbosity::Trace)),
                rewrites: rewrites.into_iter().flatten().map(numbers).collect(),
                command,
            }
        }
        Ok(Invocation::Explain(_) | Invocation::Pause(_)) => Meaning::Explain,
        Ok(Invocation::Print(text, _)) if text == version => Meaning::Version,
        Ok(Invocation::Print(text, _)) => {
            assert!(text.starts_with(version), "neither help nor version: {text}");
            Meaning::Help
        }
        Err(UsageError(text)) => Meaning::Error(os_string(&text)),
    }
}

/// What the original makes of the options that glibc reads: it acts on one after the other.
fn expected(words: &[Word], read: Reading) -> Meaning {
    let (mut single_child, mut verbose, mut rewrites) = (false, false, Vec::new());
    for option in &read.options {
        match option.as_bytes() {
            b"--help" => return Meaning::Help,
            b"--version" => return Meaning::Version,
            b"--single-child" => single_child = true,
            b"--verbose" => verbose = true,
            other => match other.strip_prefix(b"--rewrite=").map(as_read) {
                Some(Some(numbers)) => rewrites.push(numbers),
                Some(None) => {
                    return Meaning::Error(
                        "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                         This option can be specified multiple times.\n\
                         Use --help for full usage.\n"
                            .into(),
                    );
                }
                None => unreachable!("{option:?}"),
            },
        }
    }
    match read.end {
        glibc::End::Error(text) => Meaning::Error(text),
        glibc::End::AtOnce => unreachable!("an option that acts at once comes last"),
        glibc::End::Command(command) => match words.get(words.len() - command.len()..).unwrap_or_default() {
            [] => {
                let program = words.first().map_or(&[][..], |program| program.to_bytes());
                Meaning::Error(os_string(
                    &[b"Usage: ", program, b" [option] program [args]\nTry ", program, b" --help for full usage.\n"]
                        .concat(),
                ))
            }
            command => Meaning::Run { single_child, verbose, rewrites, command: command.to_vec() },
        },
    }
}

/// The two numbers of a rule. Only a table tells them.
fn numbers(rewrite: Rewrite) -> (i32, i32) {
    let mut table = RewriteTable::default();
    table.set(rewrite);
    let mut rules = (1..=64).filter_map(Signum::new).filter_map(|from| Some((from, table.get(from)?)));
    match (rules.next(), rules.next()) {
        (Some((from, Outcome::Dropped)), None) => (from.raw(), 0),
        (Some((from, Outcome::Becomes(to))), None) => (from.raw(), to.raw()),
        rules => panic!("{rewrite:?} is not one rule but {rules:?}"),
    }
}

/// The two numbers of a rule, which may be names.
fn as_read(text: &[u8]) -> Option<(i32, i32)> {
    scanned(text).or_else(|| Rewrite::parse(text).filter(|_| text.iter().any(u8::is_ascii_alphabetic)).map(numbers))
}

/// The two numbers of a rule as the original reads them, with the real-time signals.
fn scanned(text: &[u8]) -> Option<(i32, i32)> {
    let text = CString::new(text).ok()?;
    let is_signal = |number: &i32| matches!(number, 1..=31 | 34..=64);
    glibc::scan_pair(&text).filter(|(from, to)| is_signal(from) && (*to == 0 || is_signal(to)))
}

fn os_string(bytes: &[u8]) -> OsString {
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}

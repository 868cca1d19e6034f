//! Compares dumb-init's reading of command lines and rewrites with glibc's, on inputs from libFuzzer.
//!
//! The original reads options with getopt_long(3) and rewrites with sscanf(3). `glibc` calls them in this
//! process, so that every input can be compared. A difference is a panic, which libFuzzer reports with the
//! input. `ci/fuzz` builds and runs it.

mod glibc;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use dumb_init::options::fuzzing::{self, End, Reading, Run};
use dumb_init::options::table::{DUMB_INIT, Row};

/// The options of the original.
fn originals() -> impl Iterator<Item = &'static Row> {
    DUMB_INIT.iter().filter(|row| row.can_be_abbreviated)
}

/// Whether a word may be an option that the original does not have.
fn may_be_new(word: &&CStr) -> bool {
    let word = word.to_bytes();
    DUMB_INIT.iter().filter(|row| !row.can_be_abbreviated).any(|row| {
        let is_long = row.long.is_some_and(|long| word.starts_with(long.as_bytes()));
        let letter = row.short.and_then(|short| short.bytes().last());
        is_long || letter.is_some_and(|letter| word.starts_with(b"-") && word.contains(&letter))
    })
}

/// Takes a command line, which begins with the program's name. A NUL byte separates its words.
///
/// # Panics
/// The program reads it differently from glibc.
pub fn command_line(input: &[u8]) {
    glibc::with_words(input, |words| {
        let run = fuzzing::parse(words).map(|run| run.map_err(without_bad_rewrite));
        if words.iter().any(may_be_new) {
            return;
        }
        for permutes in [true, false] {
            assert_eq!(
                fuzzing::read_options(words, permutes),
                glibc::read_options(words, permutes),
                "dumb-init (left) and getopt_long(3) (right), permutes: {permutes}, on {words:?}"
            );
        }
        // The pause is a difference.
        if matches!(words, [_program, word] if *word == c"-P") {
            return;
        }
        let expected = run_by(words, glibc::read_options(words, false));
        assert_eq!(run, Some(expected), "dumb-init (left) and the original (right) on {words:?}");
    });
}

/// Removes the line that names the bad value of `-r`, which the original does not print.
fn without_bad_rewrite(text: Vec<u8>) -> Vec<u8> {
    let is_usage = text.starts_with(b"Usage: -r option takes ");
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    if is_usage { lines.by_ref().take(3).flatten().copied().collect() } else { text }
}

/// Takes the value of an `-r`.
///
/// # Panics
/// The program reads it differently from glibc.
pub fn rewrite(input: &[u8]) {
    // A word ends at its first NUL byte.
    let text: Vec<u8> = input.iter().copied().take_while(|&byte| byte != 0).collect();
    let expected = scan(&text);
    // The original does not know names.
    if expected.is_some() || !text.iter().any(u8::is_ascii_alphabetic) {
        let text = text.as_slice();
        assert_eq!(
            fuzzing::parse_rewrite(text),
            expected,
            "dumb-init (left) and sscanf(3) (right) on {text:?}"
        );
    }
}

/// The command or the printed text, by options that glibc has read. The original acts on one by one.
fn run_by(words: &[&'static CStr], reading: Reading) -> Result<Run, Vec<u8>> {
    let printed = |option| fuzzing::parse(&[c"dumb-init", option]).and_then(Result::err).unwrap_or_default();
    let (mut single_child, mut verbose, mut rewrites) = (false, false, BTreeMap::new());
    for option in &reading.options {
        match option.as_slice() {
            b"--help" => return Err(printed(c"--help")),
            b"--version" => return Err(printed(c"--version")),
            b"--single-child" => single_child = true,
            b"--verbose" => verbose = true,
            other => {
                let text = other.strip_prefix(b"--rewrite=").unwrap_or_default();
                // It may have names.
                let names =
                    || fuzzing::parse_rewrite(text).filter(|_| text.iter().any(u8::is_ascii_alphabetic));
                let Some((from, to)) = scan(text).or_else(names) else {
                    return Err(
                        b"Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n\
                          This option can be specified multiple times.\n\
                          Use --help for full usage.\n"
                            .into(),
                    );
                };
                rewrites.insert(from, to);
            }
        }
    }
    match reading.end {
        End::Error(text) => Err(text),
        End::AtOnce => unreachable!("an option that acts at once comes last"),
        End::Command(command) if command.is_empty() => {
            let program = words.first().map_or(&[][..], |program| program.to_bytes());
            let usage = [b"Usage: ", program, b" [option] program [args]\nTry ", program];
            Err([usage.concat().as_slice(), b" --help for full usage.\n"].concat())
        }
        End::Command(command) => Ok(Run { single_child, verbose, rewrites, command }),
    }
}

/// The two numbers of a rule as the original reads them, with the real-time signals.
fn scan(text: &[u8]) -> Option<(i32, i32)> {
    let text = CString::new(text).ok()?;
    let is_signal = |number: &i32| matches!(number, 1..=31 | 34..=64);
    glibc::scan_pair(&text).filter(|(from, to)| is_signal(from) && (*to == 0 || is_signal(to)))
}

//! What is printed under another init's name?

use std::ffi::CStr;

use super::super::personality::Personality;
use super::{Row, Stream, rows};
use crate::options::table;

/// The line that scripts and daemons look at, to the letter: `docker info` has it of its init.
pub(super) fn version(init: Personality) -> String {
    match init {
        Personality::DumbInit => table::version(),
        Personality::Tini => "tini version 0.19.0\n".to_owned(),
        Personality::Catatonit => "tini version 0.1.7_catatonit\n".to_owned(),
    }
}

pub(super) fn stream_of_the_help(init: Personality) -> Stream {
    match init {
        Personality::Tini => Stream::Stdout,
        Personality::DumbInit | Personality::Catatonit => Stream::Stderr,
    }
}

/// What is said about a wrong command line.
pub(super) fn usage(program: &CStr) -> Vec<u8> {
    let program = program.to_bytes();
    [b"Usage: ", program, b" [OPTION]... [--] PROGRAM [ARGUMENT]...\nTry ", program, b" -h for more.\n"]
        .concat()
}

pub(super) fn help(init: Personality, program: &CStr) -> String {
    let name = program.to_string_lossy();
    let name = name.rsplit('/').next().unwrap_or_default();
    let (known_as, variables) = match init {
        Personality::DumbInit => ("dumb-init", ""),
        Personality::Tini => (
            "tini 0.19.0",
            "
Variables:
  TINI_SUBREAPER            The same as -s
  TINI_KILL_PROCESS_GROUP   The same as -g
  TINI_VERBOSITY            0 to 4; beats -v. From 2 on it says what is done
",
        ),
        Personality::Catatonit => (
            "catatonit 0.1.7",
            "
Variables:
  CATATONIT_DEBUG           Say what is done
",
        ),
    };
    let lines: Vec<String> = rows(init).map(Row::line).collect();
    let options = lines.concat();
    format!(
        "\
{name}: dumb-init {}, called by the name of {known_as}, with its options

Usage: {name} [OPTION]... [--] PROGRAM [ARGUMENT]...

Runs PROGRAM in a process group of its own, forwards every signal to it, reaps
orphans, and exits with PROGRAM's status.

{options}{variables}
The variables of dumb-init count, too (DUMB_INIT_DRAIN=10s); dumb-init --help
lists them.
",
        env!("CARGO_PKG_VERSION")
    )
}

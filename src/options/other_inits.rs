//! The options and variables of tini and catatonit, if we are called by their names.
//!
//! docs/coming-from.md explains them to users.

use super::settings::Setting;
use super::table::{Effect, ROW, Row, Text};
use super::value::Source;
use crate::log::Verbosity;
use crate::signal::exit_status::ExitRule;
use crate::signal::{Name, Signum};

const HELP: Row = Row {
    short: Some("-h"),
    implied_value: Some(""),
    help: "Print this text and exit",
    effect: Effect::Print(Text::Help),
    ..ROW
};

const GROUP: Row = Row {
    short: Some("-g"),
    implied_value: Some("group"),
    help: "Forward signals to the process group of PROGRAM",
    effect: Effect::Set(|options, given| options.forward.set(given)),
    ..ROW
};

const LICENSE: Row = Row {
    implied_value: Some(""),
    help: "Print the licence and exit",
    effect: Effect::Print(Text::License),
    ..ROW
};

/// The options of tini 0.19.0, except `--version`, which counts only as the only word.
pub static TINI: &[Row] = &[
    Row {
        short: Some("-s"),
        implied_value: Some("1"),
        variable: Some("TINI_SUBREAPER"),
        help: "Adopt orphans without being PID 1",
        effect: Effect::Set(|options, given| options.subreaper.set(given)),
        ..ROW
    },
    Row {
        short: Some("-p"),
        value_name: Some("SIGNAL"),
        help: "Receive SIGNAL when the parent exits",
        effect: Effect::Set(|options, given| {
            let signum =
                named_signal(given.text).ok_or_else(|| given.refusal("a signal's name (SIGTERM)"))?;
            options.parent_death_signal.replace(signum, given.source);
            Ok(())
        }),
        ..ROW
    },
    Row {
        short: Some("-v"),
        implied_value: Some("1"),
        variable: Some("TINI_VERBOSITY=2"),
        help: "Log actions; -vv logs senders and recipients, too",
        effect: Effect::Set(|options, given| {
            if given.is_variable() {
                // It beats the option, and DUMB_INIT_DEBUG beats both.
                options.verbosity = Setting { value: Some(verbosity(given.text)), source: Source::Default };
            } else {
                options.set_verbosity(given);
            }
            Ok(())
        }),
        ..ROW
    },
    Row {
        short: Some("-w"),
        implied_value: Some("1"),
        help: "Log each orphan that is reaped",
        effect: Effect::Set(|options, given| options.names_orphans.set(given)),
        ..ROW
    },
    Row { variable: Some("TINI_KILL_PROCESS_GROUP"), ..GROUP },
    Row {
        short: Some("-e"),
        value_name: Some("CODE"),
        help: "Exit with 0 if PROGRAM exits with CODE",
        effect: Effect::Set(|options, given| {
            let rule =
                expected_code(given.text).ok_or_else(|| given.refusal("an exit status from 0 to 255"))?;
            options.exit_rules.value.get_or_insert_default().push(rule);
            options.exit_rules.source = given.source;
            Ok(())
        }),
        ..ROW
    },
    Row { short: Some("-l"), ..LICENSE },
    HELP,
];

/// The options of catatonit 0.1.7.
pub static CATATONIT: &[Row] = &[
    GROUP,
    HELP,
    Row { short: Some("-L"), ..LICENSE },
    Row {
        short: Some("-P"),
        implied_value: Some("1"),
        help: "Run nothing; reap orphans until SIGTERM or SIGINT",
        effect: Effect::Set(|options, given| options.pauses.set(given)),
        ..ROW
    },
    Row {
        short: Some("-V"),
        long: Some("--version"),
        implied_value: Some(""),
        help: "Print the version and exit",
        can_be_abbreviated: true,
        effect: Effect::Print(Text::Version),
        ..ROW
    },
    // A variable without an option.
    Row {
        variable: Some("CATATONIT_DEBUG"),
        effect: Effect::Set(|options, given| {
            options.verbosity.replace(Verbosity::Debug, given.source);
            Ok(())
        }),
        ..ROW
    },
];

/// Returns the signal with this name, the only one that tini knows; it lacks a few signals.
fn named_signal(name: &[u8]) -> Option<Signum> {
    let is_unknown = |signum: &Signum| matches!(signum.raw(), libc::SIGSTKFLT | libc::SIGIO | libc::SIGPWR);
    let mut known = Signum::standard().filter(|signum| !is_unknown(signum));
    known.find(|&signum| Name(signum).to_string().as_bytes() == name)
}

/// Reads an exit status that stands for 0. An empty text is 0, as for strtol(3).
fn expected_code(text: &[u8]) -> Option<ExitRule> {
    let text = if text.is_empty() { b"0" } else { text.trim_ascii_start() };
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    ExitRule::parse(u8::try_from(number).ok()?.to_string().as_bytes())
}

/// Reads `TINI_VERBOSITY` as atoi(3) does. tini counts fatal errors as 0, warnings as 1, and takes a negative
/// number for a large one.
fn verbosity(text: &[u8]) -> Verbosity {
    let text = text.trim_ascii_start();
    let (is_negative, text) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let add = |number: u32, digit: &u8| number.saturating_mul(10).saturating_add(u32::from(digit & 0xf));
    match (is_negative, digits.fold(0, add)) {
        (_, 0) => Verbosity::Errors,
        (false, 1) => Verbosity::Quiet,
        (false, 2) => Verbosity::Debug,
        _ => Verbosity::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_of_tini_is_read_as_strtol_does() {
        for (text, code) in [("04", "4"), (" +4", "4"), ("", "0"), ("-0", "0"), ("255", "255")] {
            assert_eq!(expected_code(text.as_bytes()), ExitRule::parse(code.as_bytes()), "{text:?}");
        }
        for text in ["256", "-1", "x", "4x", "4 ", "0x4", "4:5", "99999999999999999999", "+-4", "- 0"] {
            assert_eq!(expected_code(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn verbosity_of_tini_is_read_as_atoi_does() {
        for (texts, expected) in [
            (&["0", "", "x", "-0"][..], Verbosity::Errors),
            (&["1", "+1"], Verbosity::Quiet),
            (&["2", " +2", "2x"], Verbosity::Debug),
            (&["3", "-1", "99999999999999999999"], Verbosity::Trace),
        ] {
            for text in texts {
                assert_eq!(verbosity(text.as_bytes()), expected, "{text:?}");
            }
        }
    }
}

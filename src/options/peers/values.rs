//! What does the value of another init's option, or of its variable, say here?

use super::super::personality::Personality;
use crate::log::Verbosity;
use crate::options::forward::Forward;
use crate::signal::{Name, Signum};

/// The name of a standard signal as tini has it, which lacks a few. Ours has more spellings.
pub(super) fn parent_death_signal(text: &[u8]) -> Option<String> {
    let lacks = |signum: &Signum| matches!(signum.raw(), libc::SIGSTKFLT | libc::SIGIO | libc::SIGPWR);
    let names = Signum::standard().filter(|signum| !lacks(signum)).map(|signum| Name(signum).to_string());
    names.into_iter().find(|name| name.as_bytes() == text)
}

/// A number as strtol(3) reads it, which has 0 in an empty word.
pub(super) fn exit_code(text: &[u8]) -> Option<String> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let digits = text.get(text.iter().take_while(|byte| is_space(byte)).count()..).unwrap_or_default();
    let digits = str::from_utf8(digits).ok()?;
    let code: u8 = match (text, digits.strip_prefix('-')) {
        ([], _) => 0,
        (_, Some(zeros)) => {
            Some(0).filter(|_| !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0'))?
        }
        (_, None) => digits.parse().ok()?,
    };
    Some(code.to_string())
}

/// What their variables say, which stand behind ours. An empty one is one.
#[derive(Default)]
pub(crate) struct Variables {
    pub(crate) forward: Option<Forward>,
    pub(crate) subreaper: bool,
    pub(crate) verbosity: Option<Verbosity>,
}

/// The variable of tini that stands for `-g`.
pub(crate) const TINI_GROUP: &str = "TINI_KILL_PROCESS_GROUP";

impl Variables {
    pub(crate) fn of<'a>(init: Personality, variable: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        match init {
            Personality::DumbInit => Self::default(),
            Personality::Tini => Self {
                forward: variable(TINI_GROUP).map(|_| Forward::Group),
                subreaper: variable("TINI_SUBREAPER").is_some_and(|_| true),
                verbosity: variable("TINI_VERBOSITY").map(tini_verbosity),
            },
            // It always adopts orphans.
            Personality::Catatonit => Self {
                forward: None,
                subreaper: true,
                verbosity: variable("CATATONIT_DEBUG").map(|_| Verbosity::Debug),
            },
        }
    }
}

/// tini counts fatal errors as 0, and warnings as 1, which is what it does unasked. It reads the number by atoi(3), and takes a
/// negative one for a very big one.
fn tini_verbosity(text: &[u8]) -> Verbosity {
    let text = text.trim_ascii_start();
    let is_negative = text.starts_with(b"-");
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let add = |value: i64, digit: &u8| {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        let value = value.saturating_mul(10);
        if is_negative { value.saturating_sub(digit) } else { value.saturating_add(digit) }
    };
    let number = digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, add);
    // What is left of it in 32 bits.
    match number & i64::from(u32::MAX) {
        0 | 1 => Verbosity::Quiet,
        2 => Verbosity::Debug,
        _ => Verbosity::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_is_read_as_strtol_reads_it() {
        for (text, expected) in
            [("4", "4"), ("04", "4"), (" +4", "4"), ("", "0"), ("-0", "0"), ("255", "255")]
        {
            assert_eq!(exit_code(text.as_bytes()).as_deref(), Some(expected), "{text:?}");
        }
        for text in
            ["256", "-1", "x", "4x", "4 ", "0x4", "4:5", "4294967300", "99999999999999999999", "+-4", "- 0"]
        {
            assert_eq!(exit_code(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn verbosity_is_read_as_atoi_reads_it() {
        for (texts, expected) in [
            (&["0", "1", "", "x", "-0", "4294967296", "-99999999999999999999"][..], Verbosity::Quiet),
            (&["2", " +2", "2x", "4294967298"], Verbosity::Debug),
            (&["3", "4", "-1", "99999999999", "99999999999999999999"], Verbosity::Trace),
        ] {
            for text in texts {
                assert_eq!(tini_verbosity(text.as_bytes()), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_signal_has_the_one_name_that_tini_knows() {
        assert_eq!(parent_death_signal(b"SIGTERM").as_deref(), Some("SIGTERM"));
        for text in ["TERM", "15", "sigterm", "SIGCLD", "SIGRTMIN", "SIGPWR", ""] {
            assert_eq!(parent_death_signal(text.as_bytes()), None, "{text:?}");
        }
    }
}

//! Is this a value that an option takes?
//!
//! Options and variables take the same values, read by the same code, and what is wrong with one is said in the same
//! words: one line that names the option or the variable, and the value.

use nix::unistd::Pid;

use crate::log::escape::Escaped;
use crate::signal::Signum;
use crate::signal::exit_status::ExitRule;
use crate::signal::rewrite::Rewrite;

/// What can be given as the value of an option or a variable.
pub(crate) trait Value: Sized {
    /// What it is, for whoever gave something else.
    const IS: &'static str;

    /// Reads it. `None` where the text is none.
    fn parse(text: &[u8]) -> Option<Self>;
}

/// Several of them, as a list with commas.
pub(crate) fn parse_list<V: Value>(text: &[u8]) -> Option<Vec<V>> {
    text.split(|&byte| byte == b',').map(V::parse).collect()
}

impl Value for bool {
    const IS: &'static str = "1 or 0";

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"1" => Some(true),
            b"0" => Some(false),
            _ => None,
        }
    }
}

impl Value for Pid {
    const IS: &'static str = "a PID";

    fn parse(text: &[u8]) -> Option<Self> {
        let digits = Some(text).filter(|text| text.iter().all(u8::is_ascii_digit))?;
        str::from_utf8(digits).ok()?.parse().ok().filter(|&pid| pid > 0).map(Self::from_raw)
    }
}

impl Value for Signum {
    const IS: &'static str = "a signal (15, TERM, SIGTERM, RTMIN+3)";

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }
}

impl Value for Rewrite {
    const IS: &'static str = "SIGNAL:SIGNAL or SIGNAL:0 (15:3, TERM:QUIT, HUP:0)";

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }
}

impl Value for ExitRule {
    const IS: &'static str = "CODE or CODE:NEW (143, 143:0), each from 0 to 255";

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }
}

/// Says, on one line and without its end, that the option or variable called `source` doesn't take a value.
pub(crate) fn refusal(source: &str, is: &str, value: &[u8]) -> Vec<u8> {
    format!("{source} takes {is}, not '{}'", Escaped(value)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_whatever_the_value() {
        let text = refusal("variable X", bool::IS, b"a\nb\xff\t\x7f\xc3\xa9\xe2\x80\xae");
        assert_eq!(text, b"variable X takes 1 or 0, not 'a\\nb\\xff\\t\\u{7f}\xc3\xa9\\u{202e}'");
    }
}

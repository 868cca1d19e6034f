//! Is this a value that an option takes?
//!
//! Options and variables take the same values, read by the same code, and what is wrong with one is said in the same
//! words: one line that names the option or the variable, and the value.

use nix::unistd::Pid;

use crate::log::escape::Escaped;

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

/// Yes or no, for the variable of an option that takes no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Switch {
    #[default]
    Off,
    On,
}

impl Value for Switch {
    const IS: &'static str = "1 or 0";

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"1" => Some(Self::On),
            b"0" => Some(Self::Off),
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

/// Says, on one line and without its end, that the option or variable called `source` doesn't take a value.
pub(crate) fn refusal(source: &str, is: &str, value: &[u8]) -> Vec<u8> {
    format!("{source} takes {is}, not '{}'", Escaped(value)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_whatever_the_value() {
        let text = refusal("variable X", Switch::IS, b"a\nb\xff\t\x7f\xc3\xa9\xe2\x80\xae");
        assert_eq!(text, b"variable X takes 1 or 0, not 'a\\nb\\xff\\t\\u{7f}\xc3\xa9\\u{202e}'");
    }
}

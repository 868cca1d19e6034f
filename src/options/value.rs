//! The types of values that options and variables take, and the message about an invalid one.

use std::ffi::{CStr, CString};
use std::fmt;
use std::time::Duration;

use nix::unistd::Pid;

use super::UsageError;
use crate::log::escape::Escaped;
use crate::signal::Signum;
use crate::signal::exit_status::ExitRule;
use crate::signal::rewrite::Rewrite;

/// A type of value.
pub(crate) trait Value: Sized {
    /// The valid values, for the message.
    const IS: &'static str;

    /// Parses a value. `None` if it is invalid.
    fn parse(text: &[u8]) -> Option<Self>;
}

/// Origin of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    Option(&'static str),
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("the default"),
            Self::Option(name) => write!(out, "option '{name}'"),
            Self::Variable(name) => write!(out, "variable {name}"),
        }
    }
}

/// A value from the command line or the environment.
pub(crate) struct Given<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) source: Source,
    pub(crate) text: &'a [u8],
}

impl Given<'_> {
    pub(crate) fn is_variable(&self) -> bool {
        matches!(self.source, Source::Variable(_))
    }

    pub(crate) fn parse<V: Value>(&self) -> Result<V, UsageError> {
        V::parse(self.text).ok_or_else(|| self.refusal(V::IS))
    }

    /// The line that names the option or variable, its valid values, and the value.
    pub(crate) fn refusal(&self, is: &str) -> UsageError {
        let text = format!("{} takes {is}, not '{}'", self.source, Escaped(self.text));
        UsageError::new(self.program, text.as_bytes())
    }
}

/// Several values, separated by commas.
impl<V: Value> Value for Vec<V> {
    const IS: &'static str = V::IS;

    fn parse(text: &[u8]) -> Option<Self> {
        text.split(|&byte| byte == b',').map(V::parse).collect()
    }
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
        std::str::from_utf8(digits).ok()?.parse().ok().filter(|&pid| pid > 0).map(Self::from_raw)
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
    const IS: &'static str =
        "CODE, CODE:NEW, asked:CODE[:NEW] or deadline:CODE[:NEW] (143, 143:0), each from 0 to 255";

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }
}

/// Recipients of a forwarded signal. The isolation of the command depends on it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// Only the command's process.
    Child,
    /// The process group of the command.
    Group,
    /// Every descendant.
    Tree,
}

impl Forward {
    /// The value of the option.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Child => "child",
            Self::Group => "group",
            Self::Tree => "tree",
        }
    }
}

impl Value for Forward {
    const IS: &'static str = "child, group or tree";

    fn parse(text: &[u8]) -> Option<Self> {
        [Self::Child, Self::Group, Self::Tree].into_iter().find(|forward| forward.name().as_bytes() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    After(Duration),
    Never,
}

impl Value for Limit {
    const IS: &'static str = "a duration (10s, 500ms, 2m, 1h, forever)";

    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"forever" { Some(Self::Never) } else { parse_duration(text).map(Self::After) }
    }
}

/// The time that a signal is held before it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) signum: Signum,
    pub(crate) duration: Duration,
}

impl Value for Delay {
    const IS: &'static str = "SIGNAL:DURATION (TERM:5s) for a signal that can be held";

    fn parse(text: &[u8]) -> Option<Self> {
        let (signal, duration) = text.split_at(text.iter().position(|&byte| byte == b':')?);
        let delay =
            Self { signum: Signum::parse(signal)?, duration: parse_duration(duration.strip_prefix(b":")?)? };
        delay.signum.can_be_forwarded().then_some(delay)
    }
}

/// The place to which a report is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Destination {
    #[default]
    Stderr,
    File(CString, Format),
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Value for Destination {
    const IS: &'static str = "an absolute path, or -";

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::Stderr),
            [b'/', ..] => {
                let format = if text.ends_with(b".json") { Format::Json } else { Format::Text };
                Some(Self::File(CString::new(text).ok()?, format))
            }
            _ => None,
        }
    }
}

/// Parses a duration with integers, since std's parser of floats adds 15 kB.
fn parse_duration(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, unit) =
        text.split_at(text.find(|char: char| !matches!(char, '0'..='9' | '.')).unwrap_or(text.len()));
    let nanoseconds: u128 = match unit {
        "ms" => 1_000_000,
        "s" | "" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.contains('.') || whole.is_empty() && decimals.is_empty() {
        return None;
    }
    // Digits after the 18th are less than a nanosecond, even in hours.
    let decimals = decimals.get(..18).unwrap_or(decimals);
    let digits = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let scale = 10u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let fraction = digits(decimals)?.checked_mul(nanoseconds)?.checked_div(scale)?;
    let total = digits(whole)?.checked_mul(nanoseconds)?.checked_add(fraction)?;
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(total % 1_000_000_000).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_decimals() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("007", 7000),
            ("500ms", 500),
            ("2m", 120_000),
            (".5s", 500),
            ("1.s", 1000),
            ("1.23456h", 4_444_416),
            ("0.00000000000000000000000000000000000000000001h", 0),
        ] {
            let expected = Limit::After(Duration::from_millis(milliseconds));
            assert_eq!(Limit::parse(text.as_bytes()), Some(expected), "{text}");
        }
        assert_eq!(Limit::parse(b"forever"), Some(Limit::Never));
        assert_eq!(Limit::parse(b"18446744073709551615"), Some(Limit::After(Duration::from_secs(u64::MAX))));
    }

    #[test]
    fn report_goes_to_an_absolute_path_or_stderr() {
        let file = |path: &CStr, format| Some(Destination::File(path.to_owned(), format));
        assert_eq!(Destination::parse(b"-"), Some(Destination::Stderr));
        assert_eq!(Destination::parse(b"/dev/json"), file(c"/dev/json", Format::Text));
        assert_eq!(Destination::parse(b"/a b.json"), file(c"/a b.json", Format::Json));
        for text in ["", "a", "./a", "--", "/a\0b"] {
            assert_eq!(Destination::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn text_that_is_no_duration_is_refused() {
        let far_too_long = format!("{}h", "9".repeat(400));
        let texts = "|s|.|-1s|+1s|1 s| 1s|1s |1d|1S|1e3|inf|1.2.3|1,5s|10s5|Forever|18446744073709551616";
        for text in texts.split('|').chain([far_too_long.as_str()]) {
            assert_eq!(Limit::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}

//! Parses values of options and variables, and words the message about an invalid one.

use std::ffi::CStr;
use std::fmt;

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

    /// Parses the value.
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

//! Settings and modes of an init.

use std::fmt::{self, Display};

/// Role of the init in its PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As a plain process.
    Plain,
    /// As PID 1 of a namespace.
    Pid1,
}

/// Recipient of forwarded signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Group,
    Child,
}

/// Every place and mode.
pub const SETTINGS: [(Place, Mode); 4] = [
    (Place::Plain, Mode::Group),
    (Place::Plain, Mode::Child),
    (Place::Pid1, Mode::Group),
    (Place::Pid1, Mode::Child),
];

impl Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Plain => "plain process",
            Self::Pid1 => "PID 1",
        })
    }
}

impl Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Group => "group",
            Self::Child => "-c",
        })
    }
}

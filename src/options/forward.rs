//! The recipients of forwarded signals: `--forward`.

use super::value::Value;

/// Who gets a forwarded signal. Where the command's process is put depends on it, too ([`crate::options::personality::Personality::place`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// The command's process alone.
    Child,
    /// The process group that it leads.
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
        match text {
            b"child" => Some(Self::Child),
            b"group" => Some(Self::Group),
            b"tree" => Some(Self::Tree),
            _ => None,
        }
    }
}

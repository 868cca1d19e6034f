//! Recipients of forwarded signals: `--forward`.

use super::value::Value;

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
        match text {
            b"child" => Some(Self::Child),
            b"group" => Some(Self::Group),
            b"tree" => Some(Self::Tree),
            _ => None,
        }
    }
}

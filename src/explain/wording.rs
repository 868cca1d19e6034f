//! What is a process called, for people?
//!
//! Words are bytes, of any length and with anything in them. What is shown is one line of text, in which nothing can move the
//! cursor or look like the end of a column.

use std::borrow::Cow;

use super::facts::Facts;
use crate::log::escape::Escaped;
use crate::sys::arguments::Arg;

/// Longer names are cut where they stand in a sentence.
const LONGEST_NAME: usize = 40;

/// The words as one line.
pub(crate) fn line_of(words: &[Arg]) -> String {
    let words: Vec<String> = words.iter().map(|word| Escaped(word.to_bytes()).to_string()).collect();
    words.join(" ")
}

const MARK: &str = "...";

/// The line, or its beginning where it is longer.
pub(crate) fn cut(line: &str, longest: usize) -> Cow<'_, str> {
    if line.chars().count() <= longest {
        return line.into();
    }
    let beginning: String = line.chars().take(longest.saturating_sub(MARK.len())).collect();
    format!("{beginning}{MARK}").into()
}

/// What an init was told to run, in a sentence.
pub(crate) fn command_of(command: &[Arg]) -> String {
    cut(&line_of(command), LONGEST_NAME).into_owned()
}

/// The program of a process, in a sentence: the first word, without its directory.
pub(crate) fn name_of(facts: &Facts) -> String {
    let name = line_of(facts.command.get(..1).unwrap_or_default());
    let name = name.rsplit('/').next().unwrap_or_default();
    cut(name.trim_start_matches('-'), LONGEST_NAME).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line_whatever_is_in_it() {
        assert_eq!(
            line_of(&[c"a b", c"\t\n\x1b[31m", c"\xff\xc3\xa9", c"\xe2\x80\xae"]),
            "a b \\t\\n\\u{1b}[31m \\xff\u{e9} \\u{202e}"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(cut("12345", 5), "12345");
        assert_eq!(cut("123456", 5), "12...");
        assert_eq!(cut("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", 5), "\u{e9}\u{e9}...");
        assert_eq!(cut("123456", 2), "...");
    }
}

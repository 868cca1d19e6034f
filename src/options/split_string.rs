//! Which words does `-S` make of one?
//!
//! The kernel hands everything behind the interpreter of a `#!` line over as a single word. `-S` takes it apart as env(1)'s
//! does: blanks separate words; `'` and `"` keep them together; `\` escapes; `#` where a word would begin ends it
//! all; `${NAME}` is a variable. NoChild else is: this is no shell.

use std::fmt;

/// What is wrong with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    NoClosingQuote,
    BackslashAtTheEnd,
    UnknownEscape,
    /// `\c` ends it all, which can't be inside of `"`.
    EndInQuotes,
    /// A `$` that is not `${NAME}`.
    NoVariable,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoClosingQuote => "words whose quotes are closed",
            Self::BackslashAtTheEnd => "words without a backslash at the end",
            Self::UnknownEscape => {
                r#"words in which a backslash is followed by one of _ c f n r t v # $ \ " '"#
            }
            Self::EndInQuotes => r"words with no \c in double quotes",
            Self::NoVariable => "words in which every $ is the beginning of ${NAME}",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Takes `text` apart. `variable` knows the values of variables; one that isn't set is nothing at all, not even an empty
/// word.
///
/// # Errors
/// What env(1) refuses.
pub(crate) fn split<'a>(
    text: &'a [u8],
    variable: impl Fn(&'a [u8]) -> Option<&'a [u8]>,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    // The word that is being read; `None` between two.
    let mut word: Option<Vec<u8>> = None;
    let mut quote = Quote::None;
    let mut rest = text;
    while let [byte, following @ ..] = rest {
        rest = following;
        let byte = match (*byte, quote) {
            (b'\'', Quote::None) => {
                quote = Quote::Single;
                word.get_or_insert_default();
                continue;
            }
            (b'"', Quote::None) => {
                quote = Quote::Double;
                word.get_or_insert_default();
                continue;
            }
            (b'\'', Quote::Single) | (b'"', Quote::Double) => {
                quote = Quote::None;
                continue;
            }
            (b' ' | b'\t'..=b'\r', Quote::None) => {
                words.extend(word.take());
                continue;
            }
            (b'#', Quote::None) if word.is_none() => break,
            // Single quotes leave all others alone.
            (b'\\', Quote::Single) if !matches!(rest, [b'\\' | b'\'', ..]) => b'\\',
            (b'\\', _) => {
                let [escaped, following @ ..] = rest else { return Err(Error::BackslashAtTheEnd) };
                rest = following;
                match (*escaped, quote) {
                    (b'_', Quote::None) => {
                        words.extend(word.take());
                        continue;
                    }
                    (b'_', _) => b' ',
                    (b'c', Quote::Double) => return Err(Error::EndInQuotes),
                    (b'c', _) => break,
                    (b'f', _) => b'\x0c',
                    (b'n', _) => b'\n',
                    (b'r', _) => b'\r',
                    (b't', _) => b'\t',
                    (b'v', _) => b'\x0b',
                    (b'#' | b'$' | b'\\' | b'"' | b'\'', _) => *escaped,
                    _ => return Err(Error::UnknownEscape),
                }
            }
            (b'$', Quote::None | Quote::Double) => {
                let (name, following) = variable_name(rest).ok_or(Error::NoVariable)?;
                rest = following;
                if let Some(value) = variable(name) {
                    word.get_or_insert_default().extend_from_slice(value);
                }
                continue;
            }
            (other, _) => other,
        };
        word.get_or_insert_default().push(byte);
    }
    words.extend(word);
    if quote == Quote::None { Ok(words) } else { Err(Error::NoClosingQuote) }
}

/// The name in `{NAME}`, and what follows.
fn variable_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"{")?;
    let (name, rest) = text.split_at(text.iter().position(|&byte| byte == b'}')?);
    let is_one = matches!(name, [first, ..] if !first.is_ascii_digit());
    let is_one = is_one && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_one.then_some((name, rest.strip_prefix(b"}")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, Error> {
        let variable = |name: &[u8]| match name {
            b"EMPTY" => Some(&b""[..]),
            b"TWO" => Some(&b"a  b"[..]),
            _ => None,
        };
        let words = split(text.as_bytes(), variable)?;
        Ok(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect())
    }

    #[test]
    fn words_are_split_quoted_and_escaped_as_env_does() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("--drain 10s /bin/sh", &["--drain", "10s", "/bin/sh"]),
            ("a\x0bb\x0cc\rd", &["a", "b", "c", "d"]),
            ("'a b' \"c d\"e", &["a b", "c de"]),
            ("'' \"\"", &["", ""]),
            (r#"'a\nb\'c\\d' "x\"y""#, &[r"a\nb'c\d", "x\"y"]),
            (r"a\_b c\tc", &["a", "b", "c\tc"]),
            (r#""a\_b""#, &["a b"]),
            ("a#b #c d", &["a#b"]),
            (r"\#a", &["#a"]),
            (r"a b\c d", &["a", "b"]),
            ("x${TWO}y ${EMPTY} ${NONE} \"${NONE}\" '${TWO}'", &["xa  by", "", "", "${TWO}"]),
        ] {
            assert_eq!(
                words(text).as_deref(),
                Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn what_env_refuses_is_refused() {
        for (text, error) in [
            ("'a", Error::NoClosingQuote),
            ("a\"b", Error::NoClosingQuote),
            ("a\\", Error::BackslashAtTheEnd),
            (r"a\x", Error::UnknownEscape),
            (r#""\c""#, Error::EndInQuotes),
            ("$HOME", Error::NoVariable),
            ("${}", Error::NoVariable),
            ("${1}", Error::NoVariable),
            ("${A", Error::NoVariable),
            ("${A-b}", Error::NoVariable),
        ] {
            assert_eq!(words(text), Err(error), "{text:?}");
        }
    }
}

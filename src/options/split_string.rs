//! Splits the value of `-S` into words as env(1) does.
//!
//! The kernel passes everything after the interpreter of a `#!` line as one word. Blanks separate words; `'`
//! and `"` keep them together; `\` escapes; `#` at the start of a word begins a comment; `${NAME}` is a
//! variable.

const UNCLOSED_QUOTE: &str = "words whose quotes are closed";
const BACKSLASH_AT_END: &str = "words without a backslash at the end";
const UNKNOWN_ESCAPE: &str = r#"words in which a backslash is followed by one of _ c f n r t v # $ \ " '"#;
/// `\c` ends the text.
const END_IN_QUOTES: &str = r"words with no \c in double quotes";
const NO_VARIABLE: &str = "words in which every $ is the beginning of ${NAME}";

/// Splits `text`, or returns a description of valid words. A variable that is not set is no empty word.
pub(crate) fn split<'a>(
    text: &'a [u8],
    variable: impl Fn(&'a [u8]) -> Option<&'a [u8]>,
) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    // The current word. `None` between words.
    let mut word: Option<Vec<u8>> = None;
    // The open quote.
    let mut quote: Option<u8> = None;
    let mut rest = text;
    while let [byte, following @ ..] = rest {
        rest = following;
        let byte = match (*byte, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(*byte);
                word.get_or_insert_default();
                continue;
            }
            (byte, Some(open)) if byte == open => {
                quote = None;
                continue;
            }
            (b' ' | b'\t'..=b'\r', None) => {
                words.extend(word.take());
                continue;
            }
            (b'#', None) if word.is_none() => break,
            // In single quotes, only these two are escaped.
            (b'\\', Some(b'\'')) if !matches!(rest, [b'\\' | b'\'', ..]) => b'\\',
            (b'\\', _) => {
                let [escaped, following @ ..] = rest else { return Err(BACKSLASH_AT_END) };
                rest = following;
                match (*escaped, quote) {
                    (b'_', None) => {
                        words.extend(word.take());
                        continue;
                    }
                    (b'_', _) => b' ',
                    (b'c', Some(_)) => return Err(END_IN_QUOTES),
                    (b'c', _) => break,
                    (b'f', _) => b'\x0c',
                    (b'n', _) => b'\n',
                    (b'r', _) => b'\r',
                    (b't', _) => b'\t',
                    (b'v', _) => b'\x0b',
                    (b'#' | b'$' | b'\\' | b'"' | b'\'', _) => *escaped,
                    _ => return Err(UNKNOWN_ESCAPE),
                }
            }
            (b'$', None | Some(b'"')) => {
                let (name, following) = variable_name(rest).ok_or(NO_VARIABLE)?;
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
    if quote.is_none() { Ok(words) } else { Err(UNCLOSED_QUOTE) }
}

/// Returns the name in `{NAME}`, and the text after it.
fn variable_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"{")?;
    let (name, rest) = text.split_at(text.iter().position(|&byte| byte == b'}')?);
    let is_valid = matches!(name, [first, ..] if !first.is_ascii_digit())
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_valid.then_some((name, rest.strip_prefix(b"}")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, &'static str> {
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
            (r"a b\c d", &["a", "b"]),
            ("x${TWO}y ${EMPTY} ${NONE} \"${NONE}\" '${TWO}'", &["xa  by", "", "", "${TWO}"]),
        ] {
            assert_eq!(words(text).expect(text), expected, "{text:?}");
        }
    }

    #[test]
    fn text_that_env_refuses_is_refused() {
        for (text, error) in [
            ("'a", UNCLOSED_QUOTE),
            ("a\\", BACKSLASH_AT_END),
            (r"a\x", UNKNOWN_ESCAPE),
            (r#""\c""#, END_IN_QUOTES),
            ("$HOME", NO_VARIABLE),
            ("${}", NO_VARIABLE),
            ("${1}", NO_VARIABLE),
            ("${A", NO_VARIABLE),
            ("${A-b}", NO_VARIABLE),
        ] {
            assert_eq!(words(text), Err(error), "{text:?}");
        }
    }
}

//! Escapes text that other programs or users control, so that it stays on one line and in order.

use std::fmt::{self, Write as _};

/// Whether a character is printed as it is. Control characters, line separators and characters that are
/// invisible or reorder the text (Unicode: Bidi_Control, Default_Ignorable) are not harmless.
fn is_harmless(letter: char) -> bool {
    let is_format = matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !letter.is_control() && !is_format
}

/// Displays bytes with `\n`, `\u{202e}` or, if they are not UTF-8, `\xff` in place of everything that is not
/// harmless.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if is_harmless(letter) {
                    out.write_char(letter)?;
                } else {
                    write!(out, "{}", letter.escape_default())?;
                }
            }
            write!(out, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_one_line_in_reading_order() {
        assert_eq!(Escaped(b"a b\\'\xc3\xa9").to_string(), "a b\\'\u{e9}");
        assert_eq!(Escaped(b"\xff\t\n\x1b[31m\x7f").to_string(), "\\xff\\t\\n\\u{1b}[31m\\u{7f}");
        let letters =
            "\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\u{2028}\u{202e}\u{2060}\u{2066}\u{feff}";
        for letter in letters.chars() {
            let text = letter.to_string();
            assert_eq!(Escaped(text.as_bytes()).to_string(), letter.escape_unicode().to_string());
        }
    }
}

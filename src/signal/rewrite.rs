//! Which signal becomes which?
//!
//! `-r 15:2` makes a SIGINT of every SIGTERM on its way to the command, `-r TERM:0` drops it. The grammar is the
//! original's, which reads two decimal numbers as scanf(3) does: white space and a sign may precede each, a number
//! wraps to 32 bits, and what follows the second one changes nothing. What can't be read so is read as names.

use crate::signal::{PerSignal, Signum};

/// One rule: what becomes of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    from: Signum,
    to: Outcome,
}

/// What a signal is rewritten to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is not forwarded.
    Dropped,
    /// This one is forwarded in its place.
    Becomes(Signum),
}

impl Rewrite {
    /// Reads two numbers or two names: `15:3`, `TERM:QUIT`, `HUP:0`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Self::scan(text).map(|(rewrite, _)| rewrite).or_else(|| Self::by_name(text))
    }

    /// Reads two numbers, and returns what follows them.
    fn scan(text: &[u8]) -> Option<(Self, &[u8])> {
        let (from, rest) = scan_number(text)?;
        let (to, rest) = scan_number(rest.strip_prefix(b":")?)?;
        let to = if to == 0 { Outcome::Dropped } else { Outcome::Becomes(known(Signum::new(to)?)?) };
        Some((Self { from: known(Signum::new(from)?)?, to }, rest))
    }

    fn by_name(text: &[u8]) -> Option<Self> {
        let (from, to) = text.split_at(text.iter().position(|&byte| byte == b':')?);
        let to = match to.strip_prefix(b":")? {
            b"0" => Outcome::Dropped,
            name => Outcome::Becomes(known(Signum::parse(name)?)?),
        };
        Some(Self { from: known(Signum::parse(from)?)?, to })
    }

    /// Does the text, which is a rule, go on after it with what changes nothing?
    pub(crate) fn has_trailing_text(text: &[u8]) -> bool {
        Self::scan(text).is_some_and(|(_, rest)| !rest.iter().all(u8::is_ascii_whitespace))
    }
}

/// A signal that can stand in a rule. 32 and 33 are refused, as the original does: they have no names, and C libraries keep
/// them for themselves.
fn known(signum: Signum) -> Option<Signum> {
    (!signum.is_nameless()).then_some(signum)
}

/// Reads an int as scanf(3)'s `%d` does, and returns what follows it.
fn scan_number(text: &[u8]) -> Option<(i32, &[u8])> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let (_space, text) = text.split_at(text.iter().take_while(|byte| is_space(byte)).count());
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        let tens = value.saturating_mul(10);
        if negative { tens.saturating_sub(digit) } else { tens.saturating_add(digit) }
    });
    // glibc reads a long, clamped to its range, and stores its lower half.
    #[allow(clippy::cast_possible_truncation)]
    Some((value as i32, rest))
}

/// What becomes of each signal; nothing, unless a rule was set.
#[derive(Clone, Debug)]
pub(crate) struct RewriteTable(PerSignal<Outcome>);

impl RewriteTable {
    /// A table without rules.
    pub(crate) fn new() -> Self {
        Self(PerSignal::NONE)
    }

    /// Adds a rule; the last one for a signal counts.
    pub(crate) fn set(&mut self, rewrite: Rewrite) {
        self.0.place(rewrite.from).map(|place| place.replace(rewrite.to));
    }

    /// Adds a rule for a signal that has none yet.
    pub(crate) fn set_default(&mut self, from: Signum, to: Outcome) {
        self.0.place(from).map(|place| place.get_or_insert(to));
    }

    /// The rule for a signal, if there is one (which may name the signal itself).
    pub(crate) fn get(&self, signum: Signum) -> Option<Outcome> {
        self.0.get(signum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(i32, i32)> {
        Rewrite::parse(text.as_bytes()).map(|rewrite| {
            let to = match rewrite.to {
                Outcome::Dropped => 0,
                Outcome::Becomes(signum) => signum.raw(),
            };
            (rewrite.from.raw(), to)
        })
    }

    #[test]
    fn two_numbers_are_read_as_scanf_reads_them() {
        for (text, expected) in [
            ("15:3", (15, 3)),
            (" 15:\t+3", (15, 3)),
            ("\u{b}15:\u{c}\r\n3", (15, 3)),
            ("015:3", (15, 3)),
            ("1:31", (1, 31)),
            ("31:0", (31, 0)),
            ("15:-0", (15, 0)),
            ("15:3x", (15, 3)),
            ("15:3:4", (15, 3)),
            ("15:0x9", (15, 0)),
            ("4294967311:4294967297", (15, 1)),
            ("-4294967281:3", (15, 3)),
        ] {
            assert_eq!(parsed(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn names_and_real_time_signals_are_read_too() {
        for (text, expected) in [
            ("TERM:QUIT", (15, 3)),
            ("sigterm:0", (15, 0)),
            ("15:QUIT", (15, 3)),
            ("TERM:3", (15, 3)),
            ("RTMIN+3:TERM", (37, 15)),
            ("37:64", (37, 64)),
        ] {
            assert_eq!(parsed(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn what_follows_two_numbers_is_ignored() {
        for text in ["15:3:4", "15:3,1:2", "15:0x9", "15:3 x"] {
            assert!(Rewrite::has_trailing_text(text.as_bytes()), "{text:?}");
        }
        for text in ["15:3", " 15: 3 \n", "TERM:QUIT"] {
            assert!(!Rewrite::has_trailing_text(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_pair_of_signals_is_refused() {
        for text in [
            "",
            ":",
            "15",
            "15:",
            ":3",
            "x:3",
            "15:x",
            "15 :3",
            "0:3",
            "32:3",
            "1:32",
            "33:TERM",
            "TERM:33",
            "65:3",
            "15:65",
            "15:-1",
            "-15:3",
            "+:3",
            "+-15:3",
            "0x0f:3",
            "=15:3",
            "1 5:3",
            "99999999999999999999:3",
            "18446744073709551631:3",
            "TERM:",
            ":TERM",
            "TERM",
            "TERM:QUIT:0",
            "TERM: QUIT",
            "TERM:00",
            "0:TERM",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(Rewrite::parse(b"\xff15:3"), None);
    }

    #[test]
    fn the_last_rule_for_a_signal_counts() {
        let mut table = RewriteTable::new();
        for text in ["15:2", "15:0", "10:12"] {
            table.set(Rewrite::parse(text.as_bytes()).expect(text));
        }
        assert_eq!(table.get(Signum::TERM), Some(Outcome::Dropped));
        assert_eq!(table.get(Signum::HUP), None);
        let stop = Outcome::Becomes(Signum::STOP);
        table.set_default(Signum::TERM, stop);
        table.set_default(Signum::HUP, stop);
        assert_eq!(table.get(Signum::TERM), Some(Outcome::Dropped));
        assert_eq!(table.get(Signum::HUP), Some(Outcome::Becomes(Signum::STOP)));
    }
}

//! The rules of `-r`: `15:2` forwards SIGINT for each SIGTERM, `TERM:0` drops SIGTERM.
//!
//! The original reads a rule by scanf(3). White space and a sign may precede a number, a number wraps to 32
//! bits, and text after the second number is ignored. Names are read if there are no such numbers.

use crate::signal::Signum;

/// A rule for one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    from: Signum,
    to: Outcome,
}

/// The result of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Dropped,
    Becomes(Signum),
}

impl Rewrite {
    /// Reads two numbers or two names: `15:3`, `TERM:QUIT`, `HUP:0`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Self::scan(text).map(|(rewrite, _)| rewrite).or_else(|| Self::by_name(text))
    }

    /// Reads two numbers, and returns the text after them.
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

    /// Whether text that is ignored follows the numbers of a rule.
    pub(crate) fn has_trailing_text(text: &[u8]) -> bool {
        Self::scan(text).is_some_and(|(_, rest)| !rest.iter().all(u8::is_ascii_whitespace))
    }
}

/// A signal of a rule. The original refuses 32 and 33.
fn known(signum: Signum) -> Option<Signum> {
    (!signum.is_nameless()).then_some(signum)
}

/// Reads an int as scanf(3)'s `%d` does, and returns the text after it.
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
    #[allow(clippy::cast_possible_truncation, reason = "glibc stores the lower half of a clamped long")]
    Some((value as i32, rest))
}

/// The rules of `-r`. Signals without a rule are forwarded as they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct RewriteTable(Vec<Rewrite>);

impl RewriteTable {
    /// Adds a rule, which replaces an earlier rule for its signal.
    pub(crate) fn set(&mut self, rewrite: Rewrite) {
        self.forget(rewrite.from);
        self.0.push(rewrite);
    }

    /// Removes the rule for a signal.
    pub(crate) fn forget(&mut self, from: Signum) {
        self.0.retain(|rule| rule.from != from);
    }

    /// Adds a rule for a signal without a rule.
    pub(crate) fn set_default(&mut self, from: Signum, to: Outcome) {
        if self.get(from).is_none() {
            self.0.push(Rewrite { from, to });
        }
    }

    /// The rule for a signal. It may name the signal itself.
    pub(crate) fn get(&self, signum: Signum) -> Option<Outcome> {
        self.0.iter().find(|rule| rule.from == signum).map(|rule| rule.to)
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
    fn rewrite_of_two_numbers_is_parsed_like_scanf() {
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
    fn rewrite_accepts_names_and_real_time_signals() {
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
    fn rewrite_ignores_text_after_two_numbers() {
        for text in ["15:3:4", "15:3,1:2", "15:0x9", "15:3 x"] {
            assert!(Rewrite::has_trailing_text(text.as_bytes()), "{text:?}");
        }
        for text in ["15:3", " 15: 3 \n", "TERM:QUIT"] {
            assert!(!Rewrite::has_trailing_text(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn rewrite_of_no_signal_pair_is_refused() {
        let numbers = "|:|15|15:|:3|x:3|15:x|15 :3|0:3|65:3|15:65|15:-1|-15:3|+:3|+-15:3|0x0f:3|=15:3|1 5:3";
        let reserved_or_huge = "32:3|1:32|33:TERM|TERM:33|99999999999999999999:3|18446744073709551631:3";
        let names = "TERM:|:TERM|TERM|TERM:QUIT:0|TERM: QUIT|TERM:00|0:TERM";
        for text in [numbers, reserved_or_huge, names].iter().flat_map(|texts| texts.split('|')) {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(Rewrite::parse(b"\xff15:3"), None);
    }

    #[test]
    fn last_rewrite_rule_for_a_signal_applies() {
        let mut table = RewriteTable::default();
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

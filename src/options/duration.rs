//! Durations: `10s`, `500ms`, `2m`, `1h`, `1.5` (seconds), and `forever`.

use std::time::Duration;

use super::value::Value;
use crate::signal::Signum;

/// A time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    After(Duration),
    Never,
}

impl Value for Limit {
    const IS: &'static str = "a duration (10s, 500ms, 2m, 1h, forever)";

    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"forever" { Some(Self::Never) } else { parse(text).map(Self::After) }
    }
}

/// The time that a signal is held before it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) signum: Signum,
    pub(crate) duration: Duration,
}

impl Value for Delay {
    const IS: &'static str = "SIGNAL:DURATION (TERM:5s) for a signal that can be held";

    fn parse(text: &[u8]) -> Option<Self> {
        let (signal, duration) = text.split_at(text.iter().position(|&byte| byte == b':')?);
        let delay = Self { signum: Signum::parse(signal)?, duration: parse(duration.strip_prefix(b":")?)? };
        delay.signum.can_be_forwarded().then_some(delay)
    }
}

/// Parses a duration with integers, since std's parser of floats adds 15 kB.
fn parse(text: &[u8]) -> Option<Duration> {
    let is_part_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let (number, unit) = text.split_at(text.iter().take_while(|byte| is_part_of_number(byte)).count());
    let nanoseconds: u128 = match unit {
        b"ms" => 1_000_000,
        b"s" | b"" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    let mut parts = number.split(|&byte| byte == b'.');
    let (whole, decimals) = (parts.next()?, parts.next().unwrap_or_default());
    if parts.next().is_some() || whole.is_empty() && decimals.is_empty() {
        return None;
    }
    let digit = |byte: &u8| u128::from(byte.wrapping_sub(b'0'));
    let whole =
        whole.iter().try_fold(0u128, |value, byte| value.checked_mul(10)?.checked_add(digit(byte)))?;
    // Digits after the 18th are less than a nanosecond, even in hours.
    let (decimals, scale) = decimals.iter().take(18).fold((0u128, 1u128), |(value, scale), byte| {
        (value.saturating_mul(10).saturating_add(digit(byte)), scale.saturating_mul(10))
    });
    let decimals = decimals.checked_mul(nanoseconds)?.checked_div(scale)?;
    let total = whole.checked_mul(nanoseconds)?.checked_add(decimals)?;
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(total % 1_000_000_000).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_decimals() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("10", 10_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0.5", 500),
            (".5s", 500),
            ("1.5m", 90_000),
            ("1.s", 1000),
            ("0.001s", 1),
            ("1.23456h", 4_444_416),
            ("0.00000000000000000000000000000000000000000001h", 0),
            ("0", 0),
            ("007s", 7000),
        ] {
            let expected = Limit::After(Duration::from_millis(milliseconds));
            assert_eq!(Limit::parse(text.as_bytes()), Some(expected), "{text}");
        }
        assert_eq!(Limit::parse(b"forever"), Some(Limit::Never));
        assert_eq!(Limit::parse(b"18446744073709551615"), Some(Limit::After(Duration::from_secs(u64::MAX))));
    }

    #[test]
    fn text_that_is_no_duration_is_refused() {
        let far_too_long = format!("{}h", "9".repeat(400));
        let texts = "|s|.|-1s|+1s|1 s| 1s|1s |1d|1S|1e3|inf|nan|infinity|0x1|1.2.3|1,5s|10s5|Forever|\
                     for ever|99999999999999999999s|18446744073709551616";
        for text in texts.split('|').chain([far_too_long.as_str()]) {
            assert_eq!(Limit::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Limit::parse(b"1\xff"), None);
    }

    #[test]
    fn delay_requires_a_signal_that_can_be_held() {
        let delay = Delay { signum: Signum::TERM, duration: Duration::from_millis(1500) };
        assert_eq!(Delay::parse(b"SIGTERM:1.5s"), Some(delay));
        for text in "TERM|TERM:|:5s|TERM:forever|TERM:5s:1|KILL:5s|STOP:5s|CHLD:5s|0:5s|NO:1".split('|') {
            assert_eq!(Delay::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}

//! Why 143?
//!
//! A process ends by itself, with a status, or by a signal. An init has only a status of its own to report either, so
//! it reports 128 + n for signal n, as shells do.

use crate::signal::Signum;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// It called exit(3) with this status.
    Exited(u8),
    /// This signal ended it.
    Killed(Signum),
}

impl ExitStatus {
    /// The program did what it was asked for.
    pub(crate) const SUCCESS: Self = Self::Exited(0);
    /// The command line is wrong, or the command's process could not be set up (fork, setsid).
    pub(crate) const FAILURE: Self = Self::Exited(1);
    /// The command's process could not execute it.
    pub(crate) const NOT_EXECUTED: Self = Self::Exited(2);
    /// What shells, and tini, report of a command that they can't find, and of one that they may not execute.
    pub(crate) const NOT_FOUND: Self = Self::Exited(127);
    pub(crate) const NOT_PERMITTED: Self = Self::Exited(126);

    /// The status to exit with so as to report this one.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signum) => 128 | signum.number(), // 128 + n, since n < 128.
        }
    }
}

/// A rule for what is reported: this one in place of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitRule {
    code: u8,
    reported: u8,
}

impl ExitRule {
    /// Reads `CODE`, which stands for `CODE:0`, or `CODE:NEW`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut numbers = text.splitn(2, |&byte| byte == b':').map(|number| {
            let digits = Some(number).filter(|number| number.iter().all(u8::is_ascii_digit))?;
            str::from_utf8(digits).ok()?.parse().ok()
        });
        let code = numbers.next()??;
        Some(Self { code, reported: numbers.next().unwrap_or(Some(0))? })
    }
}

/// What is reported in place of what, for whoever takes 143 for a failure (T69, T75).
#[derive(Clone, Debug, Default)]
pub(crate) struct ExitMap(Vec<ExitRule>);

impl ExitMap {
    /// Of two rules for the same status the last one counts.
    pub(crate) fn new(rules: Vec<ExitRule>) -> Self {
        Self(rules)
    }

    /// The status to report for `status`. What a rule makes is not looked up again.
    pub(crate) fn apply(&self, status: ExitStatus) -> ExitStatus {
        let rule = self.0.iter().rev().find(|rule| rule.code == status.code());
        rule.map_or(status, |rule| ExitStatus::Exited(rule.reported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_map_rule_names_one_status_or_two() {
        let rule = |text: &str| ExitRule::parse(text.as_bytes()).map(|rule| (rule.code, rule.reported));
        for (text, expected) in
            [("143", (143, 0)), ("143:0", (143, 0)), ("0:1", (0, 1)), ("255:007", (255, 7))]
        {
            assert_eq!(rule(text), Some(expected), "{text}");
        }
        for text in ["", ":", "143:", ":0", "256", "0:256", "-1", "+1", "1:2:3", "TERM", "1 ", "99999999999"]
        {
            assert_eq!(rule(text), None, "{text:?}");
        }
    }

    #[test]
    fn exit_map_applies_the_last_rule_once() {
        let rules = ["143:1", "143:130", "130"].map(|text| ExitRule::parse(text.as_bytes()).unwrap());
        let map = ExitMap::new(rules.into());
        assert_eq!(map.apply(ExitStatus::Killed(Signum::TERM)).code(), 130);
        assert_eq!(map.apply(ExitStatus::Exited(130)).code(), 0);
        assert_eq!(map.apply(ExitStatus::Exited(7)).code(), 7);
    }

    #[test]
    fn death_by_signal_is_reported_as_128_plus_its_number() {
        assert_eq!(ExitStatus::Killed(Signum::TERM).code(), 143);
        assert_eq!(Signum::new(64).map(|last| ExitStatus::Killed(last).code()), Some(192));
        assert_eq!(ExitStatus::Exited(143).code(), 143);
    }
}

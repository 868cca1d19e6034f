//! Exit statuses, and the codes that report them: 128 + n for signal n, as in shells.

use crate::signal::Signum;

/// The exit of a process, as wait(2) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    Exited(u8),
    Killed(Signum),
}

impl ExitStatus {
    pub(crate) const SUCCESS: Self = Self::Exited(0);
    /// The command line is wrong, or the command's process could not be set up.
    pub(crate) const FAILURE: Self = Self::Exited(1);
    /// The command could not be executed.
    pub(crate) const NOT_EXECUTED: Self = Self::Exited(2);
    /// The codes of shells and tini for a command that is not found, or not executable.
    pub(crate) const NOT_FOUND: Self = Self::Exited(127);
    pub(crate) const NOT_PERMITTED: Self = Self::Exited(126);

    /// The exit code that reports this status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signum) => 128 | signum.number(), // 128 + n, since n < 128.
        }
    }
}

/// A rule of `--exit-map`.
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
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        let code = numbers.next()??;
        Some(Self { code, reported: numbers.next().unwrap_or(Some(0))? })
    }
}

/// The rules of `--exit-map`, for supervisors that take 143 for a failure (T69, T75 in docs/hazards.md).
#[derive(Clone, Debug, Default)]
pub(crate) struct ExitMap(Vec<ExitRule>);

impl ExitMap {
    /// The last rule for a status counts.
    pub(crate) fn new(rules: Vec<ExitRule>) -> Self {
        Self(rules)
    }

    /// The status to report. Rules are not applied to the result of a rule.
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

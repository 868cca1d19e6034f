//! Exit statuses, and the codes that report them: 128 + n for signal n, as in shells.

use std::fmt;

use crate::signal::{Name, Signum};

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

impl fmt::Display for ExitStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(out, "exited with status {code}"),
            Self::Killed(signum) => write!(out, "was killed by {}", Name(*signum)),
        }
    }
}

/// The circumstances of an exit, as far as rules depend on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Whether a SIGTERM, SIGINT or SIGQUIT was forwarded before.
    pub(crate) is_requested: bool,
    /// Whether our own SIGKILL ended the command.
    pub(crate) is_at_deadline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// `asked:`
    Requested,
    /// `deadline:`
    AtDeadline,
}

/// A rule of `--exit-map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitRule {
    condition: Condition,
    code: u8,
    reported: u8,
}

impl ExitRule {
    /// Reads `CODE`, which stands for `CODE:0`, or `CODE:NEW`, after an optional condition.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let conditions = [(&b"asked:"[..], Condition::Requested), (b"deadline:", Condition::AtDeadline)];
        let mut found =
            conditions.iter().filter_map(|(word, condition)| Some((text.strip_prefix(*word)?, *condition)));
        let (text, condition) = found.next().unwrap_or((text, Condition::Always));
        let mut numbers = text.splitn(2, |&byte| byte == b':').map(|number| {
            let digits = Some(number).filter(|number| number.iter().all(u8::is_ascii_digit))?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        let code = numbers.next()??;
        Some(Self { condition, code, reported: numbers.next().unwrap_or(Some(0))? })
    }

    fn applies(self, status: ExitStatus, circumstances: Circumstances) -> bool {
        let is_met = match self.condition {
            Condition::Always => true,
            Condition::Requested => circumstances.is_requested,
            Condition::AtDeadline => circumstances.is_at_deadline,
        };
        is_met && self.code == status.code()
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
    pub(crate) fn apply(&self, status: ExitStatus, circumstances: Circumstances) -> ExitStatus {
        let rule = self.0.iter().rev().find(|rule| rule.applies(status, circumstances));
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
        for text in [
            "",
            ":",
            "143:",
            ":0",
            "256",
            "0:256",
            "-1",
            "+1",
            "1:2:3",
            "TERM",
            "1 ",
            "99999999999",
            "asked",
            "asked:",
            "asked:1:2:3",
            "ASKED:1",
            "1:asked",
            "asked:deadline:1",
        ] {
            assert_eq!(rule(text), None, "{text:?}");
        }
    }

    #[test]
    fn exit_map_applies_the_last_rule_once() {
        let rules = ["143:1", "143:130", "130"].map(|text| ExitRule::parse(text.as_bytes()).unwrap());
        let map = ExitMap::new(rules.into());
        let apply = |status| map.apply(status, Circumstances::default()).code();
        assert_eq!(apply(ExitStatus::Killed(Signum::TERM)), 130);
        assert_eq!(apply(ExitStatus::Exited(130)), 0);
        assert_eq!(apply(ExitStatus::Exited(7)), 7);
    }

    #[test]
    fn exit_map_rule_with_a_condition_applies_only_if_it_is_met() {
        let map = |rules: &[&str]| {
            ExitMap::new(rules.iter().filter_map(|text| ExitRule::parse(text.as_bytes())).collect())
        };
        for (rules, status, requested, deadline, expected) in [
            (&["asked:143"][..], 143, false, false, 143),
            (&["asked:143"], 143, true, false, 0),
            (&["asked:0:143"], 0, true, true, 143),
            (&["deadline:137:124"], 137, true, false, 137),
            (&["deadline:137:124"], 137, false, true, 124),
            (&["137:1", "deadline:137:124"], 137, false, true, 124),
            (&["137:1", "deadline:137:124"], 137, true, false, 1),
            (&["deadline:137:124", "137:1"], 137, false, true, 1),
        ] {
            let circumstances = Circumstances { is_requested: requested, is_at_deadline: deadline };
            let reported = map(rules).apply(ExitStatus::Exited(status), circumstances);
            assert_eq!(reported.code(), expected, "{rules:?} {circumstances:?}");
        }
    }

    #[test]
    fn death_by_signal_is_reported_as_128_plus_its_number() {
        assert_eq!(ExitStatus::Killed(Signum::TERM).code(), 143);
        assert_eq!(Signum::new(64).map(|last| ExitStatus::Killed(last).code()), Some(192));
        assert_eq!(ExitStatus::Exited(143).code(), 143);
    }
}

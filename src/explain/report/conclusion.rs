//! What follows, and what is to be tried?

use std::fmt::Write as _;
use std::time::Duration;

use nix::unistd::Pid;

use super::super::evidence::{Evidence, Main};
use super::super::facts::Facts;
use super::super::forecast::{Conduct, Deadline, Rest, When};
use super::super::handling::Reaction;
use super::super::inits::{Edition, Rules};
use super::super::verdict::{Fate, Verdict};
use super::super::wording::{command_of, name_of};
use crate::signal::{Name, Signum};

/// In sentences, a line each.
pub(super) fn told(evidence: &Evidence, verdict: &Verdict, signum: Signum, advice: &[String]) -> String {
    let view = View { evidence, verdict };
    let mut lines = vec![view.who_gets_it()];
    lines.extend(view.notes(signum));
    let label = |index| if index == 0 { "Try:" } else { " or:" };
    lines.extend(advice.iter().enumerate().map(|(index, line)| format!("{} {line}", label(index))));
    lines.into_iter().filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

#[derive(Clone, Copy)]
struct View<'a> {
    evidence: &'a Evidence,
    verdict: &'a Verdict,
}

impl View<'_> {
    fn init(&self) -> Option<&Facts> {
        self.evidence.facts(self.evidence.init)
    }

    fn is_pid_1(&self) -> bool {
        self.init().is_some_and(Facts::is_pid_1)
    }

    /// What the init runs, in a sentence.
    fn main(&self) -> String {
        let main = self.evidence.main_of(self.evidence.init).and_then(|main| self.evidence.facts(main));
        match (self.init().and_then(Facts::ours), main) {
            (Some(ours), _) => command_of(&ours.command),
            (None, Some(main)) => name_of(main),
            (None, None) => "the command".to_owned(),
        }
    }

    fn who_gets_it(&self) -> String {
        // What comes of it is another question then.
        if self.verdict.forecast.conduct == Conduct::Keeps {
            return String::new();
        }
        if self.verdict.total == 0 {
            return "There is no process that could get it.".to_owned();
        }
        let mut text = self.how_many();
        match (self.verdict.forecast.rest_of(self.evidence.init), self.verdict.forecast.kills) {
            (Rest::IsAwaited(deadline), _) => text += &self.awaited(deadline),
            (Rest::IsLeft, Deadline::AfterSignal(duration)) => {
                let _ = write!(
                    text,
                    " Everything is killed {duration:?} after the signal, if it has not ended by then."
                );
                text += &self.left();
            }
            (Rest::IsLeft, Deadline::Never | Deadline::AfterMain(_)) => text += &self.left(),
        }
        text
    }

    fn how_many(&self) -> String {
        let Verdict { total, never, unknown, .. } = *self.verdict;
        let and_unknown =
            if unknown == 0 { String::new() } else { format!(" Of {unknown} it can't be told.") };
        match (never, unknown) {
            (0, 0) => format!("Every process gets the signal{}.", self.how_many_later()),
            (0, unknown) => format!("Whether {unknown} of {total} processes get it can't be told."),
            (1, _) if total == 1 => "The only process never gets it.".to_owned(),
            (1, _) => format!("1 of {total} processes never gets it.{and_unknown}"),
            (never, _) => format!("{never} of {total} processes never get it.{and_unknown}"),
        }
    }

    fn how_many_later(&self) -> String {
        let when_main_has_ended = format!("when {} has ended", self.main());
        let all = [
            (When::AfterMain, &*when_main_has_ended),
            (When::AfterParent, "when its parent exits"),
            (When::AfterWriters, "after its writers"),
        ];
        let mut late = String::new();
        for (when, text) in all {
            let count = self.verdict.with(|fate| fate.when() == Some(when)).len();
            if count > 0 {
                let _ = write!(late, ", {count} of {} {text}", self.verdict.total);
            }
        }
        late
    }

    fn awaited(&self, deadline: Deadline) -> String {
        let stays = " dumb-init stays until the last one has ended";
        let kills = |duration: Duration, since: &str| {
            format!("{stays}, and kills what is left {duration:?} after {since}.")
        };
        match deadline {
            Deadline::Never => format!("{stays}."),
            Deadline::AfterSignal(duration) => kills(duration, "the signal"),
            Deadline::AfterMain(duration) => kills(duration, &format!("{} has ended", self.main())),
        }
    }

    /// What becomes of those that are left, where nobody waits for them.
    fn left(&self) -> String {
        if self.verdict.waits {
            return String::new();
        }
        let who = match (self.verdict.never, self.verdict.unknown) {
            (1, 0) => "It",
            (0, _) | (_, 1..) => "What is left",
            (_, 0) => "They",
        };
        let verb = match (who, self.is_pid_1()) {
            ("They", true) => "are killed",
            ("They", false) => "stay behind",
            (_, true) => "is killed",
            (_, false) => "stays behind",
        };
        let (first, why) = match self.init().and_then(|init| init.rules.as_ref()) {
            Some(Rules::Ours(ours)) if ours.edition == Edition::Ours => {
                (self.main(), ", since --drain is off")
            }
            Some(Rules::Ours(_) | Rules::Known(_)) => (self.main(), ""),
            Some(Rules::Unreadable(_) | Rules::Pausing | Rules::Shell | Rules::Unknown) | None => {
                (self.init().map_or(String::new(), name_of), "")
            }
        };
        format!(" {who} {verb} when {first} has ended{why}.")
    }

    /// Those of which more is to be known.
    fn notes(&self, signum: Signum) -> Vec<String> {
        let does = |wanted: Reaction| self.verdict.with(|fate| fate.reaction() == Some(wanted));
        let refused = &self.verdict.forecast.refused;
        let never = self.verdict.with(|fate| fate == Fate::Never);
        let of_inner = self.evidence.with_hidden_variables().filter(|pid| *pid != self.evidence.init);
        let mut lines: Vec<String> = [
            ("Ignored by", does(Reaction::Ignores)),
            ("Blocked, so that it stays pending, by", does(Reaction::Blocks)),
            ("Dropped by the kernel, as by a PID 1 that has no handler for it, for", does(Reaction::Drops)),
            (
                "Stopped, to act on it when continued:",
                self.verdict.with(|fate| matches!(fate, Fate::GetsStopped(..))),
            ),
            (
                "Not to be signalled by the init, as another user's (it lacks CAP_KILL):",
                never.iter().copied().filter(|pid| refused.contains(pid)).collect(),
            ),
            ("Sent twice, by two inits, to", self.twice()),
            ("With variables that can't be read, and that may change this:", of_inner.collect()),
        ]
        .into_iter()
        .filter_map(|(what, pids)| listed(what, &pids))
        .collect();
        lines.extend(self.verdict.interrupted.iter().filter_map(|(master, workers)| {
            listed(
                &format!("Signalled beside their master (PID {master}), which stops them itself:"),
                workers,
            )
        }));
        if let Main::MayBe(main) = self.evidence.main(self.evidence.init) {
            lines.push(format!(
                "PID {main} is taken for the command; it may be an orphan, and the command have ended."
            ));
        }
        if !never.is_empty() && self.is_main_told() {
            lines.push(format!(
                "Whether {} passes {} on to others can't be seen.",
                self.main(),
                Name(signum)
            ));
        }
        lines.extend(self.grace(signum));
        if self.verdict.forecast.suspends && !self.is_pid_1() {
            lines.push("The init stops itself then, too.".to_owned());
        }
        if self.evidence.is_partial {
            lines.push("There may be more: /proc hides other users' processes (hidepid).".to_owned());
        }
        lines
    }

    /// How long may it take until the container ends, so that whoever has sent the signal doesn't kill everybody before?
    fn grace(&self, signum: Signum) -> Option<String> {
        let forecast = &self.verdict.forecast;
        let asks_to_end = signum.shuts_down() && matches!(forecast.conduct, Conduct::Forwards(_));
        if !asks_to_end || !self.is_pid_1() {
            return None;
        }
        let has_ended = self.evidence.main(self.evidence.init) == Main::HasEnded;
        let held = forecast.held.unwrap_or_default();
        let (since_then, and) = match (forecast.kills, forecast.rest_of(self.evidence.init)) {
            (Deadline::AfterSignal(duration), _) | (_, Rest::IsAwaited(Deadline::AfterSignal(duration))) => {
                (duration, String::new())
            }
            // Since when it counts isn't known.
            (_, Rest::IsAwaited(Deadline::AfterMain(_))) if has_ended => return None,
            (_, Rest::IsAwaited(Deadline::Never)) => {
                (Duration::ZERO, ", and what the last process takes to end".into())
            }
            (_, Rest::IsAwaited(Deadline::AfterMain(duration))) => (duration, self.and_main()),
            (_, Rest::IsLeft) => (Duration::ZERO, self.and_main()),
        };
        let all = held.checked_add(since_then).filter(|all| !all.is_zero())?;
        Some(format!(
            "It may take {all:?}{and}: docker stop kills everything after 10s, unless it is told to wait longer."
        ))
    }

    fn and_main(&self) -> String {
        format!(", and what {} takes to end", self.main())
    }

    /// Those that get it at once from two inits.
    fn twice(&self) -> Vec<Pid> {
        let is_sent_twice = |pid: &Pid| {
            let at_once =
                self.verdict.forecast.arrivals_at(*pid).filter(|arrival| arrival.when == When::AtOnce);
            let mut senders: Vec<Pid> = at_once.map(|arrival| arrival.by).collect();
            senders.sort_unstable();
            senders.dedup();
            senders.len() > 1
        };
        self.verdict.with(|_| true).into_iter().filter(is_sent_twice).collect()
    }

    /// Does the command get it, so that it could pass it on?
    fn is_main_told(&self) -> bool {
        let main = self.evidence.main_of(self.evidence.init);
        let takes = |fate: Fate| {
            matches!(fate, Fate::Gets(Reaction::Catches | Reaction::Awaits | Reaction::Reads, When::AtOnce))
        };
        self.verdict.fates.iter().any(|(pid, fate)| Some(*pid) == main && takes(*fate))
    }
}

fn listed(what: &str, pids: &[Pid]) -> Option<String> {
    let numbers: Vec<String> = pids.iter().map(ToString::to_string).collect();
    (!pids.is_empty()).then(|| format!("{what} PID {}.", numbers.join(", ")))
}

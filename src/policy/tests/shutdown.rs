//! `--drain`, `--linger`, `--kill-after`, `--delay` and `--exit-map`, as tables.

use std::time::Duration;

use super::*;
use crate::options::settings::{Delay, Limit};
use crate::policy::shutdown::{KILL_GAP, KILLS, POLL, ROUND_GAP};

const SECOND: Duration = Duration::from_secs(1);

fn ended(pid: Pid) -> Event {
    Event::Ended { pid, status: ExitStatus::Killed(Signum::TERM) }
}

fn direct(signum: Signum) -> Event {
    Event::Signal(signum, SignalSource::Direct)
}

fn draining(limit: Limit) -> Settings {
    Settings { drain: Some(limit), ..settings(Forward::Group, &[]) }
}

fn exit(actions: &[Action]) -> Option<u8> {
    match actions.last() {
        Some(Action::Exit(status)) => Some(status.code()),
        _ => None,
    }
}

#[test]
fn drain_begins_at_command_exit_and_ends_at_the_last_exit() {
    let start = Instant::now();
    for forward in [Forward::Child, Forward::Group, Forward::Tree] {
        let settings = Settings { forward, ..draining(Limit::After(SECOND)) };
        let mut policy = Policy::new(settings, COMMAND);
        let actions = decide_at(&mut policy, start, direct(Signum::TERM));
        assert_eq!(forwarded(&actions), [(Signum::TERM, recipient(forward))]);
        assert_eq!(policy.deadline(), None);
        let actions = decide_at(&mut policy, start, ended(COMMAND));
        assert_eq!(forwarded(&actions), [(Signum::TERM, Recipient::Unsignalled(Scope::Roots))]);
        assert!(actions.contains(&Action::Reap(COMMAND)));
        assert_eq!(policy.shutdown.fallback_at, Some(start + SECOND / 2));
        // Signals are forwarded to all remaining descendants now.
        assert_eq!(
            forwarded(&decide_at(&mut policy, start, direct(Signum::HUP))),
            [(Signum::HUP, Recipient::Tree)]
        );
        decide_at(&mut policy, start, ended(OTHER));
        assert_eq!(decide_at(&mut policy, start, Event::AllReaped), []);
        let due = policy.deadline().expect("a round");
        assert_eq!(due, start + ROUND_GAP);
        let round = [Action::Round(Some((Signum::TERM, Scope::Roots)))];
        assert_eq!(decide_at(&mut policy, due, Event::Deadline), round);
        assert_eq!(exit(&decide_at(&mut policy, start, Event::NoChildren)), Some(143));
    }
}

/// Reports every deadline until `end`, and returns the actions with their times.
fn until(policy: &mut Policy, end: Instant) -> Vec<(Instant, Action)> {
    let mut all = Vec::new();
    while let Some(due) = policy.deadline().filter(|&due| due <= end) {
        all.extend(decide_at(policy, due, Event::Deadline).into_iter().map(|action| (due, action)));
    }
    all
}

fn rounds(actions: &[(Instant, Action)], scope: Scope) -> Vec<Instant> {
    let is_round = |action: &Action| *action == Action::Round(Some((Signum::TERM, scope)));
    actions.iter().filter(|(_, action)| is_round(action)).map(|(at, _)| *at).collect()
}

#[test]
fn drain_kills_remaining_repeatedly_and_then_gives_up() {
    let start = Instant::now();
    let mut policy = Policy::new(draining(Limit::After(SECOND)), COMMAND);
    decide_at(&mut policy, start, ended(COMMAND));
    let actions = until(&mut policy, start + SECOND * 60);
    let kills: Vec<Instant> =
        actions.iter().filter(|(_, action)| *action == Action::KillAll).map(|(at, _)| *at).collect();
    let expected: Vec<Instant> =
        (0..KILLS).map(|round| start + SECOND + KILL_GAP * u32::from(round)).collect();
    assert_eq!(kills, expected);
    let last = actions.last().expect("actions");
    assert_eq!((last.0, exit(&[last.1])), (expected[expected.len() - 1] + KILL_GAP, Some(143)));
}

#[test]
fn roots_drain_alone_for_half_the_time_or_30_s() {
    let start = Instant::now();
    for (limit, patience) in [
        (Limit::After(SECOND), SECOND / 2),
        (Limit::After(SECOND * 100), SECOND * 30),
        (Limit::Never, SECOND * 30),
        (Limit::After(Duration::MAX), SECOND * 30),
    ] {
        let mut policy = Policy::new(draining(limit), COMMAND);
        // No rounds before the drain.
        assert_eq!(decide_at(&mut policy, start, Event::AllReaped), []);
        assert_eq!(policy.deadline(), None);
        decide_at(&mut policy, start, ended(COMMAND));
        let actions = until(&mut policy, start + patience + POLL);
        // Once: processes that are started later are left to their parents.
        assert_eq!(rounds(&actions, Scope::Everyone), [start + patience], "{limit:?}");
        let roots = rounds(&actions, Scope::Roots);
        // A parent that is not our child exits without an event.
        assert!(roots.windows(2).all(|pair| pair[1] - pair[0] <= POLL * 2), "{limit:?}");
    }
}

#[test]
fn rounds_are_rate_limited_when_many_children_exit() {
    let start = Instant::now();
    let mut policy = Policy::new(draining(Limit::After(SECOND * 10)), COMMAND);
    decide_at(&mut policy, start, ended(COMMAND));
    let mut actions = Vec::new();
    for millisecond in 0..7000 {
        let now = start + Duration::from_millis(millisecond);
        actions.extend(until(&mut policy, now));
        decide_at(&mut policy, now, ended(OTHER));
        assert_eq!(decide_at(&mut policy, now, Event::AllReaped), []);
    }
    let rounds = rounds(&actions, Scope::Roots);
    assert!(rounds.len() > 5 && rounds.windows(2).all(|pair| pair[1] - pair[0] >= ROUND_GAP), "{rounds:?}");
}

#[test]
fn drain_signal_is_rewritten_as_any_other() {
    for (rewrite, to) in [("15:3", Some(Signum::QUIT)), ("15:0", None)] {
        let settings = Settings { drain: Some(Limit::Never), ..settings(Forward::Group, &[rewrite]) };
        let mut policy = Policy::new(settings, COMMAND);
        let expected: Vec<(Signum, Recipient)> =
            to.map(|to| (to, Recipient::Unsignalled(Scope::Roots))).into_iter().collect();
        assert_eq!(forwarded(&decide(&mut policy, ended(COMMAND))), expected);
        let due = policy.deadline().expect("a round");
        let round = [Action::Round(to.map(|to| (to, Scope::Roots)))];
        assert_eq!(decide_at(&mut policy, due, Event::Deadline), round);
        assert_eq!(policy.shutdown.fallback_at.is_some(), to.is_some());
    }
}

#[test]
fn only_recipients_of_the_drain_signal_are_recorded() {
    for (drain, rewrite, signum, expected) in [
        (true, "1:1", Signum::TERM, true),
        (true, "1:1", Signum::INT, false),
        (false, "1:1", Signum::TERM, false),
        (true, "15:3", Signum::TERM, true),
        (true, "15:3", Signum::QUIT, true),
        (true, "2:15", Signum::INT, true),
        (true, "15:0", Signum::INT, false),
    ] {
        let drain = drain.then_some(Limit::Never);
        let mut policy = Policy::new(Settings { drain, ..settings(Forward::Group, &[rewrite]) }, COMMAND);
        let actions = decide(&mut policy, direct(signum));
        let records = actions.iter().find_map(|action| match action {
            Action::Forward(_, _, care) => Some(care.records),
            _ => None,
        });
        assert_eq!(records, Some(expected), "{drain:?} {rewrite} {signum}");
    }
}

#[test]
fn linger_forwards_to_all_and_ends_at_the_last_exit() {
    let settings = Settings { linger: true, ..settings(Forward::Group, &[]) };
    let mut policy = Policy::new(settings, COMMAND);
    let to_all = [(Signum::TERM, Recipient::Tree)];
    assert_eq!(forwarded(&decide(&mut policy, direct(Signum::TERM))), to_all);
    let actions = decide(&mut policy, Event::Ended { pid: COMMAND, status: ExitStatus::Exited(7) });
    assert_eq!(forwarded(&actions), []);
    assert!(actions.contains(&Action::Reap(COMMAND)));
    assert_eq!(forwarded(&decide(&mut policy, direct(Signum::TERM))), to_all);
    assert_eq!(policy.shutdown.kill_at, None);
    assert_eq!(exit(&decide(&mut policy, Event::NoChildren)), Some(7));
}

#[test]
fn drain_with_linger_begins_at_a_shutdown_signal() {
    let start = Instant::now();
    for signum in every_signal().filter(|&signum| signum != Signum::CHLD) {
        for main_has_ended in [false, true] {
            let settings = Settings { linger: true, ..draining(Limit::After(SECOND)) };
            let mut policy = Policy::new(settings, COMMAND);
            if main_has_ended {
                assert_eq!(forwarded(&decide_at(&mut policy, start, ended(COMMAND))), []);
            }
            decide_at(&mut policy, start, direct(signum));
            let expected = [2, 3, 15].contains(&signum.raw()).then_some(start + SECOND / 2);
            assert_eq!(policy.shutdown.fallback_at, expected, "{signum}");
        }
    }
}

#[test]
fn kill_after_counts_from_the_first_shutdown_signal() {
    let start = Instant::now();
    for (rewrite, signum, starts) in [
        ("1:1", 15, true),
        ("1:1", 2, true),
        ("1:1", 3, true),
        ("1:1", 1, false),
        ("1:1", 10, false),
        ("10:15", 10, true),
        ("15:10", 15, true),
        ("15:0", 15, false),
    ] {
        let settings = Settings { kill_after: Limit::After(SECOND), ..settings(Forward::Group, &[rewrite]) };
        let mut policy = Policy::new(settings, COMMAND);
        assert_eq!(policy.deadline(), None);
        decide_at(&mut policy, start, direct(super::signum(signum)));
        decide_at(&mut policy, start + SECOND / 2, direct(super::signum(signum)));
        assert_eq!(policy.deadline(), starts.then_some(start + SECOND), "{rewrite} {signum}");
    }
    // A key that the command has from the terminal counts, too.
    let settings = Settings { kill_after: Limit::After(SECOND), ..settings(Forward::Child, &[]) };
    let mut policy = Policy::new(settings, COMMAND);
    assert_eq!(
        forwarded(&decide_at(&mut policy, start, Event::Signal(Signum::INT, SignalSource::SharedGroup))),
        []
    );
    assert_eq!(policy.deadline(), Some(start + SECOND));
}

#[test]
fn earlier_of_two_deadlines_applies() {
    let start = Instant::now();
    for (kill_after, drain, expected) in [(5, 2, 3), (2, 5, 2)] {
        let [kill_after, drain] = [kill_after, drain].map(|seconds| Limit::After(SECOND * seconds));
        let mut policy = Policy::new(Settings { kill_after, ..draining(drain) }, COMMAND);
        decide_at(&mut policy, start, direct(Signum::TERM));
        decide_at(&mut policy, start + SECOND, ended(COMMAND));
        let killed = loop {
            let due = policy.deadline().expect("a deadline");
            if decide_at(&mut policy, due, Event::Deadline).contains(&Action::KillAll) {
                break due;
            }
        };
        assert_eq!(killed, start + SECOND * expected);
    }
}

fn delaying(settings: Settings) -> Policy {
    let delays = vec![Delay { signum: Signum::TERM, duration: SECOND }];
    Policy::new(Settings { delays, ..settings }, COMMAND)
}

#[test]
fn delayed_signal_is_forwarded_when_due_or_repeated() {
    let start = Instant::now();
    let group = [(Signum::TERM, Recipient::Group(COMMAND))];
    let mut policy = delaying(settings(Forward::Group, &[]));
    assert_eq!(forwarded(&decide_at(&mut policy, start, direct(Signum::TERM))), []);
    // Other signals are forwarded meanwhile.
    let hup = [(Signum::HUP, Recipient::Group(COMMAND))];
    assert_eq!(forwarded(&decide_at(&mut policy, start, direct(Signum::HUP))), hup);
    assert_eq!(policy.deadline(), Some(start + SECOND));
    assert_eq!(forwarded(&decide_at(&mut policy, start + SECOND, Event::Deadline)), group);
    assert_eq!(policy.deadline(), None);

    let again = start + SECOND * 5;
    assert_eq!(forwarded(&decide_at(&mut policy, again, direct(Signum::TERM))), []);
    assert_eq!(forwarded(&decide_at(&mut policy, again, direct(Signum::TERM))), group);
    assert_eq!(policy.deadline(), None);
}

#[test]
fn command_exit_releases_a_delayed_signal() {
    let term = |recipient| vec![(Signum::TERM, recipient)];
    for (settings, expected) in [
        // The rest of the group receives one at the exit anyway.
        (settings(Forward::Group, &[]), term(Recipient::RestOfGroup(COMMAND))),
        (
            draining(Limit::Never),
            [term(Recipient::Tree), term(Recipient::Unsignalled(Scope::Roots))].concat(),
        ),
        (Settings { linger: true, ..settings(Forward::Group, &[]) }, term(Recipient::Tree)),
    ] {
        let mut policy = delaying(settings);
        decide(&mut policy, direct(Signum::TERM));
        assert_eq!(forwarded(&decide(&mut policy, ended(COMMAND))), expected);
        assert_eq!(policy.delayed.next(), None);
    }
}

#[test]
fn drain_delays_no_signal_after_command_exit() {
    let mut policy = delaying(draining(Limit::Never));
    decide(&mut policy, ended(COMMAND));
    assert_eq!(forwarded(&decide(&mut policy, direct(Signum::TERM))), [(Signum::TERM, Recipient::Tree)]);
}

#[test]
fn exit_status_is_mapped_and_message_has_the_original() {
    let rule = crate::signal::exit_status::ExitRule::parse(b"143:7").expect("a rule");
    let exit_map = ExitMap::new(vec![rule]);
    let mut policy = Policy::new(Settings { exit_map, ..settings(Forward::Group, &[]) }, COMMAND);
    let actions = decide(&mut policy, ended(COMMAND));
    assert_eq!(exit(&actions), Some(7));
    assert!(actions.contains(&Action::Log(Message::Goodbye(ExitStatus::Killed(Signum::TERM)))));
}

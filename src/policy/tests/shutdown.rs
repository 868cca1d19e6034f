//! `--drain`, `--linger`, `--kill-after` and `--delay`, as tables.

use super::*;
use crate::options::settings::{Delay, Limit};
use crate::policy::shutdown::{KILL_GAP, KILLS, POLL, ROUND_GAP};

const SECOND: Duration = Duration::from_secs(1);
const REQUEST: Request = Request { received: Signum::TERM, sent: Signum::TERM };
const TO_ROOTS: Recipient = Recipient::Unsignalled(Scope::Roots);

fn draining(limit: Limit) -> Settings {
    Settings { drain: Some(limit), ..Settings::default() }
}

/// A policy whose command has exited, and the signals that were forwarded then.
fn after_command(settings: Settings, now: Instant) -> (Policy, Vec<(Signum, Recipient)>) {
    let mut policy = Policy::new(settings, COMMAND);
    let actions = decide(&mut policy, now, ended(COMMAND));
    assert!(actions.contains(&Action::Reap(COMMAND)));
    (policy, forwarded(&actions))
}

/// Reports every deadline until `end`, and returns the actions with their times.
fn until(policy: &mut Policy, end: Instant) -> Vec<(Instant, Action)> {
    let mut all = Vec::new();
    while let Some(due) = policy.deadline().filter(|&due| due <= end) {
        all.extend(decide(policy, due, Event::Deadline).into_iter().map(|action| (due, action)));
    }
    all
}

fn times_of(action: Action, actions: &[(Instant, Action)]) -> Vec<Instant> {
    actions.iter().filter(|(_, other)| *other == action).map(|(at, _)| *at).collect()
}

fn round(scope: Scope) -> Action {
    Action::Round(Some((Signum::TERM, scope)))
}

#[test]
fn drain_begins_at_command_exit_and_ends_at_the_last_exit() {
    let now = Instant::now();
    let mut policy = Policy::new(draining(Limit::After(SECOND)), COMMAND);
    // No rounds before the drain.
    decide(&mut policy, now, direct(Signum::TERM));
    assert_eq!(decide(&mut policy, now, Event::AllReaped), []);
    assert_eq!(policy.deadline(), None);
    assert_eq!(forwarded(&decide(&mut policy, now, ended(COMMAND))), [(Signum::TERM, TO_ROOTS)]);
    decide(&mut policy, now, ended(OTHER));
    assert_eq!(decide(&mut policy, now, Event::AllReaped), []);
    assert_eq!(policy.deadline(), Some(now + ROUND_GAP));
    assert_eq!(decide(&mut policy, now + ROUND_GAP, Event::Deadline), [round(Scope::Roots)]);
    let status = ExitStatus::Killed(Signum::TERM);
    assert_eq!(
        decide(&mut policy, now, Event::NoChildren).last(),
        Some(&Action::Exit(status, Reason::Requested(REQUEST)))
    );
}

#[test]
fn drain_kills_remaining_repeatedly_and_then_gives_up() {
    let now = Instant::now();
    let settings = Settings { kill_after: Limit::After(SECOND), ..draining(Limit::After(SECOND)) };
    let mut policy = Policy::new(settings, COMMAND);
    let exit = Action::Exit(ExitStatus::Killed(Signum::TERM), Reason::Requested(REQUEST));
    // First the command hangs in the kernel, then other descendants do.
    let events = [(now, direct(Signum::TERM), Action::KillAll), (now + SECOND * 60, ended(COMMAND), exit)];
    for (start, event, last) in events {
        decide(&mut policy, start, event);
        let actions = until(&mut policy, start + SECOND * 50);
        let at = |kill: u8| start + SECOND + KILL_GAP * u32::from(kill);
        assert_eq!(times_of(Action::KillAll, &actions), (0..KILLS).map(at).collect::<Vec<_>>());
        assert_eq!(actions.last().map(|(_, action)| *action), Some(last));
    }
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
        let (mut policy, _) = after_command(draining(limit), start);
        let actions = until(&mut policy, start + patience + POLL);
        // Once: processes that are started later are left to their parents.
        assert_eq!(times_of(round(Scope::Everyone), &actions), [start + patience], "{limit:?}");
        // A parent that is not our child exits without an event.
        let roots = times_of(round(Scope::Roots), &actions);
        assert!(!roots.is_empty() && roots.windows(2).all(|pair| pair[1] - pair[0] <= POLL * 2), "{limit:?}");
    }
}

#[test]
fn rounds_are_rate_limited_when_many_children_exit() {
    let start = Instant::now();
    let (mut policy, _) = after_command(draining(Limit::After(SECOND * 10)), start);
    let mut actions = Vec::new();
    for millisecond in 0..7000 {
        let now = start + Duration::from_millis(millisecond);
        actions.extend(until(&mut policy, now));
        decide(&mut policy, now, Event::AllReaped);
    }
    let rounds = times_of(round(Scope::Roots), &actions);
    assert!(rounds.len() > 5 && rounds.windows(2).all(|pair| pair[1] - pair[0] >= ROUND_GAP), "{rounds:?}");
}

#[test]
fn rounds_that_find_nothing_come_less_often() {
    let now = Instant::now();
    let (mut policy, _) = after_command(draining(Limit::Never), now);
    let gaps = [(false, ROUND_GAP * 2), (false, ROUND_GAP * 4), (true, ROUND_GAP), (false, ROUND_GAP * 2)];
    for (is_changing, gap) in gaps {
        policy.on_round(is_changing);
        let mut policy = policy.clone();
        decide(&mut policy, now, Event::AllReaped);
        assert_eq!(policy.deadline(), Some(now + gap));
    }
}

#[test]
fn drain_signal_is_rewritten_as_any_other() {
    for (rewrite, to) in [("15:3", Some(Signum::QUIT)), ("15:0", None)] {
        let settings = Settings { drain: Some(Limit::Never), ..settings(Forward::Group, &[rewrite]) };
        let (mut policy, sent) = after_command(settings, Instant::now());
        assert_eq!(sent, Vec::from_iter(to.map(|to| (to, TO_ROOTS))));
        assert_eq!(policy.shutdown.fallback_at.is_some(), to.is_some());
        let due = policy.deadline().expect("a round");
        let round = Action::Round(to.map(|to| (to, Scope::Roots)));
        assert_eq!(decide(&mut policy, due, Event::Deadline), [round]);
    }
}

#[test]
fn drain_records_its_signal_and_spares_readers_of_pipes() {
    for (drain, rewrite, signum, records, spares_readers) in [
        (true, "1:1", Signum::TERM, true, true),
        (true, "1:1", Signum::INT, false, true),
        (true, "1:1", Signum::URG, false, false),
        (false, "1:1", Signum::TERM, false, false),
        (true, "15:3", Signum::QUIT, true, true),
        (true, "2:15", Signum::INT, true, true),
        (true, "15:0", Signum::INT, false, true),
    ] {
        let drain = drain.then_some(Limit::Never);
        let expected = Care { records, spares_readers };
        let actions =
            decide_first(Settings { drain, ..settings(Forward::Group, &[rewrite]) }, direct(signum));
        let has_care = |action: &Action| matches!(action, Action::Forward(_, _, care) if *care == expected);
        assert!(actions.iter().any(has_care), "{drain:?} {rewrite} {signum}: {actions:?}");
    }
}

#[test]
fn drain_with_linger_begins_at_a_shutdown_signal() {
    let start = Instant::now();
    for signum in Signum::all() {
        let settings = Settings { linger: true, ..draining(Limit::After(SECOND)) };
        let (ended, sent) = after_command(settings.clone(), start);
        assert_eq!(sent, []);
        for mut policy in [Policy::new(settings, COMMAND), ended] {
            decide(&mut policy, start, direct(signum));
            let expected = [2, 3, 15].contains(&signum.raw()).then_some(start + SECOND / 2);
            assert_eq!(policy.shutdown.fallback_at, expected, "{signum}");
            // Once.
            assert!(
                !forwarded(&decide(&mut policy, start, direct(signum))).contains(&(Signum::TERM, TO_ROOTS))
            );
        }
    }
}

#[test]
fn kill_after_counts_from_the_first_shutdown_signal() {
    let start = Instant::now();
    for (rewrite, number, starts) in [
        ("1:1", 15, true),
        ("1:1", 2, true),
        ("1:1", 3, true),
        ("1:1", 1, false),
        ("1:1", 10, false),
        ("10:15", 10, true),
        ("15:10", 15, true),
        ("15:0", 15, false),
    ] {
        // A key that the command has from the terminal counts, too.
        for source in [SignalSource::Direct, SignalSource::SharedGroup] {
            let settings =
                Settings { kill_after: Limit::After(SECOND), ..settings(Forward::Child, &[rewrite]) };
            let mut policy = Policy::new(settings, COMMAND);
            for now in [start, start + SECOND / 2] {
                decide(&mut policy, now, Event::Signal(signum(number), source));
                assert_eq!(policy.deadline(), starts.then_some(start + SECOND), "{rewrite} {number}");
            }
            // SIGKILL has failed, and another signal does not start the time again.
            until(&mut policy, start + SECOND * 60);
            decide(&mut policy, start, Event::Signal(signum(number), source));
            assert_eq!(policy.deadline(), None);
        }
    }
}

#[test]
fn earlier_of_two_deadlines_applies() {
    let start = Instant::now();
    // The drain's own signal does not start the time of `--kill-after`.
    let cases = [(Signum::TERM, 5, 2, 3), (Signum::TERM, 2, 5, 2), (Signum::HUP, 2, 5, 6)];
    for (signum, kill_after, drain, expected) in cases {
        let [kill_after, drain] = [kill_after, drain].map(|seconds| Limit::After(SECOND * seconds));
        let mut policy = Policy::new(Settings { kill_after, ..draining(drain) }, COMMAND);
        decide(&mut policy, start, direct(signum));
        decide(&mut policy, start + SECOND, ended(COMMAND));
        let kills = times_of(Action::KillAll, &until(&mut policy, start + SECOND * 10));
        assert_eq!(kills.first(), Some(&(start + SECOND * expected)));
    }
}

fn delaying(settings: Settings) -> Settings {
    let delays = [Signum::TERM, Signum::QUIT].map(|signum| Delay { signum, duration: SECOND });
    Settings { delays: delays.to_vec(), ..settings }
}

#[test]
fn delayed_signals_are_forwarded_in_the_order_of_their_numbers() {
    let now = Instant::now();
    let mut policy = Policy::new(delaying(Settings::default()), COMMAND);
    for signum in [Signum::TERM, Signum::QUIT] {
        assert_eq!(forwarded(&decide(&mut policy, now, direct(signum))), []);
    }
    let expected = [Signum::QUIT, Signum::TERM].map(|signum| (signum, Recipient::Group(COMMAND)));
    assert_eq!(forwarded(&decide(&mut policy, now + SECOND, Event::Deadline)), expected);
}

#[test]
fn delayed_signal_is_forwarded_when_due_or_repeated() {
    let start = Instant::now();
    for (second, now) in [(Event::Deadline, start + SECOND), (direct(Signum::TERM), start)] {
        let mut policy = Policy::new(delaying(Settings::default()), COMMAND);
        assert_eq!(forwarded(&decide(&mut policy, start, direct(Signum::TERM))), []);
        // Other signals are forwarded meanwhile.
        let [hup, term] = [Signum::HUP, Signum::TERM].map(|signum| [(signum, Recipient::Group(COMMAND))]);
        assert_eq!(forwarded(&decide(&mut policy, start, direct(Signum::HUP))), hup);
        assert_eq!(policy.deadline(), Some(start + SECOND));
        assert_eq!(forwarded(&decide(&mut policy, now, second)), term);
        assert_eq!(policy.deadline(), None);
    }
}

#[test]
fn command_exit_releases_a_delayed_signal() {
    let now = Instant::now();
    for (settings, expected) in [
        // The rest of the group receives one at the exit anyway.
        (Settings::default(), &[Recipient::RestOfGroup(COMMAND)][..]),
        (draining(Limit::Never), &[Recipient::Tree, TO_ROOTS]),
        (Settings { linger: true, ..Settings::default() }, &[Recipient::Tree]),
    ] {
        let mut policy = Policy::new(delaying(settings), COMMAND);
        decide(&mut policy, now, direct(Signum::TERM));
        let expected: Vec<_> = expected.iter().map(|&recipient| (Signum::TERM, recipient)).collect();
        assert_eq!(forwarded(&decide(&mut policy, now, ended(COMMAND))), expected);
        assert_eq!(policy.delayed.next(), None);
    }
}

#[test]
fn drain_delays_no_signal_after_command_exit() {
    let now = Instant::now();
    let (mut policy, _) = after_command(delaying(draining(Limit::Never)), now);
    assert_eq!(forwarded(&decide(&mut policy, now, direct(Signum::TERM))), [(Signum::TERM, Recipient::Tree)]);
}

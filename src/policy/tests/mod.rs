//! Decisions about single events, as tables.

mod sequences;
mod shutdown;

use super::*;
use crate::options::personality::Personality;
use crate::signal::exit_status::ExitMap;
use crate::signal::rewrite::{Rewrite, RewriteTable};

const COMMAND: Pid = Pid::from_raw(7);
const OTHER: Pid = Pid::from_raw(8);
const SOURCES: [SignalSource; 2] = [SignalSource::Direct, SignalSource::SharedGroup];

pub(crate) fn policy(forward: Forward, rewrites: &[&str]) -> Policy {
    Policy::new(settings(forward, rewrites), COMMAND)
}

fn settings(forward: Forward, rewrites: &[&str]) -> Settings {
    let mut table = RewriteTable::default();
    for rewrite in rewrites {
        table.set(Rewrite::parse(rewrite.as_bytes()).expect(rewrite));
    }
    Settings { forward, rewrites: table, ..Settings::default() }
}

fn signum(number: i32) -> Signum {
    Signum::new(number).expect("a signal")
}

fn every_signal() -> impl Iterator<Item = Signum> {
    (1..=64).map(signum)
}

fn recipient(forward: Forward) -> Recipient {
    match forward {
        Forward::Child => Recipient::Process(COMMAND),
        Forward::Group => Recipient::Group(COMMAND),
        Forward::Tree => Recipient::Tree,
    }
}

fn decide(policy: &mut Policy, event: Event) -> Vec<Action> {
    decide_at(policy, Instant::now(), event)
}

fn decide_at(policy: &mut Policy, now: Instant, event: Event) -> Vec<Action> {
    let actions = policy.decide(now, event);
    assert!(
        policy.deadline().is_none_or(|deadline| event != Event::Deadline || deadline > now),
        "{actions:?}"
    );
    actions
}

/// The forwarded signals with their recipients.
fn forwarded(actions: &[Action]) -> Vec<(Signum, Recipient)> {
    let one = |action: &Action| match *action {
        Action::Forward(signum, recipient, _) => Some((signum, recipient)),
        _ => None,
    };
    actions.iter().filter_map(one).collect()
}

#[test]
fn every_signal_is_forwarded_reaped_or_suppressed_in_every_mode() {
    for forward in [Forward::Child, Forward::Group, Forward::Tree] {
        for signum in every_signal() {
            let actions = decide(&mut policy(forward, &[]), Event::Signal(signum, SignalSource::Direct));
            assert_eq!(actions.first(), Some(&Action::Log(Message::Received(signum))));
            let to = if forward != Forward::Child && signum.suspends_a_job() { Signum::STOP } else { signum };
            let expected = if signum == Signum::CHLD { vec![] } else { vec![(to, recipient(forward))] };
            assert_eq!(forwarded(&actions), expected, "{forward:?} {signum}");
            assert_eq!(actions.contains(&Action::CollectChildren), signum == Signum::CHLD);
            assert_eq!(actions.last() == Some(&Action::StopOurselves), signum.suspends_a_job());
        }
    }
}

#[test]
fn rewritten_signal_is_forwarded_and_dropped_signal_is_not() {
    for forward in [Forward::Child, Forward::Group, Forward::Tree] {
        for signum in Signum::standard().filter(|&signum| signum != Signum::CHLD) {
            let actions = decide(
                &mut policy(forward, &[&format!("{signum}:31")]),
                Event::Signal(signum, SignalSource::Direct),
            );
            assert_eq!(forwarded(&actions), [(Signum::new(31).unwrap(), recipient(forward))]);
            let translated = Message::Translating { from: signum, to: Signum::new(31) };
            assert_eq!(actions[1], Action::Log(translated));

            let actions = decide(
                &mut policy(forward, &[&format!("{signum}:0")]),
                Event::Signal(signum, SignalSource::Direct),
            );
            assert_eq!(forwarded(&actions), []);
            assert_eq!(actions[2], Action::Log(Message::NotForwarded));
            // The user of the terminal wants the job to stop, whether the signal is dropped or not.
            assert_eq!(actions.last() == Some(&Action::StopOurselves), signum.suspends_a_job());
        }
    }
}

#[test]
fn signal_is_suppressed_only_for_a_shared_terminal_key() {
    for signum in every_signal().filter(|&signum| signum != Signum::CHLD) {
        let actions =
            decide(&mut policy(Forward::Child, &[]), Event::Signal(signum, SignalSource::SharedGroup));
        assert_eq!(forwarded(&actions).is_empty(), signum.comes_from_a_key(), "{signum}");
        assert_eq!(actions.last() == Some(&Action::StopOurselves), signum.suspends_a_job());
    }
    // Descendants may be in other groups.
    let settings = Settings { linger: true, ..settings(Forward::Child, &[]) };
    let actions =
        decide(&mut Policy::new(settings, COMMAND), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(forwarded(&actions), [(Signum::INT, Recipient::Tree)]);
    // The rewritten signal is another, which the terminal has not sent.
    let actions =
        decide(&mut policy(Forward::Child, &["2:15"]), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(forwarded(&actions), [(Signum::TERM, Recipient::Process(COMMAND))]);
}

#[test]
fn command_exit_ends_the_policy_after_pending_signals() {
    let status = ExitStatus::Killed(Signum::TERM);
    for (forward, rest) in [
        (Forward::Child, Recipient::Nobody),
        (Forward::Group, Recipient::RestOfGroup(COMMAND)),
        (Forward::Tree, Recipient::Tree),
    ] {
        let mut actions = decide(&mut policy(forward, &["15:2"]), Event::Ended { pid: COMMAND, status });
        actions.retain(|action| *action != Action::ResumeIfStopped(Recipient::Tree));
        let care = Care { records: false, spares_readers: forward == Forward::Tree };
        let expected = [
            Action::Log(Message::ChildEnded { pid: COMMAND, status }),
            Action::Log(Message::Translating { from: Signum::TERM, to: Some(Signum::INT) }),
            Action::Forward(Signum::INT, rest, care),
            Action::Reap(COMMAND),
            Action::Log(Message::Goodbye(status)),
            Action::Exit(status),
        ];
        assert_eq!(actions, expected);
    }
}

#[test]
fn exit_of_another_child_is_only_logged() {
    let status = ExitStatus::Exited(9);
    let actions = decide(&mut policy(Forward::Group, &[]), Event::Ended { pid: OTHER, status });
    assert_eq!(actions, [Action::Log(Message::ChildEnded { pid: OTHER, status }), Action::Reap(OTHER)]);
}

#[test]
fn only_the_command_exit_ends_the_policy() {
    for forward in [Forward::Child, Forward::Group, Forward::Tree] {
        let signals = every_signal().flat_map(|signum| SOURCES.map(|source| Event::Signal(signum, source)));
        let others = every_signal().flat_map(|signum| {
            let pid = OTHER;
            [
                Event::TraceStop { pid: COMMAND, signum: Some(signum) },
                Event::Ended { pid, status: ExitStatus::Killed(signum) },
            ]
        });
        for event in signals.chain(others) {
            let actions = decide(&mut policy(forward, &[]), event);
            assert!(!actions.iter().any(|action| matches!(action, Action::Exit(_))), "{event:?}");
        }
    }
}

#[test]
fn traced_child_resumes_with_any_signal_not_meant_for_a_tracer() {
    let mut policy = policy(Forward::Group, &[]);
    for signum in every_signal() {
        let acts_on = Some(signum).filter(|&signum| signum != Signum::STOP && signum != Signum::TRAP);
        let actions = decide(&mut policy, Event::TraceStop { pid: COMMAND, signum: Some(signum) });
        assert_eq!(actions, [Action::DetachTraced(COMMAND, acts_on)]);
    }
    assert_eq!(
        decide(&mut policy, Event::TraceStop { pid: OTHER, signum: None }),
        [Action::DetachTraced(OTHER, None)]
    );
}

#[test]
fn pause_ends_only_on_a_termination_signal() {
    for signum in every_signal() {
        assert_eq!(ends_a_pause(signum), [2, 15].contains(&signum.raw()), "{signum}");
    }
}

#[test]
fn stopped_command_is_resumed_only_for_a_termination_signal() {
    for forward in [Forward::Child, Forward::Group, Forward::Tree] {
        for signum in every_signal() {
            let actions = decide(&mut policy(forward, &[]), Event::Signal(signum, SignalSource::Direct));
            let wakes = actions.last() == Some(&Action::ResumeIfStopped(recipient(forward)));
            assert_eq!(wakes, [1, 2, 3, 15].contains(&signum.raw()), "{signum}: {actions:?}");
        }
        // Before or after a rewrite, but not after a rewrite to a stop.
        for (rewrite, expected) in [("10:15", true), ("15:10", true), ("15:19", false), ("15:0", false)] {
            let number = if rewrite == "10:15" { 10 } else { 15 };
            let actions =
                decide(&mut policy(forward, &[rewrite]), Event::Signal(signum(number), SignalSource::Direct));
            let wakes = actions.contains(&Action::ResumeIfStopped(recipient(forward)));
            assert_eq!(wakes, expected, "{rewrite}: {actions:?}");
        }
    }
    // A key is received by stopped processes, too.
    let actions =
        decide(&mut policy(Forward::Child, &[]), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(actions.last(), Some(&Action::ResumeIfStopped(Recipient::Process(COMMAND))));
}

#[test]
fn other_personality_neither_suspends_nor_signals_the_remaining() {
    for personality in [Personality::Tini, Personality::Catatonit] {
        for forward in [Forward::Child, Forward::Group] {
            let settings = Settings { personality, names_orphans: true, ..settings(forward, &[]) };
            let mut policy = Policy::new(settings, COMMAND);
            for signum in [Signum::TSTP, Signum::TTIN, Signum::TTOU] {
                let actions = decide(&mut policy, Event::Signal(signum, SignalSource::Direct));
                let to = Some((signum, recipient(forward)))
                    .filter(|_| !personality.dropped_signals().contains(&signum));
                assert_eq!(forwarded(&actions), Vec::from_iter(to));
                assert!(!actions.contains(&Action::StopOurselves), "{actions:?}");
            }
            let actions = decide(&mut policy, Event::Ended { pid: OTHER, status: ExitStatus::SUCCESS });
            assert!(actions.contains(&Action::Log(Message::Reaped(OTHER))), "{actions:?}");
            let actions = decide(&mut policy, Event::Ended { pid: COMMAND, status: ExitStatus::SUCCESS });
            assert_eq!(forwarded(&actions), []);
            assert!(!actions.contains(&Action::Log(Message::Reaped(COMMAND))), "{actions:?}");
            assert_eq!(actions.last(), Some(&Action::Exit(ExitStatus::SUCCESS)));
        }
    }
}

mod beyond;
mod sequences;

use super::*;
use crate::options::duration::Limit;
use crate::options::personality::Personality;
use crate::signal::exit_status::ExitMap;
use crate::signal::rewrite::{Rewrite, RewriteTable};

const MAIN: Pid = Pid::from_raw(7);
const OTHER: Pid = Pid::from_raw(8);
const WAYS: [SignalSource; 2] = [SignalSource::Direct, SignalSource::SharedGroup];

pub(crate) fn policy(forward: Forward, rewrites: &[&str]) -> Policy {
    Policy::new(settings(forward, rewrites), MAIN)
}

fn settings(forward: Forward, rewrites: &[&str]) -> Settings {
    let mut table = RewriteTable::new();
    for rewrite in rewrites {
        table.set(Rewrite::parse(rewrite.as_bytes()).expect(rewrite));
    }
    Settings {
        personality: Personality::DumbInit,
        names_orphans: false,
        forward,
        rewrites: table,
        drain: None,
        linger: false,
        kill_after: Limit::Never,
        delays: Delays::new(&[]),
        exit_map: ExitMap::default(),
        keeps_terminal: false,
    }
}

fn signum(number: i32) -> Signum {
    Signum::new(number).expect("a signal")
}

fn every_signal() -> impl Iterator<Item = Signum> {
    (1..=64).map(signum)
}

fn recipient(forward: Forward) -> Recipient {
    match forward {
        Forward::Child => Recipient::Process(MAIN),
        Forward::Group => Recipient::Group(MAIN),
        Forward::Tree => Recipient::Tree,
    }
}

fn decide(policy: &mut Policy, event: Event) -> Vec<Action> {
    decide_at(policy, Instant::now(), event)
}

fn decide_at(policy: &mut Policy, now: Instant, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    policy.decide(&|| now, event, &mut actions);
    assert!(actions.len() <= policy.most_actions(), "{event:?}: {actions:?}");
    assert!(
        policy.deadline().is_none_or(|deadline| event != Event::Deadline || deadline > now),
        "{actions:?}"
    );
    actions
}

/// What is forwarded, and to whom.
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
            // Nobody gets it, but the terminal's user wants the job to stop all the same.
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
    // Where it goes to everybody, there may be some in other groups.
    let settings = Settings { linger: true, ..settings(Forward::Child, &[]) };
    let actions =
        decide(&mut Policy::new(settings, MAIN), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(forwarded(&actions), [(Signum::INT, Recipient::TreeOutsideOurGroup)]);
    // What it becomes is another signal, which nobody has sent yet.
    let actions =
        decide(&mut policy(Forward::Child, &["2:15"]), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(forwarded(&actions), [(Signum::TERM, Recipient::Process(MAIN))]);
}

#[test]
fn command_exit_ends_the_policy_after_pending_signals() {
    let status = ExitStatus::Killed(Signum::TERM);
    for (forward, rest) in [
        (Forward::Child, Recipient::Nobody),
        (Forward::Group, Recipient::RestOfGroup(MAIN)),
        (Forward::Tree, Recipient::Tree),
    ] {
        let mut actions = decide(&mut policy(forward, &["15:2"]), Event::Ended { pid: MAIN, status });
        actions.retain(|action| *action != Action::ResumeIfStopped(Recipient::Tree));
        let care = Care { records: false, spares_readers: forward == Forward::Tree };
        let expected = [
            Action::Log(Message::ChildEnded { pid: MAIN, status }),
            Action::Log(Message::Translating { from: Signum::TERM, to: Some(Signum::INT) }),
            Action::Forward(Signum::INT, rest, care),
            Action::Reap(MAIN),
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
        let signals = every_signal().flat_map(|signum| WAYS.map(|via| Event::Signal(signum, via)));
        let others = every_signal().flat_map(|signum| {
            let pid = OTHER;
            [
                Event::TraceStop { pid: MAIN, signum: Some(signum) },
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
        let actions = decide(&mut policy, Event::TraceStop { pid: MAIN, signum: Some(signum) });
        assert_eq!(actions, [Action::DetachTraced(MAIN, acts_on)]);
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
        // Also as what it becomes, or comes from, but not to undo a stop that was wanted.
        for (rewrite, expected) in [("10:15", true), ("15:10", true), ("15:19", false), ("15:0", false)] {
            let number = if rewrite == "10:15" { 10 } else { 15 };
            let actions =
                decide(&mut policy(forward, &[rewrite]), Event::Signal(signum(number), SignalSource::Direct));
            let wakes = actions.contains(&Action::ResumeIfStopped(recipient(forward)));
            assert_eq!(wakes, expected, "{rewrite}: {actions:?}");
        }
    }
    // The terminal's own sends it to a stopped process as well.
    let actions =
        decide(&mut policy(Forward::Child, &[]), Event::Signal(Signum::INT, SignalSource::SharedGroup));
    assert_eq!(actions.last(), Some(&Action::ResumeIfStopped(Recipient::Process(MAIN))));
}

#[test]
fn other_personality_neither_suspends_nor_signals_the_remaining() {
    for personality in [Personality::Tini, Personality::Catatonit] {
        for forward in [Forward::Child, Forward::Group] {
            let settings = Settings { personality, names_orphans: true, ..settings(forward, &[]) };
            let mut policy = Policy::new(settings, MAIN);
            for signum in [Signum::TSTP, Signum::TTIN, Signum::TTOU] {
                let actions = decide(&mut policy, Event::Signal(signum, SignalSource::Direct));
                let to = Some((signum, recipient(forward)))
                    .filter(|_| !personality.dropped_signals().contains(&signum));
                assert_eq!(forwarded(&actions), Vec::from_iter(to));
                assert!(!actions.contains(&Action::StopOurselves), "{actions:?}");
            }
            let actions = decide(&mut policy, Event::Ended { pid: OTHER, status: ExitStatus::SUCCESS });
            assert!(actions.contains(&Action::Log(Message::Reaped(OTHER))), "{actions:?}");
            let actions = decide(&mut policy, Event::Ended { pid: MAIN, status: ExitStatus::SUCCESS });
            assert_eq!(forwarded(&actions), []);
            assert!(!actions.contains(&Action::Log(Message::Reaped(MAIN))), "{actions:?}");
            assert_eq!(actions.last(), Some(&Action::Exit(ExitStatus::SUCCESS)));
        }
    }
}

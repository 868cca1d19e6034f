//! Decisions about single events, as tables.

mod sequences;
mod shutdown;

use super::*;
use crate::options::personality::Personality;
use crate::signal::exit_status::{ExitMap, ExitRule};
use crate::signal::rewrite::{Rewrite, RewriteTable};

const COMMAND: Pid = Pid::from_raw(7);
const OTHER: Pid = Pid::from_raw(8);

fn settings(forward: Forward, rewrites: &[impl AsRef<str>]) -> Settings {
    let mut table = RewriteTable::default();
    for rewrite in rewrites {
        table.set(Rewrite::parse(rewrite.as_ref().as_bytes()).expect("a rewrite"));
    }
    Settings { forward, rewrites: table, ..Settings::default() }
}

fn signum(number: i32) -> Signum {
    Signum::new(number).expect("a signal")
}

fn direct(signum: Signum) -> Event {
    Event::Signal(signum, SignalSource::Direct)
}

fn ended(pid: Pid) -> Event {
    Event::Ended { pid, status: ExitStatus::Killed(Signum::TERM) }
}

fn recipient(forward: Forward) -> Recipient {
    match forward {
        Forward::Child => Recipient::Process(COMMAND),
        Forward::Group => Recipient::Group(COMMAND),
        Forward::Tree => Recipient::Tree,
    }
}

fn decide(policy: &mut Policy, now: Instant, event: Event) -> Vec<Action> {
    let actions = policy.decide(now, event);
    assert!(policy.deadline().is_none_or(|at| event != Event::Deadline || at > now), "{actions:?}");
    actions
}

/// The actions for the first event.
fn decide_first(settings: Settings, event: Event) -> Vec<Action> {
    decide(&mut Policy::new(settings, COMMAND), Instant::now(), event)
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
fn command_exit_ends_the_policy_after_a_last_signal() {
    let status = ExitStatus::Killed(Signum::TERM);
    for (personality, forward, rest) in [
        (Personality::DumbInit, Forward::Child, Some(Recipient::Nobody)),
        (Personality::DumbInit, Forward::Group, Some(Recipient::RestOfGroup(COMMAND))),
        (Personality::DumbInit, Forward::Tree, Some(Recipient::Tree)),
        (Personality::Tini, Forward::Group, None),
        (Personality::Catatonit, Forward::Child, None),
    ] {
        let exit_map = ExitMap::new(vec![ExitRule::parse(b"143:7").expect("a rule")]);
        let settings = Settings { personality, exit_map, ..settings(forward, &["15:2"]) };
        let mut actions = decide_first(settings, ended(COMMAND));
        actions.retain(|action| *action != Action::ResumeIfStopped(Recipient::Tree));
        let care = Care { records: false, spares_readers: forward == Forward::Tree };
        let last_signal = rest.map(|rest| {
            let translated = Message::Translating { from: Signum::TERM, to: Some(Signum::INT) };
            [Action::Log(translated), Action::Forward(Signum::INT, rest, care)]
        });
        let mut expected = vec![Action::Log(Message::ChildEnded { pid: COMMAND, status })];
        expected.extend(last_signal.into_iter().flatten());
        expected.extend([
            Action::Reap(COMMAND),
            Action::Log(Message::Goodbye(status)),
            Action::Exit(ExitStatus::Exited(7), Reason::Killed(Signum::TERM)),
        ]);
        assert_eq!(actions, expected);
    }
}

#[test]
fn forwarded_signal_that_ends_the_command_is_the_reason() {
    let request = |received, sent| Reason::Requested(Request { received, sent });
    let usr1 = Signum::new(libc::SIGUSR1).unwrap();
    let killed = Event::Ended { pid: COMMAND, status: ExitStatus::Killed(Signum::HUP) };
    for (received, event, expected) in [
        (Signum::HUP, killed, request(Signum::HUP, Signum::HUP)),
        (usr1, ended(COMMAND), request(usr1, Signum::TERM)),
        // It ignores the signal.
        (Signum::HUP, ended(COMMAND), Reason::Killed(Signum::TERM)),
    ] {
        let mut policy = Policy::new(settings(Forward::Group, &["10:15"]), COMMAND);
        for signum in [received, Signum::WINCH] {
            decide(&mut policy, Instant::now(), direct(signum));
        }
        let actions = decide(&mut policy, Instant::now(), event);
        let reason = actions.last().map(|action| match action {
            Action::Exit(_, reason) => *reason,
            action => panic!("{action:?}"),
        });
        assert_eq!(reason, Some(expected), "{received:?}");
    }
}

#[test]
fn exit_of_another_child_is_only_logged() {
    for names_orphans in [false, true] {
        let status = ExitStatus::Killed(Signum::TERM);
        let named = names_orphans.then_some(Action::Log(Message::Reaped(OTHER)));
        let mut expected = vec![Action::Log(Message::ChildEnded { pid: OTHER, status })];
        expected.extend(named.into_iter().chain([Action::Reap(OTHER)]));
        let settings = Settings { names_orphans, ..Settings::default() };
        assert_eq!(decide_first(settings, ended(OTHER)), expected);
    }
}

#[test]
fn traced_child_resumes_with_any_signal_not_meant_for_a_tracer() {
    for signum in [None].into_iter().chain(Signum::all().map(Some)) {
        let acts_on = signum.filter(|&signum| signum != Signum::STOP && signum != Signum::TRAP);
        let actions = decide_first(Settings::default(), Event::TraceStop { pid: OTHER, signum });
        assert_eq!(actions, [Action::DetachTraced(OTHER, acts_on)]);
    }
}

#[test]
fn pause_ends_only_on_a_termination_signal() {
    for signum in Signum::all() {
        assert_eq!(ends_a_pause(signum), [2, 15].contains(&signum.raw()), "{signum}");
    }
}

#[test]
fn stopped_command_is_resumed_only_for_a_termination_signal() {
    let unchanged = (1..=64).map(|number| (number, "1:1", [1, 2, 3, 15].contains(&number)));
    // Before or after a rewrite, but not after a rewrite to a stop.
    let rewritten = [(10, "10:15", true), (15, "15:10", true), (15, "15:19", false), (15, "15:0", false)];
    for (number, rewrite, resumes) in unchanged.chain(rewritten) {
        // A key is received by stopped processes, too.
        for source in [SignalSource::Direct, SignalSource::SharedGroup] {
            for forward in [Forward::Child, Forward::Group, Forward::Tree] {
                let event = Event::Signal(signum(number), source);
                let actions = decide_first(settings(forward, &[rewrite]), event);
                let resume = Action::ResumeIfStopped(recipient(forward));
                assert_eq!(actions.contains(&resume), resumes, "{event:?} {rewrite}: {actions:?}");
            }
        }
    }
}

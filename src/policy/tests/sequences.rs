//! The invariants of the policy, against random sequences of events.
//!
//! A model of the processes carries out the actions, as the supervisor does, and checks each.

use std::collections::BTreeMap;
use std::mem;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::*;
use crate::options::settings::{Delay, Limit};

/// An event outside of the policy.
#[derive(Clone, Copy, Debug)]
enum Occurrence {
    Signal(Signum, SignalSource),
    /// An orphan becomes our child. Its PID is free.
    Orphan(i32),
    /// The child with this index exits.
    Death(usize, ExitStatus),
    /// The child with this index stops as our tracee.
    Trap(usize, Signum),
    /// Milliseconds pass.
    Time(u64),
}

#[derive(Clone, Debug)]
struct Setup {
    personality: Personality,
    forward: Forward,
    rewrites: BTreeMap<i32, i32>,
    drain: Option<Limit>,
    linger: bool,
    kill_after: Option<Limit>,
    delays: Vec<Delay>,
    /// Whether each helper may exit without consequences. Their PIDs begin at 20.
    helpers: Vec<bool>,
    /// `--pre-stop`: the timeout of the hook.
    pre_stop: Option<Limit>,
    /// Whether SIGKILL ends no process, as if all hang in the kernel.
    is_hanging: bool,
}

impl Setup {
    fn policy(&self) -> Policy {
        let rewrites: Vec<String> = self.rewrites.iter().map(|(from, to)| format!("{from}:{to}")).collect();
        let settings = Settings {
            personality: self.personality,
            drain: self.drain,
            linger: self.linger,
            kill_after: self.kill_after.unwrap_or(Limit::Never),
            delays: self.delays.clone(),
            pre_stop: self.pre_stop,
            ..settings(self.forward, &rewrites)
        };
        let helpers = self.helpers.iter().enumerate();
        let helpers = helpers.map(|(index, &is_optional)| Helper { pid: helper(index), is_optional });
        Policy::new(settings, COMMAND).with_helpers(helpers.collect())
    }

    /// Whether a signal shuts down, as it is received or forwarded.
    fn shuts_down(&self, signum: Signum) -> bool {
        self.rewritten(signum)
            .is_some_and(|to| [2, 3, 15].iter().any(|&n| n == to.raw() || n == signum.raw()))
    }

    /// The signal that is forwarded for this one, computed in another way than in the policy.
    fn rewritten(&self, signum: Signum) -> Option<Signum> {
        let leads_a_session = self.personality == Personality::DumbInit && self.forward != Forward::Child;
        match self.rewrites.get(&signum.raw()) {
            Some(&to) => Signum::new(to),
            None if self.personality.dropped_signals().contains(&signum) => None,
            None if leads_a_session && [20, 21, 22].contains(&signum.raw()) => Some(Signum::STOP),
            None => Some(signum),
        }
    }
}

fn helper(index: usize) -> Pid {
    Pid::from_raw(20 + i32::try_from(index).unwrap())
}

const HOOK: Pid = Pid::from_raw(30);

fn any_setup() -> impl Strategy<Value = Setup> {
    let personality =
        [Personality::DumbInit, Personality::DumbInit, Personality::Tini, Personality::Catatonit];
    let forward = [Forward::Child, Forward::Group, Forward::Tree];
    let time = (0u64..1000).prop_map(Duration::from_millis);
    let limit = option::of(time.clone().prop_map(Limit::After));
    let signum = select(vec![Signum::TERM, Signum::HUP]);
    let delays = vec((signum, time).prop_map(|(signum, duration)| Delay { signum, duration }), 0..3);
    let additions =
        (limit.clone(), any::<bool>(), limit.clone(), delays, vec(any::<bool>(), 0..3), limit, any::<bool>());
    // Half of the cases have no options that the original lacks.
    let additions = prop_oneof![Just((None, false, None, Vec::new(), Vec::new(), None, false)), additions];
    (select(personality.to_vec()), select(forward.to_vec()), btree_map(1..=31, 0..=31, 0..8), additions)
        .prop_map(|(personality, forward, rewrites, additions)| {
            let (drain, linger, kill_after, delays, helpers, pre_stop, is_hanging) = additions;
            Setup {
                personality,
                forward,
                rewrites,
                drain,
                linger,
                kill_after,
                delays,
                helpers,
                pre_stop,
                is_hanging,
            }
        })
}

fn any_signum() -> impl Strategy<Value = Signum> {
    (1..=64).prop_map(signum)
}

fn any_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![any::<u8>().prop_map(ExitStatus::Exited), any_signum().prop_map(ExitStatus::Killed)]
}

fn any_occurrence() -> impl Strategy<Value = Occurrence> {
    let source = select(vec![SignalSource::Direct, SignalSource::SharedGroup]);
    prop_oneof![
        6 => (any_signum(), source).prop_map(|(signum, source)| Occurrence::Signal(signum, source)),
        3 => (7..20).prop_map(Occurrence::Orphan),
        3 => (any::<usize>(), any_status()).prop_map(|(index, status)| Occurrence::Death(index, status)),
        1 => (any::<usize>(), any_signum()).prop_map(|(index, signum)| Occurrence::Trap(index, signum)),
        2 => (0u64..500).prop_map(Occurrence::Time),
    ]
}

struct Model {
    setup: Setup,
    policy: Policy,
    now: Instant,
    /// Our children, each with the event that is not reported yet. PIDs of reaped children are reused.
    children: BTreeMap<Pid, Option<Event>>,
    /// The exit status of the command after it is reaped.
    status: Option<ExitStatus>,
    /// The helpers that are running.
    helpers: Vec<Pid>,
    /// The signal for which the hook was started, and its source.
    hook_signal: Option<(Signum, SignalSource)>,
    is_hook_killed: bool,
    /// The exit of a helper that ends the container.
    failed_helper: Option<ExitStatus>,
    /// Events that actions have caused.
    caused: Vec<Event>,
    kills: u32,
    has_exited: bool,
}

impl Model {
    fn new(setup: Setup) -> Self {
        Self {
            policy: setup.policy(),
            now: Instant::now(),
            children: (0..setup.helpers.len()).map(helper).chain([COMMAND]).map(|pid| (pid, None)).collect(),
            helpers: (0..setup.helpers.len()).map(helper).collect(),
            hook_signal: None,
            is_hook_killed: false,
            failed_helper: None,
            caused: Vec::new(),
            setup,
            status: None,
            kills: 0,
            has_exited: false,
        }
    }

    fn apply(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Signal(signum, source) => self.report(Event::Signal(signum, source)),
            Occurrence::Orphan(pid) => drop(self.children.entry(Pid::from_raw(pid)).or_insert(None)),
            Occurrence::Death(index, status) => self.change(index, |pid| Event::Ended { pid, status }),
            Occurrence::Trap(index, signum) => {
                self.change(index, |pid| Event::TraceStop { pid, signum: Some(signum) });
            }
            Occurrence::Time(milliseconds) => self.wait(milliseconds),
        }
    }

    /// Lets time pass, and reports the deadlines in it.
    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(deadline) = self.policy.deadline().filter(|&at| at <= end && !self.has_exited) {
            self.now = self.now.max(deadline);
            self.report(Event::Deadline);
        }
        self.now = end;
    }

    /// Changes the state of the child with this index, of which SIGCHLD informs us.
    fn change(&mut self, index: usize, event: impl Fn(Pid) -> Event) {
        let number = self.children.len().max(1);
        if let Some((&pid, child)) = self.children.iter_mut().nth(index % number) {
            *child = Some(event(pid));
            self.report(direct(Signum::CHLD));
        }
    }

    /// Reports an event, checks the decision and carries it out.
    fn report(&mut self, event: Event) {
        let is_delayed =
            |policy: &Policy, signum: &Signum| policy.delayed_signals().any(|other| other == *signum);
        let delayed: Vec<Signum> = Signum::all().filter(|signum| is_delayed(&self.policy, signum)).collect();
        let held = self.policy.hook.held;
        let actions = decide(&mut self.policy, self.now, event);
        if let Some(held) = held.filter(|_| self.is_hook_running() && self.status.is_none()) {
            let is_repeated = matches!(event, Event::Signal(signum, _) if signum == held.signum);
            let is_end = matches!(event, Event::Ended { pid, .. } if pid == COMMAND || pid == HOOK);
            let is_killed = actions.contains(&Action::SignalHook(Signum::KILL, HOOK));
            let may_be_sent = is_repeated || is_end || is_killed || event == Event::HookNotStarted;
            assert!(may_be_sent || self.policy.hook.held.is_some(), "{held:?} is sent early: {event:?}");
        }
        // No delayed signal is lost.
        for signum in delayed.into_iter().filter(|signum| !is_delayed(&self.policy, signum)) {
            let is_own = self.failed_helper.is_some() && signum == Signum::TERM;
            let to = if is_own { Some(signum) } else { self.setup.rewritten(signum) };
            // The command has a key from the terminal.
            if self.hook_signal == Some((signum, SignalSource::SharedGroup)) {
                continue;
            }
            let is_outcome = |action: &Action| match *action {
                Action::Forward(sent, ..) => Some(sent) == to || Some(sent) == self.setup.rewritten(signum),
                Action::Log(Message::NotForwarded) => to.is_none(),
                _ => false,
            };
            assert!(actions.iter().any(is_outcome), "{signum} is lost: {actions:?}");
        }
        if let Event::Signal(signum, source) = event {
            self.check_signal(signum, source, &actions);
        }
        let kills = actions.contains(&Action::KillAll) && !self.setup.is_hanging;
        for action in actions {
            self.act(action);
        }
        for event in mem::take(&mut self.caused).into_iter().filter(|_| !self.has_exited).collect::<Vec<_>>()
        {
            self.report(event);
        }
        if kills && !self.has_exited {
            self.report(direct(Signum::CHLD));
        }
    }

    fn check_signal(&self, signum: Signum, source: SignalSource, actions: &[Action]) {
        assert_eq!(actions.first(), Some(&Action::Log(Message::Received(signum))));
        let (of_drain, sent): (Vec<_>, Vec<_>) = forwarded(actions)
            .into_iter()
            .partition(|(_, recipient)| matches!(recipient, Recipient::Unsignalled(_)));
        let is_delayed = actions.iter().any(|action| matches!(action, Action::Log(Message::Holding(..))));
        let starts_hook = actions.contains(&Action::RunHook(signum));
        let expected = if is_delayed || starts_hook { Vec::new() } else { self.expected(signum, source) };
        let is_own = self.failed_helper.is_some() && signum == Signum::TERM;
        assert!(sent == expected || is_own, "{signum} {source:?}: {actions:?}");
        let has_hook = self.setup.pre_stop.is_some() && self.setup.shuts_down(signum);
        let is_first = has_hook && self.hook_signal.is_none() && (self.status.is_none() || self.setup.linger);
        assert_eq!(starts_hook, is_first && signum != Signum::CHLD, "{signum}: {actions:?}");
        let is_dropped =
            self.setup.rewritten(signum).is_none() && signum != Signum::CHLD && !is_delayed && !is_own;
        assert!(!is_dropped || actions.contains(&Action::Log(Message::NotForwarded)), "{actions:?}");
        assert!(of_drain.len() <= usize::from(self.setup.drain.is_some()), "{actions:?}");
        let stops = actions.iter().filter(|action| matches!(action, Action::StopOurselves)).count();
        let suspends = signum.suspends_a_job() && self.setup.personality == Personality::DumbInit;
        assert_eq!(stops, usize::from(suspends), "{signum}: {actions:?}");
    }

    /// The forwarded signals and their recipients, computed in another way than in the policy.
    fn expected(&self, signum: Signum, source: SignalSource) -> Vec<(Signum, Recipient)> {
        let Some(to) = self.setup.rewritten(signum).filter(|_| signum != Signum::CHLD) else {
            return Vec::new();
        };
        if self.setup.linger || self.status.is_some() || self.setup.forward == Forward::Tree {
            return vec![(to, Recipient::Tree)];
        }
        let has_key = source == SignalSource::SharedGroup && to == signum && [2, 3, 20].contains(&to.raw());
        let command = (!has_key).then(|| recipient(self.setup.forward));
        let of_helper = |&pid: &Pid| match self.setup.forward {
            Forward::Child => Recipient::Process(pid),
            Forward::Group | Forward::Tree => Recipient::Group(pid),
        };
        let all = command.into_iter().chain(self.helpers.iter().map(of_helper));
        all.map(|recipient| (to, recipient)).collect()
    }

    /// Whether the hook may still run. It hangs in the kernel after SIGKILL, or exits.
    fn is_hook_running(&self) -> bool {
        self.children.contains_key(&HOOK) && !self.is_hook_killed
    }

    /// Whether a child has exited. `None` if there is none with this PID.
    fn has_ended(&self, pid: Pid) -> Option<bool> {
        self.children.get(&pid).map(|event| matches!(event, Some(Event::Ended { .. })))
    }

    fn act(&mut self, action: Action) {
        assert!(!self.has_exited, "{action:?} after the exit");
        let waits = self.setup.drain.is_some() || self.setup.linger;
        match action {
            Action::Log(_) | Action::StopOurselves => {}
            Action::Forward(_, recipient, _) | Action::ResumeIfStopped(recipient) => match recipient {
                Recipient::Process(pid) | Recipient::Group(pid) if pid != COMMAND => {
                    assert!(self.helpers.contains(&pid) && self.children.contains_key(&pid), "{action:?}");
                }
                Recipient::Process(pid) | Recipient::Group(pid) | Recipient::RestOfGroup(pid) => {
                    let is_rest = matches!(recipient, Recipient::RestOfGroup(_));
                    assert_eq!((self.has_ended(pid), self.status), (Some(is_rest), None), "{action:?}");
                }
                Recipient::Nobody | Recipient::Tree | Recipient::Unsignalled(_) => {}
            },
            Action::Continue(_) | Action::ContinueIfSuspended(_) => panic!("{action:?} without a terminal"),
            Action::Round(drain) => assert!(waits && (drain.is_none() || self.setup.drain.is_some())),
            Action::KillAll => {
                assert!(self.setup.drain.is_some() || self.setup.kill_after.is_some());
                self.kills += 1;
                let is_killed = |pid: &Pid| !self.setup.is_hanging && *pid != HOOK;
                for (&pid, child) in self.children.iter_mut().filter(|(pid, _)| is_killed(pid)) {
                    *child = Some(Event::Ended { pid, status: ExitStatus::Killed(Signum::KILL) });
                }
            }
            Action::CollectChildren => self.collect(),
            Action::Reap(pid) => {
                let child = self.children.remove(&pid);
                self.helpers.retain(|&helper| helper != pid);
                let Some(Some(Event::Ended { status, .. })) = child else { panic!("reaps {pid}: {child:?}") };
                if pid == COMMAND {
                    self.status.get_or_insert(status);
                }
            }
            Action::DetachTraced(pid, acts_on) => {
                let child = self.children.insert(pid, None);
                let Some(Some(Event::TraceStop { signum, .. })) = child else { panic!("{pid}: {child:?}") };
                assert!(acts_on.is_none() || acts_on == signum);
            }
            Action::LogHelper(pid, status) => {
                let index = (0..self.setup.helpers.len()).find(|&index| helper(index) == pid);
                assert!(!self.setup.helpers[index.expect("a helper")] && self.status.is_none());
                assert_eq!(self.failed_helper.replace(status), None);
            }
            Action::RunHook(signum) => {
                assert!(self.setup.pre_stop.is_some() && self.hook_signal.is_none());
                let held = self.policy.hook.held.expect("a signal");
                assert_eq!(held.signum, signum);
                self.hook_signal = Some((signum, held.source));
                self.children.insert(HOOK, None);
                self.caused.push(Event::HookStarted(HOOK));
            }
            Action::SignalHook(signum, pid) => {
                assert!(pid == HOOK && self.children.contains_key(&HOOK));
                if signum == Signum::KILL {
                    self.is_hook_killed = true;
                    let status = ExitStatus::Killed(signum);
                    let ended = Some(Event::Ended { pid, status }).filter(|_| !self.setup.is_hanging);
                    *self.children.get_mut(&HOOK).unwrap() = ended;
                    self.caused.push(direct(Signum::CHLD));
                }
            }
            Action::Exit(status, reason) => {
                assert!(!self.is_hook_running(), "exits before the hook");
                let own = self
                    .failed_helper
                    .map(|status| if status.code() == 0 { ExitStatus::FAILURE } else { status });
                assert_eq!(Some(status), own.or(self.status));
                assert_eq!(matches!(reason, Reason::Helper { .. }), own.is_some());
                let may_leave = !waits || self.children.keys().all(|&pid| pid == HOOK) || self.kills >= 20;
                assert!(may_leave, "leaves {:?} behind", self.children);
                self.has_exited = true;
            }
        }
    }

    /// Reports each child that has changed.
    fn collect(&mut self) {
        while !self.has_exited {
            let none = if self.children.is_empty() { Event::NoChildren } else { Event::AllReaped };
            let event = self.children.values().copied().flatten().next().unwrap_or(none);
            self.report(event);
            if event == Event::AllReaped {
                return;
            }
        }
    }
}

/// Seed that is the same in each run. `SEED` overrides it by another number, or by `random`.
#[allow(clippy::print_stdout)] // The test runner shows it if the test fails.
fn seed() -> RngSeed {
    let seed = match std::env::var("SEED").as_deref() {
        Err(_) => 20_261_126,
        Ok("random") => fastrand::u64(..),
        Ok(seed) => seed.parse().expect("SEED is a number, or `random`"),
    };
    println!("SEED={seed}");
    RngSeed::Fixed(seed)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 2000,
        rng_seed: seed(),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_sequences_keep_the_invariants(
        setup in any_setup(),
        occurrences in vec(any_occurrence(), 0..60),
        status in any_status(),
    ) {
        let mut model = Model::new(setup);
        for occurrence in occurrences {
            if !model.has_exited {
                model.apply(occurrence);
            }
        }
        let exit = |pid| Event::Ended { pid, status };
        if model.status.is_none() {
            // The command has the lowest PID.
            model.change(0, exit);
        }
        if model.setup.is_hanging {
            model.wait(10_000);
        }
        // The remaining children exit one after the other.
        while !model.has_exited {
            assert!(!model.children.is_empty(), "no child, and no exit");
            model.change(0, exit);
        }
    }
}

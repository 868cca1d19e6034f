//! The invariants of the policy, against random sequences of events.
//!
//! A model of the processes carries out the actions, as the supervisor does, and checks each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::options::personality::Personality;
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

/// Options that the original lacks. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Extras {
    drain: Option<u64>,
    linger: bool,
    kill_after: Option<u64>,
    delays: [Option<u64>; 2],
    /// Whether SIGKILL ends no process, as if all hang in the kernel.
    hanging: bool,
}

impl Extras {
    const NONE: Self =
        Self { drain: None, linger: false, kill_after: None, delays: [None; 2], hanging: false };

    fn waits(self) -> bool {
        self.drain.is_some() || self.linger
    }
}

fn any_extras() -> impl Strategy<Value = Extras> {
    let time = || proptest::option::of(0u64..1000);
    (time(), any::<bool>(), time(), [time(), time()], any::<bool>()).prop_map(
        |(drain, linger, kill_after, delays, hanging)| Extras { drain, linger, kill_after, delays, hanging },
    )
}

fn any_personality() -> impl Strategy<Value = Personality> {
    let [dumb_init, tini, catatonit] =
        [Personality::DumbInit, Personality::Tini, Personality::Catatonit].map(Just);
    prop_oneof![2 => dumb_init, 1 => tini, 1 => catatonit]
}

fn any_signum() -> impl Strategy<Value = Signum> {
    (1..=64).prop_map(signum)
}

fn any_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![any::<u8>().prop_map(ExitStatus::Exited), any_signum().prop_map(ExitStatus::Killed)]
}

fn any_occurrence() -> impl Strategy<Value = Occurrence> {
    let source = prop_oneof![Just(SignalSource::Direct), Just(SignalSource::SharedGroup)];
    prop_oneof![
        6 => (any_signum(), source).prop_map(|(signum, source)| Occurrence::Signal(signum, source)),
        3 => (7..20).prop_map(Occurrence::Orphan),
        3 => (any::<usize>(), any_status()).prop_map(|(index, status)| Occurrence::Death(index, status)),
        1 => (any::<usize>(), any_signum()).prop_map(|(index, signum)| Occurrence::Trap(index, signum)),
        2 => (0u64..500).prop_map(Occurrence::Time),
    ]
}

/// The state of a child.
#[derive(Clone, Copy, Debug)]
enum Child {
    Runs,
    Trapped(Signum),
    Ended(ExitStatus),
}

struct Model {
    policy: Policy,
    init: Personality,
    forward: Forward,
    extras: Extras,
    now: Instant,
    rewrites: BTreeMap<i32, i32>,
    children: BTreeMap<Pid, Child>,
    /// PIDs that may belong to other processes by now.
    reaped: BTreeSet<Pid>,
    kills: u32,
    exit: Option<ExitStatus>,
}

impl Model {
    fn new(init: Personality, forward: Forward, rewrites: BTreeMap<i32, i32>, extras: Extras) -> Self {
        let texts: Vec<String> = rewrites.iter().map(|(from, to)| format!("{from}:{to}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let limit = |time: u64| Limit::After(Duration::from_millis(time));
        let delay = |(signum, time): (Signum, Option<u64>)| {
            Some(Delay { signum, duration: Duration::from_millis(time?) })
        };
        let delays = [Signum::TERM, Signum::HUP].into_iter().zip(extras.delays).filter_map(delay).collect();
        let settings = Settings {
            personality: init,
            drain: extras.drain.map(limit),
            linger: extras.linger,
            kill_after: extras.kill_after.map_or(Limit::Never, limit),
            delays,
            ..settings(forward, &texts)
        };
        Self {
            policy: Policy::new(settings, COMMAND),
            init,
            forward,
            extras,
            now: Instant::now(),
            rewrites,
            children: BTreeMap::from([(COMMAND, Child::Runs)]),
            reaped: BTreeSet::new(),
            kills: 0,
            exit: None,
        }
    }

    fn apply(&mut self, occurrence: Occurrence) {
        let nth = |index: usize| self.children.keys().copied().nth(index % self.children.len().max(1));
        match occurrence {
            Occurrence::Signal(signum, source) => self.signal(signum, source),
            Occurrence::Orphan(pid) => drop(self.children.entry(Pid::from_raw(pid)).or_insert(Child::Runs)),
            Occurrence::Death(index, status) => {
                if let Some(pid) = nth(index) {
                    self.ends(pid, status);
                }
            }
            Occurrence::Trap(index, signum) => {
                if let Some(pid) = nth(index)
                    && let Some(child @ Child::Runs) = self.children.get_mut(&pid)
                {
                    *child = Child::Trapped(signum);
                    self.signal(Signum::CHLD, SignalSource::Direct);
                }
            }
            Occurrence::Time(milliseconds) => self.wait(milliseconds),
        }
    }

    /// Lets time pass, and reports the deadlines in it.
    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while self.exit.is_none()
            && let Some(deadline) = self.policy.deadline().filter(|&deadline| deadline <= end)
        {
            self.now = self.now.max(deadline);
            let actions = self.decide(Event::Deadline);
            self.act(actions);
        }
        self.now = end;
    }

    /// Asks the policy, and checks that no delayed signal is lost.
    fn decide(&mut self, event: Event) -> Vec<Action> {
        let held = |policy: &Policy| {
            every_signal().filter(|&signum| policy.delayed.contains(signum)).collect::<Vec<_>>()
        };
        let before = held(&self.policy);
        let actions = decide_at(&mut self.policy, self.now, event);
        let now = held(&self.policy);
        for signum in before.into_iter().filter(|signum| !now.contains(signum)) {
            let unasked = if self.init.dropped_signals().contains(&signum) { 0 } else { signum.raw() };
            let to = self.rewrites.get(&signum.raw()).copied().unwrap_or(unasked);
            let passed_on = |action: &Action| match *action {
                Action::Forward(sent, ..) => sent.raw() == to,
                Action::Log(Message::NotForwarded) => to == 0,
                _ => false,
            };
            assert!(actions.iter().any(passed_on), "{signum}, which was held, is lost: {actions:?}");
        }
        actions
    }

    fn ends(&mut self, pid: Pid, status: ExitStatus) {
        if let Some(child @ (Child::Runs | Child::Trapped(_))) = self.children.get_mut(&pid) {
            *child = Child::Ended(status);
            self.signal(Signum::CHLD, SignalSource::Direct);
        }
    }

    fn signal(&mut self, signum: Signum, source: SignalSource) {
        let actions = self.decide(Event::Signal(signum, source));
        assert_eq!(actions.first(), Some(&Action::Log(Message::Received(signum))));
        let sent = forwarded(&actions);
        let holds = actions.iter().any(|action| matches!(action, Action::Log(Message::Holding(..))));
        if !holds {
            let expected = Vec::from_iter(self.expected(signum, source));
            // A drain that starts here sends one more.
            let drained =
                sent.iter().filter(|(_, recipient)| matches!(recipient, Recipient::Unsignalled(_))).count();
            assert_eq!(sent[..sent.len() - drained], expected, "{signum} {source:?}: {actions:?}");
            assert!(drained <= usize::from(self.extras.drain.is_some()), "{actions:?}");
        }
        let stops = actions.iter().filter(|action| matches!(action, Action::StopOurselves)).count();
        assert_eq!(
            stops,
            usize::from(signum.suspends_a_job() && self.init == Personality::DumbInit),
            "{signum}: {actions:?}"
        );
        self.act(actions);
    }

    /// The forwarded signal and its recipient, computed in another way than in the policy.
    fn expected(&self, signum: Signum, source: SignalSource) -> Option<(Signum, Recipient)> {
        if signum == Signum::CHLD {
            return None;
        }
        let leads_a_session = self.init == Personality::DumbInit && self.forward != Forward::Child;
        let becomes = match self.rewrites.get(&signum.raw()) {
            Some(0) => return None,
            Some(&to) => super::signum(to),
            None if self.init.dropped_signals().contains(&signum) => return None,
            None if leads_a_session && [20, 21, 22].contains(&signum.raw()) => Signum::STOP,
            None => signum,
        };
        let has_it =
            source == SignalSource::SharedGroup && becomes == signum && [2, 3, 20].contains(&signum.raw());
        let everybody = self.extras.linger || self.reaped.contains(&COMMAND);
        if everybody || self.forward == Forward::Tree {
            Some((becomes, Recipient::Tree))
        } else {
            (!has_it).then(|| (becomes, recipient(self.forward)))
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        let last = actions.len().checked_sub(1);
        let mut pending = false;
        for (index, action) in actions.into_iter().enumerate() {
            assert_eq!(self.exit, None, "{action:?} after the exit");
            match action {
                Action::Log(_) | Action::StopOurselves => {}
                Action::Forward(_, recipient, _) | Action::ResumeIfStopped(recipient) => match recipient {
                    Recipient::Process(pid) | Recipient::Group(pid) => {
                        assert!(matches!(self.children.get(&pid), Some(Child::Runs | Child::Trapped(_))));
                        assert!(!self.reaped.contains(&pid), "{pid} was reaped");
                    }
                    Recipient::RestOfGroup(pid) => {
                        assert!(matches!(self.children.get(&pid), Some(Child::Ended(_))));
                        assert!(!self.reaped.contains(&pid), "{pid} was reaped");
                    }
                    Recipient::Nobody | Recipient::Tree | Recipient::Unsignalled(_) => {}
                },
                Action::Continue(_) | Action::ContinueIfSuspended(_) => {
                    panic!("{action:?} without a terminal")
                }
                Action::Round(drain) => {
                    assert!(self.extras.drain.is_some() || (self.extras.linger && drain.is_none()));
                }
                Action::KillAll => {
                    assert!(self.extras.drain.is_some() || self.extras.kill_after.is_some());
                    self.kills += 1;
                    if !self.extras.hanging {
                        let killed = Child::Ended(ExitStatus::Killed(Signum::KILL));
                        let runs = |child: &&mut Child| !matches!(child, Child::Ended(_));
                        self.children.values_mut().filter(runs).for_each(|child| *child = killed);
                        pending = true;
                    }
                }
                Action::CollectChildren => self.collect(),
                Action::Reap(pid) => {
                    let child = self.children.remove(&pid);
                    assert!(matches!(child, Some(Child::Ended(_))), "reaps {pid}: {child:?}");
                    // PIDs other than the command's may be reused for a child.
                    if pid == COMMAND {
                        self.reaped.insert(pid);
                    }
                }
                Action::DetachTraced(pid, acts_on) => {
                    let child = self.children.insert(pid, Child::Runs);
                    let Some(Child::Trapped(signum)) = child else { panic!("releases {pid}: {child:?}") };
                    assert!(acts_on.is_none_or(|acts_on| acts_on == signum));
                }
                Action::Exit(status) => {
                    assert_eq!(Some(index), last, "there is more to do after the exit");
                    let may_leave = !self.extras.waits() || self.children.is_empty() || self.kills >= 20;
                    assert!(may_leave, "leaves {:?} behind", self.children);
                    self.exit = Some(status);
                }
            }
        }
        if pending && self.exit.is_none() {
            self.signal(Signum::CHLD, SignalSource::Direct);
        }
    }

    fn collect(&mut self) {
        while self.exit.is_none() {
            let event = self.children.iter().find_map(|(&pid, &child)| match child {
                Child::Runs => None,
                Child::Trapped(signum) => Some(Event::TraceStop { pid, signum: Some(signum) }),
                Child::Ended(status) => Some(Event::Ended { pid, status }),
            });
            let event = match event {
                Some(event) => event,
                None if self.children.is_empty() => Event::NoChildren,
                None => Event::AllReaped,
            };
            let actions = self.decide(event);
            self.act(actions);
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
        init in any_personality(),
        forward in prop_oneof![Just(Forward::Child), Just(Forward::Group), Just(Forward::Tree)],
        rewrites in proptest::collection::btree_map(1..=31, 0..=31, 0..8),
        extras in prop_oneof![Just(Extras::NONE), any_extras()],
        occurrences in vec(any_occurrence(), 0..60),
        status in any_status(),
    ) {
        let mut model = Model::new(init, forward, rewrites, extras);
        let mut status = status;
        let mut ended = false;
        for occurrence in occurrences {
            if model.exit.is_some() {
                break;
            }
            model.apply(occurrence);
            if !ended && model.reaped.contains(&COMMAND) {
                ended = true;
                status = match occurrence {
                    Occurrence::Death(_, first) => first,
                    _ => ExitStatus::Killed(Signum::KILL),
                };
            }
        }
        if !ended {
            model.ends(COMMAND, status);
        }
        // The remaining children exit one after the other, unless they hang.
        if model.extras.hanging {
            model.wait(10_000);
        }
        while model.exit.is_none() {
            let next = model.children.keys().copied().next();
            model.ends(next.expect("we are alone and don't leave"), ExitStatus::SUCCESS);
        }
        // `act` has checked that no action follows the exit.
        prop_assert_eq!(model.exit, Some(status));
    }
}

//! The invariants that the module promises, held against random lives.
//!
//! A life is a sequence of what may happen around an init. A world beside the policy keeps account of the processes, does
//! what it is told as the supervisor would, and finds fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::options::duration::{Delay, Limit};
use crate::options::personality::Personality;

/// Something that happens in the world.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Signal(Signum, SignalSource),
    /// A process becomes our child, under a number that is free.
    Orphan(i32),
    /// One of our children ends, the one with this index.
    Death(usize, ExitStatus),
    /// One of our children stops under our trace.
    Trap(usize, Signum),
    /// So many milliseconds pass.
    Time(u64),
}

/// What is asked for beyond the original, in milliseconds where it is a time.
#[derive(Clone, Copy, Debug)]
struct Beyond {
    drain: Option<u64>,
    linger: bool,
    kill_after: Option<u64>,
    delays: [Option<u64>; 2],
    /// Do processes hang in the kernel, so that SIGKILL doesn't end them?
    hanging: bool,
}

impl Beyond {
    const NOTHING: Self =
        Self { drain: None, linger: false, kill_after: None, delays: [None; 2], hanging: false };

    fn waits(self) -> bool {
        self.drain.is_some() || self.linger
    }
}

fn any_beyond() -> impl Strategy<Value = Beyond> {
    let time = || proptest::option::of(0u64..1000);
    (time(), any::<bool>(), time(), [time(), time()], any::<bool>()).prop_map(
        |(drain, linger, kill_after, delays, hanging)| Beyond { drain, linger, kill_after, delays, hanging },
    )
}

fn any_signum() -> impl Strategy<Value = Signum> {
    (1..=64).prop_map(signum)
}

fn any_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![any::<u8>().prop_map(ExitStatus::Exited), any_signum().prop_map(ExitStatus::Killed)]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let via = prop_oneof![Just(SignalSource::Direct), Just(SignalSource::SharedGroup)];
    prop_oneof![
        6 => (any_signum(), via).prop_map(|(signum, via)| Happening::Signal(signum, via)),
        3 => (7..20).prop_map(Happening::Orphan),
        3 => (any::<usize>(), any_status()).prop_map(|(index, status)| Happening::Death(index, status)),
        1 => (any::<usize>(), any_signum()).prop_map(|(index, signum)| Happening::Trap(index, signum)),
        2 => (0u64..500).prop_map(Happening::Time),
    ]
}

/// A child of ours.
#[derive(Clone, Copy, Debug)]
enum Child {
    Runs,
    Trapped(Signum),
    Ended(ExitStatus),
}

struct World {
    policy: Policy,
    init: Personality,
    forward: Forward,
    beyond: Beyond,
    now: Instant,
    rewrites: BTreeMap<i32, i32>,
    children: BTreeMap<Pid, Child>,
    /// Numbers that were ours once: whoever has one now is somebody else.
    reaped: BTreeSet<Pid>,
    kills: u32,
    exit: Option<ExitStatus>,
}

impl World {
    fn new(init: Personality, forward: Forward, rewrites: BTreeMap<i32, i32>, beyond: Beyond) -> Self {
        let texts: Vec<String> = rewrites.iter().map(|(from, to)| format!("{from}:{to}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let limit = |time: u64| Limit::After(Duration::from_millis(time));
        let delay = |(signum, time): (Signum, Option<u64>)| {
            Some(Delay { signum, duration: Duration::from_millis(time?) })
        };
        let delays: Vec<Delay> =
            [Signum::TERM, Signum::HUP].into_iter().zip(beyond.delays).filter_map(delay).collect();
        let settings = Settings {
            personality: init,
            drain: beyond.drain.map(limit),
            linger: beyond.linger,
            kill_after: beyond.kill_after.map_or(Limit::Never, limit),
            delays: Delays::new(&delays),
            ..settings(forward, &texts)
        };
        Self {
            policy: Policy::new(settings, MAIN),
            init,
            forward,
            beyond,
            now: Instant::now(),
            rewrites,
            children: BTreeMap::from([(MAIN, Child::Runs)]),
            reaped: BTreeSet::new(),
            kills: 0,
            exit: None,
        }
    }

    fn happens(&mut self, happening: Happening) {
        let nth = |index: usize| self.children.keys().copied().nth(index % self.children.len().max(1));
        match happening {
            Happening::Signal(signum, via) => self.signal(signum, via),
            Happening::Orphan(pid) => drop(self.children.entry(Pid::from_raw(pid)).or_insert(Child::Runs)),
            Happening::Death(index, status) => {
                if let Some(pid) = nth(index) {
                    self.ends(pid, status);
                }
            }
            Happening::Trap(index, signum) => {
                if let Some(pid) = nth(index)
                    && let Some(child @ Child::Runs) = self.children.get_mut(&pid)
                {
                    *child = Child::Trapped(signum);
                    self.signal(Signum::CHLD, SignalSource::Direct);
                }
            }
            Happening::Time(milliseconds) => self.wait(milliseconds),
        }
    }

    /// Lets time pass, and everything happen that is due meanwhile.
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

    /// What the policy says; and that of what it has held, nothing is lost.
    fn decide(&mut self, event: Event) -> Vec<Action> {
        let held = |policy: &Policy| {
            every_signal().filter(|&signum| policy.state.held.has(signum)).collect::<Vec<_>>()
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

    fn signal(&mut self, signum: Signum, via: SignalSource) {
        let actions = self.decide(Event::Signal(signum, via));
        assert_eq!(actions.first(), Some(&Action::Log(Message::Received(signum))));
        let sent = forwarded(&actions);
        let holds = actions.iter().any(|action| matches!(action, Action::Log(Message::Holding(..))));
        if !holds {
            let expected = Vec::from_iter(self.expected(signum, via));
            // A drain that begins here sends one more.
            let drained =
                sent.iter().filter(|(_, recipient)| matches!(recipient, Recipient::Unsignalled(_))).count();
            assert_eq!(sent[..sent.len() - drained], expected, "{signum} {via:?}: {actions:?}");
            assert!(drained <= usize::from(self.beyond.drain.is_some()), "{actions:?}");
        }
        let stops = actions.iter().filter(|action| matches!(action, Action::StopOurselves)).count();
        assert_eq!(
            stops,
            usize::from(signum.suspends_a_job() && self.init == Personality::DumbInit),
            "{signum}: {actions:?}"
        );
        self.act(actions);
    }

    /// What a signal is to be forwarded as, and to whom; put as a rule, and not as the policy's code has it.
    fn expected(&self, signum: Signum, via: SignalSource) -> Option<(Signum, Recipient)> {
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
            via == SignalSource::SharedGroup && becomes == signum && [2, 3, 20].contains(&signum.raw());
        let everybody = self.beyond.linger || self.reaped.contains(&MAIN);
        match (everybody || self.forward == Forward::Tree, has_it) {
            (true, true) => Some((becomes, Recipient::TreeOutsideOurGroup)),
            (true, false) => Some((becomes, Recipient::Tree)),
            (false, true) => None,
            (false, false) => Some((becomes, recipient(self.forward))),
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
                    Recipient::Nobody
                    | Recipient::Tree
                    | Recipient::TreeOutsideOurGroup
                    | Recipient::Unsignalled(_) => {}
                },
                Action::Continue(_) | Action::ContinueIfSuspended(_) => {
                    panic!("{action:?} without a terminal")
                }
                Action::Round(drain) => {
                    assert!(self.beyond.drain.is_some() || (self.beyond.linger && drain.is_none()));
                }
                Action::NoteOurGroup => assert!(self.beyond.drain.is_some()),
                Action::KillAll => {
                    assert!(self.beyond.drain.is_some() || self.beyond.kill_after.is_some());
                    self.kills += 1;
                    if !self.beyond.hanging {
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
                    // A number that is free may be given to another child of ours, but for the command's.
                    if pid == MAIN {
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
                    let may_leave = !self.beyond.waits() || self.children.is_empty() || self.kills >= 20;
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
    fn random_event_sequences_keep_every_invariant(
        init in prop_oneof![2 => Just(Personality::DumbInit), 1 => Just(Personality::Tini), 1 => Just(Personality::Catatonit)],
        forward in prop_oneof![Just(Forward::Child), Just(Forward::Group), Just(Forward::Tree)],
        rewrites in proptest::collection::btree_map(1..=31, 0..=31, 0..8),
        beyond in prop_oneof![Just(Beyond::NOTHING), any_beyond()],
        happenings in vec(any_happening(), 0..60),
        status in any_status(),
    ) {
        let mut world = World::new(init, forward, rewrites, beyond);
        let mut status = status;
        let mut ended = false;
        for happening in happenings {
            if world.exit.is_some() {
                break;
            }
            world.happens(happening);
            if !ended && world.reaped.contains(&MAIN) {
                ended = true;
                status = match happening {
                    Happening::Death(_, first) => first,
                    _ => ExitStatus::Killed(Signum::KILL),
                };
            }
        }
        if !ended {
            world.ends(MAIN, status);
        }
        // Those that are left end one after the other, or don't.
        if world.beyond.hanging {
            world.wait(10_000);
        }
        while world.exit.is_none() {
            let next = world.children.keys().copied().next();
            world.ends(next.expect("we are alone and don't leave"), ExitStatus::SUCCESS);
        }
        // One exit, with the command's status; `act` sees to it that nothing follows.
        prop_assert_eq!(world.exit, Some(status));
    }
}

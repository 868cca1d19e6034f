//! The invariants that the module promises, held against random lives.
//!
//! A life is a sequence of what may happen around an init. A world beside the policy keeps account of the processes, does
//! what it is told as the supervisor would, and finds fault.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Something that happens in the world.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Signal(Signum, Via),
    /// A process becomes our child, under a number that is free.
    Orphan(i32),
    /// One of our children ends, the one with this index.
    Death(usize, ExitStatus),
    /// One of our children stops under our trace.
    Trap(usize, Signum),
}

fn any_signum() -> impl Strategy<Value = Signum> {
    (1..=64).prop_map(signum)
}

fn any_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![any::<u8>().prop_map(ExitStatus::Exited), any_signum().prop_map(ExitStatus::Killed)]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let hand_off = prop_oneof![Just(Signum::HUP), Just(Signum::CONT)];
    let via = prop_oneof![Just(Via::Direct), Just(Via::SharedGroup)];
    prop_oneof![
        6 => (any_signum(), via).prop_map(|(signum, via)| Happening::Signal(signum, via)),
        1 => hand_off.prop_map(|signum| Happening::Signal(signum, Via::HandOff)),
        3 => (7..20).prop_map(Happening::Orphan),
        3 => (any::<usize>(), any_status()).prop_map(|(index, status)| Happening::Death(index, status)),
        1 => (any::<usize>(), any_signum()).prop_map(|(index, signum)| Happening::Trap(index, signum)),
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
    forward: Forward,
    rewrites: BTreeMap<i32, i32>,
    children: BTreeMap<Pid, Child>,
    /// Numbers that were ours once: whoever has one now is somebody else.
    reaped: BTreeSet<Pid>,
    exit: Option<ExitStatus>,
}

impl World {
    fn new(forward: Forward, rewrites: BTreeMap<i32, i32>) -> Self {
        let texts: Vec<String> = rewrites.iter().map(|(from, to)| format!("{from}:{to}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let children = BTreeMap::from([(MAIN, Child::Runs)]);
        Self { policy: policy(forward, &texts), forward, rewrites, children, reaped: BTreeSet::new(), exit: None }
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
                    self.signal(Signum::CHLD, Via::Direct);
                }
            }
        }
    }

    fn ends(&mut self, pid: Pid, status: ExitStatus) {
        if let Some(child @ (Child::Runs | Child::Trapped(_))) = self.children.get_mut(&pid) {
            *child = Child::Ended(status);
            self.signal(Signum::CHLD, Via::Direct);
        }
    }

    fn signal(&mut self, signum: Signum, via: Via) {
        let actions = decide(&self.policy, Event::Signal(signum, via));
        assert_eq!(actions.first(), Some(&Action::Say(Line::Received(signum))));
        let sent: Vec<(Signum, Recipient)> = forwarded(&actions);
        assert_eq!(sent, Vec::from_iter(self.expected(signum, via)), "{signum} {via:?}: {actions:?}");
        let stops = actions.iter().filter(|action| matches!(action, Action::StopOurselves)).count();
        assert_eq!(stops, usize::from(signum.suspends_a_job()), "{signum}: {actions:?}");
        self.act(actions);
    }

    /// What a signal is to be forwarded as, and to whom; put as a rule, and not as the policy's code has it.
    fn expected(&self, signum: Signum, via: Via) -> Option<(Signum, Recipient)> {
        if signum == Signum::CHLD || via == Via::HandOff {
            return None;
        }
        let becomes = match (self.rewrites.get(&signum.raw()), self.forward) {
            (Some(0), _) => return None,
            (Some(&to), _) => super::signum(to),
            (None, Forward::Group) if [20, 21, 22].contains(&signum.raw()) => Signum::STOP,
            (None, Forward::Group | Forward::Child) => signum,
        };
        let has_it = via == Via::SharedGroup && becomes == signum && [2, 3, 20].contains(&signum.raw());
        (!has_it).then(|| (becomes, recipient(self.forward)))
    }

    fn act(&mut self, actions: Vec<Action>) {
        let last = actions.len().checked_sub(1);
        for (index, action) in actions.into_iter().enumerate() {
            assert_eq!(self.exit, None, "{action:?} after the exit");
            match action {
                Action::Say(_) | Action::StopOurselves => {}
                Action::Forward(_, recipient) | Action::WakeIfStopped(recipient) => match recipient {
                    Recipient::Process(pid) | Recipient::Group(pid) => {
                        assert!(matches!(self.children.get(&pid), Some(Child::Runs | Child::Trapped(_))));
                        assert!(!self.reaped.contains(&pid), "{pid} was reaped");
                    }
                    Recipient::RestOfGroup(pid) => {
                        assert!(matches!(self.children.get(&pid), Some(Child::Ended(_))));
                        assert!(!self.reaped.contains(&pid), "{pid} was reaped");
                    }
                    Recipient::Nobody => {}
                },
                Action::CollectChildren => self.collect(),
                Action::Reap(pid) => {
                    let child = self.children.remove(&pid);
                    assert!(matches!(child, Some(Child::Ended(_))), "reaps {pid}: {child:?}");
                    // A number that is free may be given to another child of ours, but for the command's.
                    if pid == MAIN {
                        self.reaped.insert(pid);
                    }
                }
                Action::Release(pid, acts_on) => {
                    let child = self.children.insert(pid, Child::Runs);
                    let Some(Child::Trapped(signum)) = child else { panic!("releases {pid}: {child:?}") };
                    assert!(acts_on.is_none_or(|acts_on| acts_on == signum));
                }
                Action::Exit(status) => {
                    assert_eq!(Some(index), last, "there is more to do after the exit");
                    self.exit = Some(status);
                }
            }
        }
    }

    fn collect(&mut self) {
        while self.exit.is_none() {
            let event = self.children.iter().find_map(|(&pid, &child)| match child {
                Child::Runs => None,
                Child::Trapped(signum) => Some(Event::Trapped { pid, signum: Some(signum) }),
                Child::Ended(status) => Some(Event::Ended { pid, status }),
            });
            let Some(event) = event else { return };
            let actions = decide(&self.policy, event);
            self.act(actions);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_life_breaks_an_invariant(
        group in any::<bool>(),
        rewrites in proptest::collection::btree_map(1..=31, 0..=31, 0..8),
        happenings in vec(any_happening(), 0..60),
        status in any_status(),
    ) {
        let forward = if group { Forward::Group } else { Forward::Child };
        let mut world = World::new(forward, rewrites);
        let mut status = status;
        for happening in happenings {
            if world.exit.is_some() {
                break;
            }
            if let Happening::Death(index, first) = happening
                && world.children.keys().copied().nth(index % world.children.len()) == Some(MAIN)
            {
                status = first;
            }
            world.happens(happening);
        }
        if world.exit.is_none() {
            world.ends(MAIN, status);
        }
        // One exit, at the command's end and with its status; `act` sees to it that nothing follows.
        prop_assert_eq!(world.exit, Some(status));
    }
}

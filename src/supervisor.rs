//! What happens from the command's start to its end?
//!
//! Sleep until a signal comes, ask the policy, do what it says. Nothing here may end the program before the command has
//! ended: what fails is said, and life goes on. Nothing here needs memory that isn't there from the beginning.

use std::vec;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::logging::{self, Line};
use crate::policy::{Action, Event, MOST_ACTIONS, Policy, Recipient, Via};
use crate::signal::Signum;
use crate::status::ExitStatus;
use crate::sys::children::{self, Change};
use crate::sys::signals::{self, Origin, Received};
use crate::sys::{capabilities, processes};

/// Lives on until the command, which runs as `main`, has ended, and returns how it did. What is in `earlier` has
/// happened already and comes first.
pub(crate) fn supervise(policy: &Policy, main: Pid, earlier: Vec<Event>) -> ExitStatus {
    let mut events = Events { main, earlier: earlier.into_iter(), collected: None };
    let mut actions = Vec::with_capacity(MOST_ACTIONS);
    loop {
        let event = events.next();
        #[cfg(feature = "deliberate-panic")]
        crate::panics::panic_deliberately(event);
        policy.decide(event, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Say(line) => logging::say(line),
                Action::Forward(signum, recipient) => forward(signum, recipient, main),
                Action::WakeIfStopped(recipient) if children::is_stopped(main) => {
                    // It fails only where it would have nobody to reach.
                    let _ = send(Signum::CONT, recipient);
                }
                Action::WakeIfStopped(_) => {}
                Action::CollectChildren => events.collected = Some(0),
                Action::Reap(pid) => children::reap(pid),
                Action::Release(pid, signum) => children::release(pid, signum),
                Action::StopOurselves => signals::stop_ourselves(),
                Action::Exit(status) => return status,
            }
        }
    }
}

/// Reaps the children that whoever executed us had (`exec dumb-init ... < <(command)`) and that have ended already: their
/// SIGCHLD may have come before we could block it, and would never be followed by another.
pub(crate) fn collect_older_children() {
    while let Some(Change::Ended { pid, status }) = children::look() {
        logging::say(Line::ChildEnded { pid, status });
        children::reap(pid);
    }
}

/// So many children are collected before a signal gets its turn: whoever makes processes faster than they can be reaped
/// (a fork bomb's leftovers) must not keep a SIGTERM from being forwarded.
const AT_A_STRETCH: u32 = 64;

/// Where events come from.
struct Events {
    main: Pid,
    earlier: vec::IntoIter<Event>,
    /// How many children were collected at a stretch; `None` where there is nothing to collect.
    collected: Option<u32>,
}

impl Events {
    /// The next event. Sleeps until there is one.
    fn next(&mut self) -> Event {
        if let Some(collected) = self.collected {
            let collected = if collected < AT_A_STRETCH {
                collected
            } else if let Some(received) = signals::take_any() {
                self.collected = Some(0);
                return self.arrival(received);
            } else {
                0
            };
            if let Some(change) = children::look() {
                self.collected = Some(collected.saturating_add(1));
                return told(change);
            }
            self.collected = None;
        }
        self.earlier.next().unwrap_or_else(|| self.arrival(signals::wait()))
    }

    /// Makes an event of a signal.
    fn arrival(&self, Received { signum, origin }: Received) -> Event {
        let via = match origin {
            Origin::Kernel if signum.comes_from_a_key() && children::shares_our_group(self.main) => Via::SharedGroup,
            Origin::Kernel | Origin::Ourselves | Origin::Other => Via::Direct,
        };
        Event::Signal(signum, via)
    }
}

fn told(change: Change) -> Event {
    match change {
        Change::Ended { pid, status } => Event::Ended { pid, status },
        Change::Trapped { pid, signum } => Event::Trapped { pid, signum },
    }
}

fn forward(signum: Signum, recipient: Recipient, main: Pid) {
    match (send(signum, recipient), recipient) {
        // EPERM: the command runs as another user and we lack CAP_KILL.
        (Err(errno), Recipient::Process(pid) | Recipient::Group(pid)) if errno != Errno::ESRCH => {
            logging::say(Line::NotDelivered { signum, pid, errno });
        }
        // ESRCH: everybody there has ended; the news of it is on its way. Of what is left of the group when its leader
        // has ended, nobody asks.
        (Ok(()) | Err(_), Recipient::Process(_) | Recipient::RestOfGroup(_) | Recipient::Nobody) => {
            logging::say(Line::Forwarded(signum));
        }
        (Ok(()) | Err(_), Recipient::Group(group)) => {
            logging::say(Line::Forwarded(signum));
            tell_who_was_left_out(signum, group, main);
        }
    }
}

fn send(signum: Signum, recipient: Recipient) -> nix::Result<()> {
    match recipient {
        Recipient::Process(pid) => signals::send_to_process(pid, signum),
        Recipient::Group(leader) | Recipient::RestOfGroup(leader) => signals::send_to_group(leader, signum),
        Recipient::Nobody => Ok(()),
    }
}

/// Tells which members of a group the kernel didn't let us signal, now that it has let us signal one (kill(2) succeeds
/// with the first). For signals that don't ask to end it is the command's process alone that is looked at, since they
/// may come by the thousand.
fn tell_who_was_left_out(signum: Signum, group: Pid, main: Pid) {
    if capabilities::may_signal_everybody() {
        return;
    }
    let tell = |pid| {
        if let Err(errno @ Errno::EPERM) = signals::try_process(pid) {
            logging::say(Line::NotDelivered { signum, pid, errno });
        }
    };
    // The command's process also where /proc doesn't show it (hidepid).
    tell(main);
    if signum.asks_to_end() {
        processes::members_of_group(group).filter(|&pid| pid != main).for_each(tell);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::unistd::{dup, dup2_stderr, getpgrp, getpid};

    use super::*;
    use crate::logging::Verbosity;
    use crate::policy::Forward;
    use crate::rewrite::RewriteTable;
    use crate::sys::allocations;

    #[test]
    fn what_happens_while_the_command_runs_needs_no_memory() {
        logging::init(Verbosity::Debug);
        let main = Pid::from_raw(i32::MAX);
        let policies = [Forward::Child, Forward::Group].map(|mode| Policy::new(mode, RewriteTable::new(), main));
        let mut actions = Vec::with_capacity(MOST_ACTIONS);
        let lines = (1..=64).filter_map(Signum::new).flat_map(|signum| {
            let (pid, errno) = (main, Errno::EPERM);
            let translating = Line::Translating { from: signum, to: Some(signum) };
            let ended = Line::ChildEnded { pid, status: ExitStatus::Killed(signum) };
            [Line::Received(signum), translating, ended, Line::NotDelivered { signum, pid, errno }]
        });
        let lines: Vec<Line> = lines.chain([Line::NoChdir(Errno::ENAMETOOLONG), Line::Suspending]).collect();
        let stderr = dup(std::io::stderr()).expect("stderr");
        dup2_stderr(File::options().write(true).open("/dev/null").expect("/dev/null")).expect("dup2");
        let count = allocations::of(|| {
            for policy in &policies {
                for signum in (1..=64).filter_map(Signum::new) {
                    policy.decide(Event::Signal(signum, Via::Direct), &mut actions);
                    actions.clear();
                }
                policy.decide(Event::Ended { pid: main, status: ExitStatus::SUCCESS }, &mut actions);
                actions.clear();
            }
            lines.iter().copied().for_each(logging::say);
            assert!(processes::members_of_group(getpgrp()).any(|pid| pid == getpid()));
            capabilities::may_signal_everybody();
        });
        dup2_stderr(stderr).expect("dup2");
        assert_eq!(count, 0);
    }
}

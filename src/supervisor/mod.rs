//! Supervises the command from its start to its end.
//!
//! Sleep until a signal comes, ask the policy, do what it says. NoChild here may end the program before the command has
//! ended: what fails is said, and life goes on. NoChild here needs memory that isn't there from the beginning, but for
//! looking at descendants, which is done without where there is none.

use std::time::{Duration, Instant};
use std::vec;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::log::{self, Message};
use crate::policy::{self, Action, Event, Policy, Recipient, SignalSource};
use crate::process;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::children::{self, Change, NoChild};
use crate::sys::parent;
use crate::sys::signals::{self, Received, Sender};
use crate::sys::tty;
use delivery::Delivery;

pub(crate) mod delivery;
pub(crate) mod panics;

/// Lives on until the policy says that it is the end, and returns the status to report. The command runs as `command`. What
/// is in `earlier` has happened already and comes first.
pub(crate) fn supervise(
    policy: &mut Policy,
    delivery: &mut Delivery,
    command: Pid,
    earlier: Vec<Event>,
) -> ExitStatus {
    let mut events = Events::new(command, earlier);
    let mut actions = Vec::with_capacity(policy.most_actions());
    loop {
        let event = events.next(policy, delivery);
        #[cfg(feature = "deliberate-panic")]
        panics::panic_deliberately(event);
        policy.decide(&Instant::now, event, &mut actions);
        panics::remember(policy.state());
        for action in actions.drain(..) {
            match action {
                Action::Log(line) => log::write(line),
                Action::Forward(signum, recipient, care) => delivery.forward(signum, recipient, care),
                Action::NoteOurGroup => delivery.record_our_group(),
                Action::ResumeIfStopped(recipient) => delivery.wake(recipient),
                Action::Continue(group) => _ = signals::send_to_group(group, Signum::CONT),
                Action::ContinueIfSuspended(command) => {
                    if children::stop_of(command) == Some(Signum::TSTP) {
                        // ESRCH: no member is left.
                        let _ = signals::send_to_group(command, Signum::CONT);
                    }
                }
                Action::Round(drain) => {
                    policy.on_round(delivery.round(drain));
                    events.sweep(policy);
                }
                Action::KillAll => {
                    delivery.kill_all();
                    events.sweep(policy);
                }
                Action::CollectChildren => events.collect(policy),
                Action::Reap(pid) => {
                    if events.reaped != Some(pid) {
                        children::reap(pid);
                    }
                    delivery.forget(pid);
                }
                Action::DetachTraced(pid, signum) => children::release(pid, signum),
                Action::StopOurselves => signals::stop_ourselves(),
                Action::Exit(status) => {
                    delivery.say_remaining();
                    return status;
                }
            }
        }
        if delivery.has_deferred() {
            policy.expect_rounds(&Instant::now);
        }
    }
}

/// Reaps the children that whoever executed us had (`exec dumb-init ... < <(command)`) and that have ended already: their
/// SIGCHLD may have come before we could block it, and would never be followed by another.
pub(crate) fn collect_older_children() {
    while collect_one().is_ok() {}
}

/// Reaps a child that has ended, or lets one go on that we trace unasked, where there is no command.
fn collect_one() -> Result<(), NoChild> {
    match children::take()? {
        Change::Ended { pid, status } => log::write(Message::ChildEnded { pid, status }),
        Change::TraceStop { pid, signum } => {
            children::release(pid, signum.and_then(Signum::without_a_tracer))
        }
    }
    Ok(())
}

/// Lives on without a command, as what keeps the namespaces of a pod: reaps what ends, until it is asked to end.
pub(crate) fn pause() -> ExitStatus {
    loop {
        let is_that_all = (0..AT_A_STRETCH).any(|_| collect_one().is_err());
        say_how_signals_are_fetched();
        let received = if is_that_all { signals::wait() } else { signals::take_any() };
        let Some(Received { signum, .. }) = received else { continue };
        log::write(Message::Received(signum));
        #[cfg(feature = "deliberate-panic")]
        panics::panic_deliberately(Event::Signal(signum, SignalSource::Direct));
        if policy::ends_a_pause(signum) {
            return ExitStatus::SUCCESS;
        }
    }
}

/// Logs once that signals are fetched in another way from now on.
fn say_how_signals_are_fetched() {
    if let Some(failure) = signals::take_failure() {
        log::write(Message::FetchedOtherwise(failure));
    }
}

/// Has the orphans among our descendants become our children. As PID 1 they do anyway; where it is refused, those that
/// go elsewhere are neither signalled nor waited for.
pub(crate) fn adopt_orphans() {
    if getpid() != Pid::from_raw(1)
        && let Err(errno) = parent::adopt_orphans()
    {
        log::write(Message::NoSubreaper(errno));
    }
}

/// The children from before our exec. One may be a logger that reads our output. Logs if /proc does not show
/// them.
pub(crate) fn older_children() -> Vec<Pid> {
    process::children().unwrap_or_else(|errno| {
        log::write(if errno == Errno::ENOENT { Message::NoProc } else { Message::NoLook(errno) });
        Vec::new()
    })
}

/// So many children are collected before a signal gets its turn: whoever makes processes faster than they can be reaped
/// (a fork bomb's leftovers) must not keep a SIGTERM from being forwarded.
const AT_A_STRETCH: u32 = 64;

/// Where events come from.
struct Events {
    command: Pid,
    earlier: vec::IntoIter<Event>,
    /// How many children were collected at a stretch; `None` where there is nothing to collect.
    collected: Option<u32>,
    /// The child that the last SIGCHLD told of. Others may have ended, too.
    sigchld_of: Option<Pid>,
    collect: Collect,
    /// Whether the look was not caused by a SIGCHLD, so that there may be nothing to collect.
    is_sweep: bool,
    /// Until then SIGCHLD has to wait.
    sweep_at: Option<Instant>,
    /// The child of the last [`Event::Ended`], where it was reaped before.
    reaped: Option<Pid>,
}

/// How children that have ended are collected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collect {
    /// Each is reaped after the decision about it, so that its PID stays its own until then.
    Look,
    /// Each is reaped at once.
    Reap,
}

/// With more children than this a drain collects those that have ended together, at the latest after that
/// time: each wake-up and each wait(2), which searches all children, costs more than a death.
const MANY_CHILDREN: usize = 16;
const COLLECTED_WITHIN: Duration = Duration::from_millis(20);

impl Events {
    fn new(command: Pid, earlier: Vec<Event>) -> Self {
        let earlier = earlier.into_iter();
        Self {
            command,
            earlier,
            collected: None,
            sigchld_of: None,
            collect: Collect::Look,
            is_sweep: false,
            sweep_at: None,
            reaped: None,
        }
    }

    /// Sees to it that the children that have ended are collected. Where the SIGCHLD told of another than the command there may be
    /// thousands, so each takes a single call, although the command may be among them: provided that nothing is sent by its
    /// number any more, or that the group with its number is held.
    fn collect(&mut self, policy: &Policy) {
        (self.collected, self.is_sweep) = (Some(0), false);
        let is_other = self.sigchld_of.is_some_and(|child| child != self.command);
        let reaps = is_other
            && match policy.recipient_at_the_end() {
                None | Some(Recipient::Nobody) => true,
                Some(Recipient::RestOfGroup(leader)) => signals::hold_group(leader),
                // Where there is no /proc, descendants are reached by the command's number.
                Some(
                    Recipient::Tree
                    | Recipient::TreeOutsideOurGroup
                    | Recipient::Unsignalled(_)
                    | Recipient::Group(_)
                    | Recipient::Process(_),
                ) => false,
            };
        self.collect = if reaps { Collect::Reap } else { Collect::Look };
    }

    /// Schedules the collection of all children that have exited.
    fn sweep(&mut self, policy: &Policy) {
        let collect = if policy.waits_for_the_last() { Collect::Reap } else { Collect::Look };
        (self.collected, self.collect, self.is_sweep, self.sweep_at) = (Some(0), collect, true, None);
    }

    /// The next event. Sleeps until there is one.
    fn next(&mut self, policy: &Policy, delivery: &mut Delivery) -> Event {
        if let Some(collected) = self.collected {
            let collected = if collected < AT_A_STRETCH {
                collected
            } else if is_due(policy) {
                self.collected = Some(0);
                return Event::Deadline;
            } else if let Some(received) = signals::take_any() {
                self.collected = Some(0);
                return self.arrival(received, policy);
            } else {
                0
            };
            let change = match self.collect {
                Collect::Look => children::peek(),
                Collect::Reap => children::take(),
            };
            match change {
                Ok(change) => {
                    self.collected = Some(collected.saturating_add(1));
                    self.note(change, delivery);
                    return told(change);
                }
                Err(nothing) => {
                    self.collected = None;
                    if collected > 0
                        && policy.waits_for_the_last()
                        && delivery.children_seen() > MANY_CHILDREN
                    {
                        self.sweep_at = Instant::now().checked_add(COLLECTED_WITHIN);
                    }
                    let is_idle = std::mem::take(&mut self.is_sweep) && collected == 0;
                    if is_idle && nothing == NoChild::Running {
                        return self.next(policy, delivery);
                    }
                    return if nothing == NoChild::None { Event::NoChildren } else { Event::AllReaped };
                }
            }
        }
        if let Some(event) = self.earlier.next() {
            // One that is told from before was reaped.
            if let Event::Ended { pid, .. } = event {
                self.reaped = Some(pid);
            }
            return event;
        }
        while let Some(deadline) = [policy.deadline(), self.sweep_at].into_iter().flatten().min() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && is_due(policy) {
                return Event::Deadline;
            }
            if left.is_zero() {
                signals::take_pending(Signum::CHLD);
                self.sweep(policy);
                return self.next(policy, delivery);
            }
            say_how_signals_are_fetched();
            // None has come: it is the deadline, or we were stopped meanwhile.
            let received = if self.sweep_at.is_some() {
                signals::wait_for_others(left)
            } else {
                signals::wait_for(left)
            };
            if let Some(received) = received {
                return self.arrival(received, policy);
            }
        }
        loop {
            say_how_signals_are_fetched();
            if let Some(received) = signals::wait() {
                return self.arrival(received, policy);
            }
        }
    }

    /// Takes note of what was reaped.
    fn note(&mut self, change: Change, delivery: &mut Delivery) {
        self.reaped = None;
        if let (Collect::Reap, Change::Ended { pid, status }) = (self.collect, change) {
            self.reaped = Some(pid);
            delivery.forget(pid);
            if pid == self.command {
                panics::remember_end(status);
            }
        }
    }

    /// Makes an event of a signal.
    fn arrival(
        &mut self,
        Received { signum, sender, child, may_be_key }: Received,
        policy: &Policy,
    ) -> Event {
        if signum == Signum::CHLD {
            self.sigchld_of = child;
        }
        match sender {
            Some(Sender { pid, uid, .. }) => log::write(Message::Sender { signum, pid, uid }),
            // Of a death there is more to be said, elsewhere.
            None if signum == Signum::CHLD => {}
            None => log::write(Message::FromKernel(signum)),
        }
        let in_our_group = || policy.waits_for_the_last() || children::shares_our_group(self.command);
        // Without a terminal, or in the background, only we have received it (Ctrl-Alt-Del to PID 1).
        let is_key =
            may_be_key && signum.comes_from_a_key() && tty::is_our_group_in_foreground() != Some(false);
        Event::Signal(
            signum,
            if is_key && in_our_group() { SignalSource::SharedGroup } else { SignalSource::Direct },
        )
    }
}

fn is_due(policy: &Policy) -> bool {
    policy.deadline().is_some_and(|deadline| deadline <= Instant::now())
}

fn told(change: Change) -> Event {
    match change {
        Change::Ended { pid, status } => Event::Ended { pid, status },
        Change::TraceStop { pid, signum } => Event::TraceStop { pid, signum },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::forward::Forward;
    use crate::policy::MOST_ACTIONS;
    use crate::policy::tests::policy;
    use crate::sys::{allocations, capabilities};

    #[test]
    fn what_happens_while_the_command_runs_needs_no_memory() {
        let command = Pid::from_raw(i32::MAX);
        let mut policies = [Forward::Child, Forward::Group].map(|mode| policy(mode, &[]));
        let mut actions = Vec::with_capacity(MOST_ACTIONS);
        let count = allocations::of(|| {
            for policy in &mut policies {
                for signum in (1..=64).filter_map(Signum::new) {
                    policy.decide(&Instant::now, Event::Signal(signum, SignalSource::Direct), &mut actions);
                    actions.clear();
                }
                policy.decide(
                    &Instant::now,
                    Event::Ended { pid: command, status: ExitStatus::SUCCESS },
                    &mut actions,
                );
                actions.clear();
            }
            capabilities::may_signal_everybody();
        });
        assert_eq!(count, 0);
    }
}

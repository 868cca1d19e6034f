//! What if this program has a mistake in it?
//!
//! NoChild that runs while the command does is meant to panic, and the lints in Cargo.toml refuse what could (see
//! docs/hazards.md). If something does all the same, the end of PID 1 would be the end of everybody in the container. So
//! the hook that std calls first never returns to the abort that would follow: it says what happened, and goes on
//! supervising from there. What is lost is the event in the middle of which it happened, but for the deaths of children,
//! and who has got the signal of a drain.
//! A second panic aborts, since std allows none inside of its hook.

use std::panic;
use std::sync::Mutex;

use nix::unistd::Pid;

use crate::log;
use crate::policy::{Event, Policy, SignalSource, State};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::supervisor;
use crate::supervisor::delivery::Delivery;

/// Where the policy was after the last event that it decided.
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// How the command has ended, where it was reaped before that was decided about.
static END: Mutex<Option<ExitStatus>> = Mutex::new(None);

/// Puts aside how the command has ended, which nobody else can tell any more.
pub(crate) fn remember_end(status: ExitStatus) {
    if let Ok(mut end) = END.try_lock() {
        *end = Some(status);
    }
}

/// Puts aside where the policy is, for the case of a panic.
pub(crate) fn remember(state: &State) {
    // Nobody else has it locked, for there is no other thread.
    if let Ok(mut remembered) = STATE.try_lock() {
        match &mut *remembered {
            Some(remembered) => remembered.clone_from(state),
            None => *remembered = Some(state.clone()),
        }
    }
}

/// From here on, a panic ends nothing. `exit` is how this program ends when the command, which runs as `command`, has ended
/// after that.
pub(crate) fn survive(policy: &Policy, delivery: &Delivery, command: Pid, exit: fn(ExitStatus)) {
    // There is room for the next ones from here on.
    remember(policy.state());
    let (policy, delivery) = (policy.clone(), delivery.clone());
    panic::set_hook(Box::new(move |panic| {
        log::do_without_logger();
        log::write_panic(panic);
        let children_may_have_ended = Event::Signal(Signum::CHLD, SignalSource::Direct);
        let (mut policy, mut delivery) = (policy.clone(), delivery.clone());
        if let Some(state) = STATE.try_lock().ok().and_then(|state| state.clone()) {
            policy.resume(&state);
        }
        let end = END.try_lock().ok().and_then(|end| *end);
        if policy.waits_for_the_last() || end.is_some() {
            delivery.forget(command);
        }
        let end =
            end.filter(|_| !policy.waits_for_the_last()).map(|status| Event::Ended { pid: command, status });
        let earlier = end.into_iter().chain([children_may_have_ended]).collect();
        delivery.forget_reaped();
        exit(supervisor::supervise(&mut policy, &mut delivery, command, earlier));
    }));
}

/// As [`survive`], where there is no command, and nothing that could be lost.
pub(crate) fn survive_without_command(exit: fn(ExitStatus)) {
    panic::set_hook(Box::new(move |panic| {
        log::do_without_logger();
        log::write_panic(panic);
        exit(supervisor::pause());
    }));
}

/// Stands for a bug.
#[cfg(feature = "deliberate-panic")]
#[allow(clippy::panic)] // That is what it is for.
pub(crate) fn panic_deliberately(event: Event) {
    match event {
        Event::Signal(signum, _) if signum.raw() == 62 => panic!("signal {signum}"),
        Event::Signal(..)
        | Event::Ended { .. }
        | Event::TraceStop { .. }
        | Event::AllReaped
        | Event::NoChildren
        | Event::Deadline => {}
    }
}

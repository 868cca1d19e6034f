//! What if this program has a mistake in it?
//!
//! Nothing that runs while the command does is meant to panic, and the lints in Cargo.toml refuse what could (see
//! docs/hazards.md). If something does all the same, the end of PID 1 would be the end of everybody in the container. So
//! the hook that std calls first never returns to the abort that would follow: it says what happened, and goes on
//! supervising from there. What is lost is the event in the middle of which it happened, but for the deaths of children.
//! A second panic aborts, since std allows none inside of its hook.

use std::panic;

use nix::unistd::Pid;

use crate::logging;
use crate::policy::{Event, Policy, Via};
use crate::signal::Signum;
use crate::status::ExitStatus;
use crate::supervisor;

/// From here on, a panic ends nothing. `end` is how this program ends when the command, which runs as `main`, has ended
/// after that.
pub(crate) fn survive(policy: &Policy, main: Pid, end: fn(ExitStatus)) {
    let policy = policy.clone();
    panic::set_hook(Box::new(move |panic| {
        logging::do_without_logger();
        logging::say_panic(panic);
        let children_may_have_ended = Event::Signal(Signum::CHLD, Via::Direct);
        end(supervisor::supervise(&policy, main, vec![children_may_have_ended]));
    }));
}

/// Stands for a bug.
#[cfg(feature = "deliberate-panic")]
#[allow(clippy::panic)] // That is what it is for.
pub(crate) fn panic_deliberately(event: Event) {
    match event {
        Event::Signal(signum, _) if signum.raw() == 62 => panic!("signal {signum}"),
        Event::Signal(..) | Event::Ended { .. } | Event::Trapped { .. } => {}
    }
}

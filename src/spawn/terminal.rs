//! Hands the controlling terminal over to the command.
//!
//! In group mode the command leads a session, which needs a terminal of its own. So we give ours up, and
//! the child takes it. If we lead our session, the kernel then sends SIGHUP and SIGCONT to the foreground
//! group, usually ours. They are fetched at once, so that a later SIGHUP is genuine.
//!
//! As another init we keep the terminal, and the command's process group becomes its foreground group.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::setsid;

use crate::log::{self, Message};
use crate::options::personality::{Isolation, Personality};
use crate::policy::{Event, SignalSource};
use crate::signal::Signum;
use crate::sys::signals::{self, Received};
use crate::sys::{fds, tty};

/// Signals of the kernel for a terminal that is given up (`tty_ioctl(4)`).
const HAND_OFF: [Signum; 2] = [Signum::HUP, Signum::CONT];

/// The terminal on its way to the command.
#[derive(Default)]
pub(crate) struct HandOff {
    /// The terminal if it is not stdin.
    other: Option<OwnedFd>,
    /// The kernel's signals for it.
    ignored: Vec<Signum>,
}

impl HandOff {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.other.as_ref().map_or(fds::STDIN, AsFd::as_fd)
    }

    /// Logs the kernel's signals, in the child before its other messages. That is their usual place with
    /// the original, whose two processes race.
    pub(crate) fn log_ignored(&self) {
        for &signum in &self.ignored {
            log::write_without_logger(Message::Received(signum));
            log::write_without_logger(Message::HandOffIgnored(signum));
        }
    }
}

/// Prepares the hand-off. Returns also the genuine signals that came before it and are to be forwarded.
pub(crate) fn hand_off(init: Personality, isolation: Isolation) -> (HandOff, Vec<Event>) {
    match isolation {
        Isolation::Session => give_up(),
        Isolation::Group if init.takes_terminal_behind_stdin() => {
            (HandOff { other: behind_stdin(), ..HandOff::default() }, Vec::new())
        }
        Isolation::Group => (HandOff::default(), Vec::new()),
        // The terminal is shared. The command, which does not exist yet, has not received the keys of before.
        Isolation::None => (HandOff::default(), take_pending(&Signum::KEYS).map(event).collect()),
    }
}

/// Makes us the leader of our terminal's session if possible. Returns whether we are. Then the kernel sends
/// no SIGHUP when the command exits.
pub(crate) fn keep() -> bool {
    let take = || fds::STDIN.is_terminal() && tty::take(fds::STDIN).is_ok();
    match (tty::we_lead_our_session(), tty::we_have_one()) {
        (true, true) => true,
        // The leader of our session has it.
        (false, true) => false,
        (true, false) => take(),
        // setsid(2) fails for the leader of a process group.
        (false, false) => fds::STDIN.is_terminal() && setsid().is_ok() && take(),
    }
}

/// Opens our terminal if stdin is something else.
fn behind_stdin() -> Option<OwnedFd> {
    if fds::STDIN.is_terminal() { None } else { fds::open(c"/dev/tty").ok() }
}

fn give_up() -> (HandOff, Vec<Event>) {
    let leads = tty::we_lead_our_session();
    // Only a session's leader can hand on a terminal behind a redirected stdin.
    let other = if leads { behind_stdin() } else { None };
    let mut hand_off = HandOff { other, ..HandOff::default() };
    let signals = if leads { HAND_OFF.as_slice() } else { &[] };
    // A SIGHUP pending now is genuine. It is fetched first, because standard signals coalesce.
    let mut earlier: Vec<Event> = take_pending(signals).map(event).collect();
    let result = tty::give_up(hand_off.fd());
    for received in take_pending(signals) {
        // The kernel sends its two in our name; one of another process may have come in the same moment.
        if received.is_ours() {
            hand_off.ignored.push(received.signum);
        } else {
            earlier.push(event(received));
        }
    }
    log::write(match result {
        Err(errno) => Message::NotDetached(errno),
        Ok(()) if leads => Message::DetachedAsLeader,
        Ok(()) => Message::DetachedAsMember,
    });
    (hand_off, earlier)
}

fn take_pending(signals: &[Signum]) -> impl Iterator<Item = Received> {
    signals.iter().copied().filter_map(signals::take_pending)
}

fn event(received: Received) -> Event {
    Event::Signal(received.signum, SignalSource::Direct)
}

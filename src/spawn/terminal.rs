//! Hands the controlling terminal to the command, and removes the signals of the hand-over.
//!
//! As another init (`Personality`) we keep it, and the command's process group becomes its foreground group. Otherwise:
//!
//! In group mode the command leads a session of its own, and a session has a controlling terminal of its own or none.
//! So we give ours up before the command's process is made, and that process takes it. When a session leader gives its
//! terminal up, the kernel sends SIGHUP and SIGCONT to the foreground group, to which the leader usually belongs: these
//! two are nobody's message to the command. They are taken out here, where they arise, so that a later SIGHUP is always
//! a real one.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::setsid;

use crate::log::{self, Message};
use crate::options::personality::Personality;
use crate::policy::{Event, SignalSource};
use crate::signal::Signum;
use crate::sys::signals::{self, Received, Sender};
use crate::sys::{fds, tty};

/// What the kernel sends for a terminal that is given up (`tty_ioctl(4)`).
const HAND_OFF: [Signum; 2] = [Signum::HUP, Signum::CONT];

/// A terminal on its way from us to the command's process.
#[derive(Default)]
pub(crate) struct HandOver {
    /// The terminal, where stdin isn't it.
    other: Option<OwnedFd>,
    /// What the kernel has sent because we gave it up.
    ignored: Vec<Signum>,
}

impl HandOver {
    /// The terminal that our session keeps, while its foreground changes. A redirected stdin hides it.
    pub(crate) fn kept(init: Personality) -> Self {
        Self {
            other: if init.takes_terminal_behind_stdin() { behind_stdin() } else { None },
            ..Self::default()
        }
    }

    /// NoChild: the command shares what we have.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// The descriptor of what the command's process is to take as its controlling terminal, or to be in the foreground of.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.other.as_ref().map_or(fds::STDIN, AsFd::as_fd)
    }

    /// Says which signals have come of it and are for nobody: in the child, before it says more, since that is where these
    /// lines mostly stand with the original, whose two processes race.
    pub(crate) fn say_ignored(&self) {
        for &signum in &self.ignored {
            log::write_without_logger(Message::Received(signum));
            log::write_without_logger(Message::HandOffIgnored(signum));
        }
    }
}

/// Makes us the leader of our terminal's session if possible. Returns whether we are. Then the kernel sends
/// no SIGHUP when the command exits.
pub(crate) fn keep() -> bool {
    let stdin_is_terminal = fds::STDIN.is_terminal();
    match (tty::we_lead_our_session(), tty::we_have_one()) {
        (true, true) => true,
        // The leader of our session has it.
        (false, true) => false,
        (true, false) => stdin_is_terminal && tty::take(fds::STDIN).is_ok(),
        // It fails for the leader of a process group (setsid(2)).
        (false, false) => stdin_is_terminal && setsid().is_ok() && tty::take(fds::STDIN).is_ok(),
    }
}

/// Our terminal, where stdin isn't one.
fn behind_stdin() -> Option<OwnedFd> {
    if fds::STDIN.is_terminal() { None } else { fds::open(c"/dev/tty").ok() }
}

/// Gives our controlling terminal up. Returns also the real signals among those that it may send, which have come before or
/// meanwhile.
pub(crate) fn give_up() -> (HandOver, Vec<Event>) {
    let leader = tty::we_lead_our_session();
    // A redirected stdin hides the terminal, which nobody but a session's leader can hand on.
    let mut hand_over = HandOver { other: if leader { behind_stdin() } else { None }, ..HandOver::default() };

    // One that waits already is real, and would swallow the kernel's: standard signals don't queue.
    let mut earlier: Vec<Event> = if leader { take_pending().map(event).collect() } else { Vec::new() };
    let given_up = tty::give_up(hand_over.fd());
    // At once: a real one that comes before they are taken out would be one with the kernel's.
    if leader {
        // The kernel sends these two in our name; one of somebody else's may have come in the same moment.
        let is_the_kernels = |received: &Received| received.sender.as_ref().is_some_and(Sender::is_us);
        let (ignored, real): (Vec<Received>, Vec<Received>) = take_pending().partition(is_the_kernels);
        hand_over.ignored = ignored.iter().map(|received| received.signum).collect();
        earlier.extend(real.into_iter().map(event));
    }
    log::write(match given_up {
        Err(errno) => Message::NotDetached(errno),
        Ok(()) if leader => Message::DetachedAsLeader,
        Ok(()) => Message::DetachedAsMember,
    });
    (hand_over, earlier)
}

/// Fetches pending signals of keys, which the command, as it does not exist yet, has not received.
pub(crate) fn take_keys() -> Vec<Event> {
    Signum::KEYS.into_iter().filter_map(signals::take_pending).map(event).collect()
}

fn take_pending() -> impl Iterator<Item = Received> {
    HAND_OFF.into_iter().filter_map(signals::take_pending)
}

fn event(received: Received) -> Event {
    Event::Signal(received.signum, SignalSource::Direct)
}

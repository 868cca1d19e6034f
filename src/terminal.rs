//! Who gets the controlling terminal, and why was this SIGHUP swallowed?
//!
//! As another init (`CalledAs`) we keep it, and the command's process group becomes its foreground group. Otherwise:
//!
//! In group mode the command leads a session of its own, and a session has a controlling terminal of its own or none.
//! So we give ours up before the command's process is made, and that process takes it. When a session leader gives its
//! terminal up, the kernel sends SIGHUP and SIGCONT to the foreground group, to which the leader usually belongs: these
//! two are nobody's message to the command. They are taken out here, where they arise, so that a later SIGHUP is always
//! a real one.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::called_as::CalledAs;
use crate::logging::{self, Line};
use crate::policy::{Event, Via};
use crate::signal::Signum;
use crate::sys::signals::{self, Received, Sender};
use crate::sys::{fds, tty};

/// What the kernel sends for a terminal that is given up (`tty_ioctl(4)`).
const HAND_OFF: [Signum; 2] = [Signum::HUP, Signum::CONT];

/// A terminal on its way from us to the command's process.
pub(crate) struct HandOver {
    /// The terminal, where stdin isn't it.
    other: Option<OwnedFd>,
}

impl HandOver {
    /// The terminal that our session keeps, while its foreground changes. A redirected stdin hides it.
    pub(crate) fn kept(init: CalledAs) -> Self {
        Self { other: if init.looks_behind_stdin() { behind_stdin() } else { None } }
    }

    /// Nothing: the command shares what we have.
    pub(crate) fn none() -> Self {
        Self { other: None }
    }

    /// The descriptor of what the command's process is to take as its controlling terminal, or to be in the foreground of.
    pub(crate) fn fd(&self) -> RawFd {
        self.other.as_ref().map_or(libc::STDIN_FILENO, AsRawFd::as_raw_fd)
    }
}

/// Our terminal, where stdin isn't one.
fn behind_stdin() -> Option<OwnedFd> {
    if tty::is_terminal(libc::STDIN_FILENO) { None } else { fds::open(c"/dev/tty").ok() }
}

/// Gives our controlling terminal up. Returns also the signals that came of it or were waiting already.
pub(crate) fn give_up() -> (HandOver, Vec<Event>) {
    let leader = tty::we_lead_our_session();
    // A redirected stdin hides the terminal, which nobody but a session's leader can hand on.
    let hand_over = HandOver { other: if leader { behind_stdin() } else { None } };

    // One that waits already is real, and would swallow the kernel's: standard signals don't queue.
    let mut signals = if leader { take_pending(|_| Via::Direct) } else { Vec::new() };
    logging::say(match tty::give_up(hand_over.fd()) {
        Err(errno) => Line::NotDetached(errno),
        Ok(()) if leader => Line::DetachedAsLeader,
        Ok(()) => Line::DetachedAsMember,
    });
    if leader {
        signals.append(&mut take_pending(way_of_the_hand_off));
    }
    (hand_over, signals)
}

fn take_pending(way: impl Fn(Option<Sender>) -> Via) -> Vec<Event> {
    let received = HAND_OFF.into_iter().filter_map(signals::take_pending);
    received.map(|Received { signum, sender, child: _ }| Event::Signal(signum, way(sender))).collect()
}

/// The kernel sends these two in our name; one of somebody else's may have come in the same moment.
fn way_of_the_hand_off(sender: Option<Sender>) -> Via {
    if sender.is_some_and(|sender| sender.is_us()) { Via::HandOff } else { Via::Direct }
}

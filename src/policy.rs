//! What does a signal or a death lead to?
//!
//! Every decision that is made while the command runs is made here, by a state machine that does nothing itself: it is
//! told an [`Event`] and answers with the [`Action`]s to take, in order. It makes no system call, so every case of it
//! can be tried out in a table.
//!
//! Invariants, which the tests hold against random sequences of events (`policy::tests::sequences`):
//! - No signal is dropped but by a rule: a rewrite to 0, the hand-off of the terminal, a key that the command has got from
//!   the kernel. SIGCHLD is for us.
//! - No signal is sent twice for one that came.
//! - The command's process is reaped after the last signal to it or to its group, since its number may belong to someone
//!   else from then on: nothing names a PID that was reaped.
//! - [`Action::Exit`] is the last action there ever is, and comes with the end of the command and no sooner.

use nix::unistd::Pid;

use crate::logging::Line;
use crate::rewrite::{Outcome, RewriteTable};
use crate::signal::Signum;
use crate::status::ExitStatus;

/// Who gets a forwarded signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// The command's process alone: `-c`, `DUMB_INIT_SETSID=0`.
    Child,
    /// Its process group, which it leads in a session of its own.
    Group,
}

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A signal has come.
    Signal(Signum, Via),
    /// A child has ended. It is not reaped yet.
    Ended { pid: Pid, status: ExitStatus },
    /// A child that we trace unasked is stopped, about to act on this signal.
    Trapped { pid: Pid, signum: Option<Signum> },
}

/// How a signal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Somebody has sent it to us, or the kernel has, for a reason of its own.
    Direct,
    /// The kernel has sent it to a process group that the command's process belongs to as we do.
    SharedGroup,
    /// It is our own doing: giving up the terminal sends it to the terminal's foreground group (`tty_ioctl(4)`).
    HandOff,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say this.
    Say(Line),
    /// Forward this signal, and say so.
    Forward(Signum, Recipient),
    /// Let the recipient go on, by a SIGCONT, if the command's process is stopped.
    WakeIfStopped(Recipient),
    /// Come back with an event for each child of which there is something to tell, one after the other.
    CollectChildren,
    /// Remove a child that has ended.
    Reap(Pid),
    /// Let a trapped child go on, acting on this signal.
    Release(Pid, Option<Signum>),
    /// Stop until SIGCONT.
    StopOurselves,
    /// End the program, reporting this.
    Exit(ExitStatus),
}

/// Whom to forward a signal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// This process.
    Process(Pid),
    /// The process group that this process leads.
    Group(Pid),
    /// The same when the leader itself has ended, so that it may well be that nobody is left.
    RestOfGroup(Pid),
    /// It was one process, and that has ended.
    Nobody,
}

/// No event leads to more actions than this.
pub(crate) const MOST_ACTIONS: usize = 8;

/// What the decisions depend on.
#[derive(Clone)]
pub(crate) struct Policy {
    forward: Forward,
    rewrites: RewriteTable,
    /// The command's process.
    main: Pid,
}

impl Policy {
    /// Decides for the command that runs as `main`.
    pub(crate) fn new(forward: Forward, mut rewrites: RewriteTable, main: Pid) -> Self {
        if forward == Forward::Group {
            // The kernel lets TSTP, TTIN and TTOU do nothing in an orphaned process group, which the command's is, for
            // its parent is in another session (setpgid(2)). STOP works there too.
            for signum in [Signum::TSTP, Signum::TTIN, Signum::TTOU] {
                rewrites.set_default(signum, Signum::STOP);
            }
        }
        Self { forward, rewrites, main }
    }

    /// Adds to `actions` what is to be done about an event: [`MOST_ACTIONS`] at most, so that there is no need for memory.
    pub(crate) fn decide(&self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Signal(signum, via) => {
                actions.push(Action::Say(Line::Received(signum)));
                self.on_signal(signum, via, actions);
            }
            Event::Ended { pid, status } => {
                actions.push(Action::Say(Line::ChildEnded { pid, status }));
                if pid == self.main {
                    let rest = match self.forward {
                        Forward::Child => Recipient::Nobody,
                        Forward::Group => Recipient::RestOfGroup(pid),
                    };
                    self.forward(Signum::TERM, Via::Direct, rest, actions);
                    actions.push(Action::Reap(pid));
                    actions.push(Action::Say(Line::Goodbye(status)));
                    actions.push(Action::Exit(status));
                } else {
                    actions.push(Action::Reap(pid));
                }
            }
            Event::Trapped { pid, signum } => {
                // Those two are meant for a debugger: the stop that it waits for, and the trap that follows an exec
                // under trace (ptrace(2)). There is none, so the process goes on as if it had never asked for one.
                let for_the_tracer = |signum: &Signum| matches!(*signum, Signum::STOP | Signum::TRAP);
                actions.push(Action::Release(pid, signum.filter(|signum| !for_the_tracer(signum))));
            }
        }
    }

    fn on_signal(&self, signum: Signum, via: Via, actions: &mut Vec<Action>) {
        if via == Via::HandOff {
            actions.push(Action::Say(Line::HandOffIgnored(signum)));
        } else if signum == Signum::CHLD {
            actions.push(Action::CollectChildren);
        } else {
            let recipient = match self.forward {
                Forward::Child => Recipient::Process(self.main),
                Forward::Group => Recipient::Group(self.main),
            };
            self.forward(signum, via, recipient, actions);
            if signum.suspends_a_job() {
                actions.push(Action::Say(Line::Suspending));
                actions.push(Action::StopOurselves);
            }
        }
    }

    fn forward(&self, signum: Signum, via: Via, recipient: Recipient, actions: &mut Vec<Action>) {
        let outcome = match self.rewrites.get(signum) {
            None => Outcome::Becomes(signum),
            Some(outcome) => {
                let to = match outcome {
                    Outcome::Dropped => None,
                    Outcome::Becomes(to) => Some(to),
                };
                actions.push(Action::Say(Line::Translating { from: signum, to }));
                outcome
            }
        };
        match outcome {
            Outcome::Dropped => actions.push(Action::Say(Line::NotForwarded)),
            Outcome::Becomes(to) => {
                // What it has got from the terminal already isn't sent: it would take a second Ctrl-C for another.
                let has_it = to == signum && via == Via::SharedGroup && signum.comes_from_a_key();
                if !has_it {
                    actions.push(Action::Forward(to, recipient));
                }
                // A stopped process acts on nothing but SIGKILL and SIGCONT, so it would never end.
                let asks_to_end = signum.asks_to_end() || to.asks_to_end();
                match recipient {
                    Recipient::Process(_) | Recipient::Group(_) if asks_to_end && !to.stops() => {
                        actions.push(Action::WakeIfStopped(recipient));
                    }
                    Recipient::Process(_) | Recipient::Group(_) | Recipient::RestOfGroup(_) | Recipient::Nobody => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

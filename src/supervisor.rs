//! What happens from the command's start to its end?
//!
//! Sleep until a signal comes, ask the policy, do what it says. Nothing here may end the program before the command has
//! ended: what fails is said, and life goes on.

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::logging::{self, Line};
use crate::policy::{Action, Event, Policy, Recipient, Via};
use crate::signal::Signum;
use crate::status::ExitStatus;
use crate::sys::children::{self, Change};
use crate::sys::signals::{self, Origin, Received};

/// Lives on until the command, which runs as `main`, has ended, and returns how it did. What is in `earlier` has
/// happened already and comes first.
pub(crate) fn supervise(policy: &Policy, main: Pid, earlier: Vec<Event>) -> ExitStatus {
    let mut earlier = earlier.into_iter();
    loop {
        let event = earlier.next().unwrap_or_else(|| arrival(signals::wait(), main));
        if let Some(status) = handle(policy, event) {
            return status;
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

/// Makes an event of a signal.
fn arrival(Received { signum, origin }: Received, main: Pid) -> Event {
    let via = match origin {
        Origin::Kernel if signum.comes_from_a_key() && children::shares_our_group(main) => Via::SharedGroup,
        Origin::Kernel | Origin::Ourselves | Origin::Other => Via::Direct,
    };
    Event::Signal(signum, via)
}

/// Does what an event leads to. Returns how the command ended, if this was its end.
fn handle(policy: &Policy, event: Event) -> Option<ExitStatus> {
    for action in policy.decide(event) {
        match action {
            Action::Say(line) => logging::say(line),
            Action::Forward(signum, recipient) => forward(signum, recipient),
            Action::CollectChildren => {
                while let Some(change) = children::look() {
                    if let Some(status) = handle(policy, told(change)) {
                        return Some(status);
                    }
                }
            }
            Action::Reap(pid) => children::reap(pid),
            Action::Release(pid, signum) => children::release(pid, signum),
            Action::StopOurselves => signals::stop_ourselves(),
            Action::Exit(status) => return Some(status),
        }
    }
    None
}

fn told(change: Change) -> Event {
    match change {
        Change::Ended { pid, status } => Event::Ended { pid, status },
        Change::Trapped { pid, signum } => Event::Trapped { pid, signum },
    }
}

fn forward(signum: Signum, recipient: Recipient) {
    let result = match recipient {
        Recipient::Process(pid) => signals::send_to_process(pid, signum).map_err(|errno| (pid, errno)),
        Recipient::Group(leader) => signals::send_to_group(leader, signum).map_err(|errno| (leader, errno)),
        Recipient::RestOfGroup(leader) => {
            // Whatever comes of it may be about nobody but the leader, who has ended.
            let _ = signals::send_to_group(leader, signum);
            Ok(())
        }
        Recipient::Nobody => Ok(()),
    };
    logging::say(match result {
        // ESRCH: everybody there has ended; the news of it is on its way.
        Ok(()) | Err((_, Errno::ESRCH)) => Line::Forwarded(signum),
        // EPERM: the command runs as another user and we lack CAP_KILL.
        Err((pid, errno)) => Line::NotDelivered { signum, pid, errno },
    });
}

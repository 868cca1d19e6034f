//! The hook of `--pre-stop`, which runs before the first signal that shuts down is forwarded.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::{Action, Decision, Policy, SignalSource};
use crate::log::Message;
use crate::options::settings::Limit;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// The time between SIGTERM and SIGKILL to a hook that does not exit.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// A request to end, which is held until the hook has exited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) signum: Signum,
    pub(super) source: SignalSource,
    /// Whether it is forwarded without a rewrite, since we caused it.
    pub(super) is_own: bool,
    /// The end of its `--delay`.
    pub(super) until: Option<Instant>,
}

/// The state of the hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Hook {
    /// Whether it has been started, or no signal can start it any more.
    has_run: bool,
    /// `None` before its start and after its exit.
    pub(super) pid: Option<Pid>,
    pub(super) held: Option<Held>,
    /// Whether the signal was sent that asks it to end.
    is_terminated: bool,
    /// The time of the next signal to it.
    pub(super) deadline: Option<Instant>,
    /// Whether nothing waits for it any more.
    is_over: bool,
}

impl Hook {
    /// Whether the exit of the program waits for it.
    pub(super) fn is_running(&self) -> bool {
        self.has_run && !self.is_over
    }
}

impl Policy {
    /// Starts the hook at the first signal that shuts down, and holds the signal. Returns whether it does.
    pub(super) fn start_hook(&mut self, held: Held, out: &mut Decision) -> bool {
        let Some(timeout) = self.settings.pre_stop.filter(|_| !self.hook.has_run) else { return false };
        self.hook = Hook {
            has_run: true,
            held: Some(held),
            deadline: match timeout {
                Limit::Never => None,
                Limit::After(duration) => out.now.checked_add(duration),
            },
            ..Hook::default()
        };
        out.push(Action::RunHook(held.signum));
        true
    }

    /// Removes and returns the held signal if this one repeats it, and ends the hook.
    pub(super) fn force(&mut self, signum: Signum, out: &mut Decision) -> Option<Held> {
        let held = self.hook.held.take_if(|held| held.signum == signum)?;
        self.terminate_hook(out);
        Some(held)
    }

    pub(super) fn on_start_of_hook(&mut self, pid: Pid) {
        self.hook.pid = Some(pid);
    }

    pub(super) fn on_exit_of_hook(&mut self, status: ExitStatus, out: &mut Decision) {
        self.hook.pid = None;
        if status != ExitStatus::SUCCESS && !self.hook.is_terminated {
            out.log(Message::HookFailed(status));
        }
        self.end_of_hook(out);
    }

    /// Forwards the held signal, or holds it until its delay is over. Exits if only the hook was left.
    pub(super) fn end_of_hook(&mut self, out: &mut Decision) {
        (self.hook.deadline, self.hook.is_over) = (None, true);
        if let Some(held) = self.hook.held.take() {
            match held.until.filter(|&until| until > out.now) {
                Some(until) => self.delayed.insert(held.signum, held.source, Some(until)),
                None => self.forward_held(held, out),
            }
        }
        if let Some(status) = self.pending_exit.take() {
            self.exit(status, out);
        }
    }

    pub(super) fn on_deadline_of_hook(&mut self, out: &mut Decision) {
        if self.hook.deadline.is_none_or(|at| at > out.now) {
            return;
        }
        if self.hook.is_terminated {
            self.signal_hook(Signum::KILL, out);
            self.end_of_hook(out);
        } else {
            out.log(Message::HookTimedOut);
            self.terminate_hook(out);
        }
    }

    fn terminate_hook(&mut self, out: &mut Decision) {
        self.signal_hook(Signum::TERM, out);
        self.hook.is_terminated = true;
        self.hook.deadline = out.now.checked_add(GRACE);
    }

    fn signal_hook(&self, signum: Signum, out: &mut Decision) {
        out.extend(self.hook.pid.map(|pid| Action::SignalHook(signum, pid)));
    }
}

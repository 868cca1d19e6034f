//! Asks the policy of an init about a signal, and about the exits that follow. No input or output.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::log::Message;
use crate::options::settings::{Limit, Settings};
use crate::policy::{Action, Event, GRACE_OF_HOOK, Helper, Policy, SignalSource};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// PIDs that no process has.
const NO_COMMAND: Pid = Pid::from_raw(i32::MAX);
const HOOK: Pid = Pid::from_raw(i32::MAX - 1);

/// Time at which an init kills the remaining processes.
#[derive(Clone, Copy)]
pub(super) enum Deadline {
    AfterSignal(Duration),
    AfterCommand(Duration),
}

/// The answer of the policy of one init to one signal.
pub(super) struct Answer {
    policy: Policy,
    now: Instant,
    pub(super) actions: Vec<Action>,
    /// For how long `--delay` holds the signal.
    pub(super) held: Option<Duration>,
    /// For how long the hook and `--delay` hold the signal together, if the hook holds it.
    pub(super) held_by_hook: Option<Limit>,
    pub(super) deadline: Option<Deadline>,
    /// Whether the init waits for the remaining processes when its command has exited.
    pub(super) is_patient: bool,
}

impl Answer {
    pub(super) fn new(
        settings: Settings,
        command: Option<Pid>,
        helpers: Vec<Helper>,
        signum: Signum,
        now: Instant,
    ) -> Self {
        let timeout = settings.pre_stop;
        let exit = exit_of(command.unwrap_or(NO_COMMAND));
        let mut policy = Policy::new(settings, command.unwrap_or(NO_COMMAND)).with_helpers(helpers);
        let mut old_deadline = None;
        if command.is_none() {
            policy.decide(now, exit);
            old_deadline = policy.kills_at();
        }
        let mut actions = ask(&mut policy, now, Event::Signal(signum, SignalSource::Direct));
        let held = actions.iter().find_map(|action| {
            if let Action::Log(Message::Holding(_, duration)) = *action { Some(duration) } else { None }
        });
        let is_held_by_hook = actions.iter().any(starts_hook);
        let held_by_hook = timeout.filter(|_| is_held_by_hook).map(|timeout| match timeout {
            Limit::Never => Limit::Never,
            Limit::After(time) => {
                Limit::After(time.saturating_add(GRACE_OF_HOOK).max(held.unwrap_or_default()))
            }
        });
        let forwarded_at = held.and_then(|duration| now.checked_add(duration)).unwrap_or(now);
        if held.is_some() {
            actions.extend(ask(&mut policy, forwarded_at, Event::Deadline));
        }
        let deadline = policy.kills_at();
        let mut later = policy.clone();
        let ends = ask(&mut later, now, exit).iter().any(|action| matches!(action, Action::Exit(..)));
        let is_patient = command.is_none() || !ends;
        let last_deadline = later.kills_at();
        let deadline = if is_patient && last_deadline != deadline {
            last_deadline.map(|at| Deadline::AfterCommand(at.saturating_duration_since(now)))
        } else {
            let new = deadline.filter(|_| deadline != old_deadline);
            new.map(|at| Deadline::AfterSignal(at.saturating_duration_since(forwarded_at)))
        };
        Self { policy, now, actions, held, held_by_hook, deadline, is_patient }
    }

    /// The actions when the command or a helper has exited.
    pub(super) fn on_exit(&mut self, pid: Pid) -> Vec<Action> {
        ask(&mut self.policy, self.now, exit_of(pid))
    }
}

/// The actions for an event. If it starts the hook, the hook has exited when they are taken.
fn ask(policy: &mut Policy, now: Instant, event: Event) -> Vec<Action> {
    let mut actions = policy.decide(now, event);
    if actions.iter().any(starts_hook) {
        actions.extend(policy.decide(now, Event::HookStarted(HOOK)));
        actions.extend(policy.decide(now, exit_of(HOOK)));
    }
    actions
}

fn starts_hook(action: &Action) -> bool {
    matches!(action, Action::RunHook(_))
}

fn exit_of(pid: Pid) -> Event {
    Event::Ended { pid, status: ExitStatus::SUCCESS }
}

//! Supervises the command from its start to its exit.
//!
//! The loop waits for an event, asks the policy, and does what it decides. Nothing here may end the program
//! before the command has exited: a failure is logged, and the loop goes on.

use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::log::{self, Message};
use crate::policy::{self, Action, Event, Helper, Policy, Recipient};
use crate::process;
use crate::report::Report;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::children::{self, Change, NoChild};
use crate::sys::parent;
use crate::sys::signals::{self, Received};
use delivery::Delivery;
use events::{EXITS_BEFORE_SIGNALS, Events, log_failure_of_signals};

pub(crate) mod delivery;
mod events;
pub(crate) mod last_resort;

/// The programs around the command.
pub(crate) struct Programs<'a> {
    pub(crate) command: Pid,
    /// The helpers, each with its text for messages.
    pub(crate) helpers: Vec<(Pid, &'a [u8])>,
    /// Starts the hook for a signal.
    pub(crate) start_hook: &'a dyn Fn(Signum) -> nix::Result<Pid>,
}

/// Runs until the policy decides to exit, and returns the status to report. The events in `earlier` come
/// first.
pub(crate) fn supervise(
    policy: &mut Policy,
    delivery: &mut Delivery,
    programs: &Programs<'_>,
    mut report: Option<Report>,
    earlier: Vec<Event>,
) -> ExitStatus {
    let command = programs.command;
    let mut events = Events::new(command, earlier);
    loop {
        let event = events.next(policy, report.as_mut());
        let now = Instant::now();
        if let (Some(report), Event::Ended { pid, status }) = (&mut report, event) {
            report.ended(now, pid, status, policy.killed_at());
        }
        #[cfg(feature = "deliberate-panic")]
        fail_deliberately(event);
        for action in policy.decide(now, event) {
            match action {
                Action::Log(message) => log::write(message),
                Action::Forward(signum, recipient, care) => {
                    let members = report.as_ref().map_or(0, |_| delivery::members(recipient));
                    let found = delivery.forward(signum, recipient, care);
                    if let Some(report) = &mut report {
                        report.forwarded(now, signum, recipient, found.max(members));
                    }
                    last_resort::record_signal(None);
                }
                Action::ResumeIfStopped(recipient) => delivery.resume(recipient),
                // ESRCH: no member is left.
                Action::Continue(group) => _ = signals::send_to_group(group, Signum::CONT),
                Action::ContinueIfSuspended(command) => {
                    if children::stop_of(command) == Some(Signum::TSTP) {
                        let _ = signals::send_to_group(command, Signum::CONT);
                    }
                }
                Action::Round(drain) => {
                    let found = delivery.round(drain);
                    if let (Some(report), Some((signum, scope))) = (&mut report, drain) {
                        report.forwarded(now, signum, Recipient::Unsignalled(scope), found);
                    }
                    policy.on_round(found > 0);
                    events.start_reaping();
                }
                Action::KillAll => {
                    delivery.kill_all();
                    events.start_reaping();
                }
                Action::CollectChildren => events.start_reaping(),
                Action::Reap(pid) => {
                    if let Some(status) = policy.exit_status().filter(|_| pid == command) {
                        last_resort::record_exit(status);
                    }
                    children::reap(pid);
                    delivery.forget(pid);
                }
                Action::DetachTraced(pid, signum) => children::release(pid, signum),
                Action::StopOurselves => signals::stop_ourselves(),
                Action::LogHelper(pid, status) => {
                    let helper = programs.helpers.iter().find(|(helper, _)| *helper == pid);
                    let text = helper.map_or(&b""[..], |(_, text)| *text);
                    log::write_helper(text, pid, status);
                }
                Action::RunHook(signum) => events.push(match (programs.start_hook)(signum) {
                    Ok(pid) => {
                        delivery.spare(pid);
                        Event::HookStarted(pid)
                    }
                    Err(errno) => {
                        log::write(Message::NoHook(errno));
                        Event::HookNotStarted
                    }
                }),
                // ESRCH: it does not lead its group yet.
                Action::SignalHook(signum, pid) => {
                    let _ = signals::send_to_group(pid, signum)
                        .or_else(|_| signals::send_to_process(pid, signum));
                }
                Action::Exit(status, reason) => {
                    delivery.log_remaining();
                    if let Some(report) = report {
                        report.write(reason, status);
                    }
                    return status;
                }
            }
        }
        last_resort::record_signal(None);
        last_resort::record_delayed(policy.delayed_signals());
        if delivery.has_deferred() {
            policy.expect_rounds(Instant::now());
        }
    }
}

/// Terminates the helpers, since the command could not be started.
pub(crate) fn terminate(helpers: &[Helper]) {
    for helper in helpers {
        // ESRCH: it has exited.
        let _ = signals::send_to_group(helper.pid, Signum::TERM);
    }
}

/// Reaps zombies inherited through our own exec. Their SIGCHLD may have come before it was blocked.
pub(crate) fn reap_older_children() {
    while reap_one().is_ok() {}
}

fn reap_one() -> Result<(), NoChild> {
    match children::reap_any()? {
        Change::Ended { pid, status } => log::write(Message::ChildEnded { pid, status }),
        Change::TraceStop { pid, signum } => {
            children::release(pid, signum.and_then(Signum::without_a_tracer));
        }
    }
    Ok(())
}

/// Runs without a command, as the process that holds the namespaces of a pod. Reaps orphans until SIGTERM or
/// SIGINT.
pub(crate) fn pause() -> ExitStatus {
    loop {
        let are_all_reaped = (0..EXITS_BEFORE_SIGNALS).any(|_| reap_one().is_err());
        log_failure_of_signals();
        let received = if are_all_reaped { signals::wait(None) } else { signals::take_any() };
        let Some(Received { signum, .. }) = received else { continue };
        log::write(Message::Received(signum));
        #[cfg(feature = "deliberate-panic")]
        fail_deliberately(Event::Signal(signum, policy::SignalSource::Direct));
        if policy::ends_a_pause(signum) {
            return ExitStatus::SUCCESS;
        }
    }
}

/// Makes orphans among our descendants our children, as they are those of PID 1. Orphans that go elsewhere
/// are neither signalled nor waited for.
pub(crate) fn adopt_orphans() {
    if getpid() == Pid::from_raw(1) {
        return;
    }
    if let Err(errno) = parent::adopt_orphans() {
        log::write(Message::NoSubreaper(errno));
    }
}

/// Returns the children from before our exec. One may be a logger that reads our output. Logs if /proc does
/// not show them.
pub(crate) fn older_children() -> Vec<Pid> {
    process::children().unwrap_or_else(|errno| {
        log::write(if errno == Errno::ENOENT { Message::NoProc } else { Message::NoLook(errno) });
        Vec::new()
    })
}

/// Stands for a bug and for exhausted memory.
#[cfg(feature = "deliberate-panic")]
#[allow(clippy::panic, reason = "the tests of the last resort need it")]
fn fail_deliberately(event: Event) {
    // The signal only causes the failure. It would end the command.
    last_resort::record_signal(None);
    match event {
        Event::Signal(signum, _) if signum.raw() == 62 => panic!("signal {signum}"),
        Event::Signal(signum, _) if signum.raw() == 63 => drop(Vec::<u8>::with_capacity(usize::MAX >> 2)),
        _ => {}
    }
}

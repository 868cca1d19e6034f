//! Starts the command, from the clone to its exec.
//!
//! The parent sleeps until the child has called exec, so that no signal is forwarded too early. The child
//! records the signals that it receives before, and the parent sends them to the command.

use std::ffi::c_int;

use nix::errno::Errno;
use nix::unistd::{self, Pid};

use crate::log::{self, Message};
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::arguments::Arg;
use crate::sys::exec::Arguments;
use crate::sys::signals::{self, Received, SignalMask};
use crate::sys::{clone, dispositions, fds, tty};
use terminal::HandOff;

mod failure;
pub(crate) mod path_search;
pub(crate) mod shebang;
pub(crate) mod terminal;

#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) init: Personality,
    /// The signals that were blocked when we were started.
    pub(crate) mask: SignalMask,
    pub(crate) role: Role<'a>,
}

/// The role of a program that we start.
#[derive(Clone, Copy)]
pub(crate) enum Role<'a> {
    /// The command, which gets the terminal.
    Command(Isolation, &'a HandOff),
    /// A helper: it leads a session without a terminal, and reads nothing.
    Helper,
    /// The hook: the same, but its exec is not waited for, since signals must be forwarded meanwhile.
    Hook,
}

/// A started program.
#[derive(Clone, Copy)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// The error if it could not be executed. Its process exits then.
    pub(crate) failure: Option<Errno>,
}

/// Starts the program `argv`, which is not empty. Fails if there is no process for it.
pub(crate) fn spawn(argv: &[Arg], environment: &Environment, setting: &Setting<'_>) -> nix::Result<Child> {
    let name = argv.first().copied().unwrap_or_default();
    // The child must not allocate.
    let mut arguments = Arguments::new(argv.iter().copied());
    let path = environment.get("PATH");
    let mut environment = match setting.role {
        Role::Command(..) => environment.for_command(unistd::getpid()),
        Role::Helper | Role::Hook => environment.for_background(),
    };

    let inherits_signals = setting.init.inherits_signal_settings();
    let mask = if inherits_signals { setting.mask } else { SignalMask::EMPTY };
    let mut failure = None;
    let start = if matches!(setting.role, Role::Hook) { clone::without_waiting } else { clone::until_exec };
    let pid = start(&mut |pid: Pid, shares_memory: bool| -> c_int {
        log::write_without_logger(Message::Spawned(pid));
        match setting.role {
            Role::Command(Isolation::Session, hand_off) => {
                hand_off.log_ignored();
                if let Err(errno) = lead_session(hand_off) {
                    log::write_without_logger(Message::NoSetsid(errno));
                    failure = Some(errno);
                    return ExitStatus::FAILURE.code().into();
                }
            }
            Role::Command(Isolation::Group, hand_off) => lead_group(hand_off),
            Role::Command(Isolation::None, _) => {}
            Role::Helper | Role::Hook => leave_terminal(),
        }
        dispositions::prepare_exec(shares_memory, inherits_signals);
        if let Err(errno) = signals::set_mask(mask) {
            // With every signal blocked, only SIGKILL could end the command.
            log::write_without_logger(Message::NotUnblocked(errno));
            failure = Some(errno);
            return ExitStatus::FAILURE.code().into();
        }
        let environment = environment.with_command(unistd::getpid());
        let errno = path_search::try_each(name, path, |path| arguments.exec(path, environment));
        // The SIGPIPE of a broken stderr must not replace the exit status.
        let _ = signals::block_all();
        log::write_not_executed(name, errno);
        failure::explain(argv, path, errno);
        failure = Some(errno);
        setting.init.exec_failure_status(errno).code().into()
    })?;
    for signum in dispositions::take_recorded() {
        // ESRCH if the process has exited already.
        let _ = signals::send_to_process(pid, signum);
    }
    Ok(Child { pid, failure })
}

/// Starts the child's own session. A new process leads none, so that setsid(2) cannot fail.
fn leave_terminal() {
    let _ = unistd::setsid();
    fds::replace_by_null(libc::STDIN_FILENO);
}

fn lead_session(hand_off: &HandOff) -> nix::Result<()> {
    unistd::setsid()?;
    remove_shared_keys();
    if let Err(errno) = tty::take(hand_off.fd()) {
        log::write_without_logger(Message::NotAttached(errno));
    }
    log::write_without_logger(Message::SetsidComplete);
    Ok(())
}

/// Makes the child a group leader in the terminal's foreground, so that only the command receives keys.
fn lead_group(hand_off: &HandOff) {
    // It cannot fail for a process that leads no session (setpgid(2)).
    let _ = unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    remove_shared_keys();
    // Allowed from the background because every signal is blocked (tcsetpgrp(3)).
    if let Err(errno) = tty::take_foreground(hand_off.fd()) {
        log::write_without_logger(Message::NotAttached(errno));
    }
}

/// Removes pending signals of keys after the child has left our group: we have received them, too. It is
/// not in the foreground yet, so that there are no others. A signal that a process has sent is kept.
fn remove_shared_keys() {
    for key in Signum::KEYS {
        if let Some(Received { sender: Some(_), .. }) = signals::take_pending(key) {
            // Signalling ourselves cannot fail.
            let _ = signals::send_to_process(unistd::getpid(), key);
        }
    }
}

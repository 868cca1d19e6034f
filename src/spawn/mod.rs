//! Starts the command, from the clone to its exec.
//!
//! The parent sleeps until the child has called exec, so that no signal is forwarded too early. The child
//! records the signals that it receives before, and the parent sends them to the command.

use std::ffi::c_int;
use std::sync::atomic::AtomicU32;

use nix::unistd::{self, Pid};

use crate::log::{self, Message};
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::arguments::Arg;
use crate::sys::exec::Arguments;
use crate::sys::signals::{self, Received, SignalMask};
use crate::sys::{clone, dispositions, tty};
use terminal::HandOff;

pub(crate) mod path_search;
pub(crate) mod shebang;
pub(crate) mod terminal;

pub(crate) struct Setting<'a> {
    pub(crate) init: Personality,
    pub(crate) isolation: Isolation,
    /// The signals that were blocked when we were started.
    pub(crate) mask: SignalMask,
    pub(crate) hand_off: &'a HandOff,
}

/// Starts the program `argv`, which is not empty. Returns its PID.
pub(crate) fn spawn(argv: &[Arg], environment: &Environment, setting: &Setting<'_>) -> nix::Result<Pid> {
    let name = argv.first().copied().unwrap_or_default();
    // The child must not allocate.
    let mut arguments = Arguments::new(argv.iter().copied());
    let path = environment.get("PATH");
    let mut environment = environment.for_command(unistd::getpid());

    let inherits_signals = setting.init.inherits_signal_settings();
    let mask = if inherits_signals { setting.mask } else { SignalMask::EMPTY };
    let (command, recorded) = clone::until_exec(&mut |pid: Pid, recorded: &'static AtomicU32| -> c_int {
        log::write_without_logger(Message::Spawned(pid));
        match setting.isolation {
            Isolation::Session => {
                setting.hand_off.log_ignored();
                if let Err(errno) = lead_session(setting.hand_off) {
                    log::write_without_logger(Message::NoSetsid(errno));
                    return ExitStatus::FAILURE.code().into();
                }
            }
            Isolation::Group => lead_group(setting.hand_off),
            Isolation::None => {}
        }
        dispositions::prepare_exec(recorded, inherits_signals);
        if let Err(errno) = signals::set_mask(mask) {
            // With every signal blocked, only SIGKILL could end the command.
            log::write_without_logger(Message::NotUnblocked(errno));
            return ExitStatus::FAILURE.code().into();
        }
        let environment = environment.with_command(unistd::getpid());
        let errno = path_search::try_each(name, path, |path| arguments.exec(path, environment));
        // The SIGPIPE of a broken stderr must not replace the exit status.
        let _ = signals::block_all();
        log::write_not_executed(name, errno);
        setting.init.exec_failure_status(errno).code().into()
    })?;
    for signum in dispositions::recorded_signals(recorded) {
        // ESRCH if the process has exited already.
        let _ = signals::send_to_process(command, signum);
    }
    Ok(command)
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

//! Starts the command, from the clone to its exec.
//!
//! The parent sleeps until the child has called exec, so that no signal is forwarded too early. The child records
//! signals that it receives before, and the parent sends them again to the command.

use std::ffi::c_int;

use nix::unistd::{self, Pid};

use crate::log::{self, Message};
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::arguments::Arg;
use crate::sys::clone;
use crate::sys::dispositions;
use crate::sys::exec::Arguments;
use crate::sys::signals::{self, Received, SignalMask};
use crate::sys::tty;
use terminal::HandOver;

pub(crate) mod path_search;
pub(crate) mod shebang;
pub(crate) mod terminal;

/// Where the command's process is to be.
pub(crate) struct Whereabouts<'a> {
    pub(crate) init: Personality,
    pub(crate) place: Isolation,
    /// What was blocked when we were started.
    pub(crate) mask: SignalMask,
    /// The terminal that it takes over, if there is one.
    pub(crate) hand_over: &'a HandOver,
}

/// Starts the program `argv`, which is not empty. Returns its PID.
///
/// # Errors
/// clone(2)'s.
pub(crate) fn spawn(argv: &[Arg], environment: &Environment, to: &Whereabouts<'_>) -> nix::Result<Pid> {
    let name = argv.first().copied().unwrap_or_default();
    // All that needs memory is made before the clone.
    let mut environment_of_command = environment.for_command(unistd::getpid());
    let mut arguments = Arguments::new(argv.iter().copied());
    let path = environment.get("PATH");

    let inherits_signal_settings = to.init.inherits_signal_settings();
    let mask = if inherits_signal_settings { to.mask } else { SignalMask::EMPTY };
    let command = clone::until_exec(&mut |pid: Pid, shares_memory: bool| -> c_int {
        log::write_without_logger(Message::Spawned(pid));
        match to.place {
            Isolation::Session => {
                to.hand_over.say_ignored();
                if let Err(errno) = lead_a_session(to.hand_over) {
                    log::write_without_logger(Message::NoSetsid(errno));
                    return ExitStatus::FAILURE.code().into();
                }
            }
            Isolation::Group => lead_a_group(to.hand_over),
            Isolation::None => {}
        }
        dispositions::prepare_exec(shares_memory, inherits_signal_settings);
        if let Err(errno) = signals::set_mask(mask) {
            // With every signal blocked, nobody could end the command.
            log::write_without_logger(Message::NotUnblocked(errno));
            return ExitStatus::FAILURE.code().into();
        }
        let environment = environment_of_command.with_command(unistd::getpid());
        let errno = path_search::try_each(name, path, |path| arguments.exec(path, environment));
        // A broken stderr must not end this process by SIGPIPE, which isn't what happened.
        let _ = signals::block_all();
        log::write_not_executed(name, errno);
        to.init.exec_failure_status(errno).code().into()
    })?;
    for signum in dispositions::recorded() {
        // It fails only where the process has ended already, which makes no difference.
        let _ = signals::send_to_process(command, signum);
    }
    Ok(command)
}

fn lead_a_session(hand_over: &HandOver) -> nix::Result<()> {
    unistd::setsid()?;
    remove_shared_keys();
    if let Err(errno) = tty::take(hand_over.fd()) {
        log::write_without_logger(Message::NotAttached(errno));
    }
    log::write_without_logger(Message::SetsidComplete);
    Ok(())
}

/// The command, not we, is in the terminal's foreground from here on, so that keys reach it alone.
fn lead_a_group(hand_over: &HandOver) {
    // It can't fail for a process that leads no session (setpgid(2)).
    let _ = unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    remove_shared_keys();
    // Every signal is blocked, so that a process in the background may do so (tcsetpgrp(3)).
    if let Err(errno) = tty::take_foreground(hand_over.fd()) {
        log::write_without_logger(Message::NotAttached(errno));
    }
}

/// Removes pending signals of keys, in the child, after it has left our process group: we have received them, too.
/// It is not in the foreground yet, so that there are no others. A signal that a process has sent is kept.
fn remove_shared_keys() {
    for key in Signum::KEYS {
        if let Some(Received { sender: Some(_), .. }) = signals::take_pending(key) {
            // Signalling ourselves cannot fail.
            let _ = signals::send_to_process(unistd::getpid(), key);
        }
    }
}

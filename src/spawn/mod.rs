//! How does the command's process come into being, from fork to exec?
//!
//! We sleep until the child has called exec, so nothing is forwarded before there is someone to get it. A signal that
//! somebody else sends to the child before that (a key, say, where it shares our terminal) is noted by the child and sent
//! again by us when it has become the command. So none is lost, and none stops or ends the child halfway.

use std::ffi::c_int;

use nix::unistd::{self, Pid};

use crate::log::{self, Message};
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::policy::{Event, SignalSource};
use crate::signal::exit_status::ExitStatus;
use crate::sys::arguments::Arg;
use crate::sys::clone::{self, Memory};
use crate::sys::dispositions::{self, Ignored};
use crate::sys::exec::Arguments;
use crate::sys::signals::{self, Mask};
use crate::sys::{keys, tty};
use terminal::HandOver;

pub(crate) mod path_search;
pub(crate) mod shebang;
pub(crate) mod terminal;

/// What has come of it.
pub(crate) struct Spawned {
    /// The command's process.
    pub(crate) command: Pid,
    /// The keys that came meanwhile from a terminal that we share with it.
    pub(crate) keys: Vec<Event>,
}

/// Where the command's process is to be.
pub(crate) struct Whereabouts<'a> {
    pub(crate) init: Personality,
    pub(crate) place: Isolation,
    /// What was blocked when we were started.
    pub(crate) mask: Mask,
    /// The terminal that it takes over, if there is one.
    pub(crate) hand_over: &'a HandOver,
}

/// Starts the program `argv`, which isn't empty.
///
/// # Errors
/// clone(2)'s.
pub(crate) fn spawn(argv: &[Arg], environment: &Environment, to: &Whereabouts<'_>) -> nix::Result<Spawned> {
    let name = argv.first().copied().unwrap_or_default();
    // All that needs memory is made before the clone.
    let mut environment_of_command = environment.for_command(unistd::getpid());
    let mut arguments = Arguments::new(argv.iter().copied());
    let path = environment.get("PATH");

    let (ignored, mask) = if to.init.inherits_signal_settings() {
        (Ignored::IsHandedOn, to.mask)
    } else {
        (Ignored::IsReset, Mask::EMPTY)
    };
    let shares_our_group = to.place == Isolation::None;
    if shares_our_group {
        keys::start_noting();
    }
    let command = clone::until_exec(&mut |pid: Pid, memory: Memory| -> c_int {
        if shares_our_group {
            keys::child_is_there();
        }
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
        match memory {
            Memory::Shared => dispositions::note_until_exec(ignored),
            Memory::Copied => dispositions::act_by_default(ignored),
        }
        if let Err(errno) = signals::block(mask) {
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
    // It has worked before: what is refused once may be a fault.
    if signals::block_all().is_err()
        && let Err(errno) = signals::block_all()
    {
        log::write(Message::NotBlocked(errno));
    }
    for signum in dispositions::noted() {
        // It fails only where the process has ended already, which makes no difference.
        let _ = signals::send_to_process(command, signum);
    }
    let before = keys::from_before_the_child().map(|key| Event::Signal(key, SignalSource::Direct));
    let shared = keys::shared_with_the_child().map(|key| Event::Signal(key, SignalSource::SharedGroup));
    Ok(Spawned { command, keys: before.chain(shared).collect() })
}

fn lead_a_session(hand_over: &HandOver) -> nix::Result<()> {
    unistd::setsid()?;
    keys::forget_copies();
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
    keys::forget_copies();
    // Every signal is blocked, so that a process in the background may do so (tcsetpgrp(3)).
    if let Err(errno) = tty::take_foreground(hand_over.fd()) {
        log::write_without_logger(Message::NotAttached(errno));
    }
}

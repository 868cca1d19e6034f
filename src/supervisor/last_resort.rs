//! Keeps the container alive after a panic, or if memory is exhausted.
//!
//! The death of PID 1 would kill every process of its container. So a panic hook and a failed allocation
//! never return: a loop without memory, settings and locks forwards signals, reaps children, and exits with
//! the command's status. A panic inside the hook aborts.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::{panic, process};

use nix::unistd::{Pid, getpid};

use crate::log;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;
use crate::sys::children::{self, Change, NoChild};
use crate::sys::{allocator, signals};

/// The argument of kill(2): the command, its group as a negative number, every process, or 0 for none.
static TARGET: AtomicI32 = AtomicI32::new(0);
/// The exit code to report if no child is left. Negative if there was no command to wait for.
static EXIT_CODE: AtomicI32 = AtomicI32::new(WITHOUT_COMMAND);
const WITHOUT_COMMAND: i32 = -1;

/// The number of a signal that was received and is not forwarded yet.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// The delayed signals: signal n is bit n - 1.
static DELAYED: AtomicU64 = AtomicU64::new(0);

/// Replaces an abort by the loop, from now on. `target` is the argument of kill(2) for the command.
pub(crate) fn prepare(target: Option<i32>) {
    if let Some(target) = target {
        TARGET.store(target, Ordering::Relaxed);
        EXIT_CODE.store(ExitStatus::FAILURE.code().into(), Ordering::Relaxed);
    }
    panic::set_hook(Box::new(|panic| {
        log::write_panic(panic);
        run();
    }));
    allocator::on_failure(|| {
        log::write_out_of_memory();
        run()
    });
}

/// Records a signal that is to be forwarded. `None` if there is none.
pub(super) fn record_signal(signum: Option<Signum>) {
    SIGNAL.store(signum.map_or(0, Signum::raw), Ordering::Relaxed);
}

/// Records the delayed signals.
pub(super) fn record_delayed(signals: impl Iterator<Item = Signum>) {
    DELAYED.store(signals.fold(0, |set, signum| set | bit(signum)), Ordering::Relaxed);
}

fn bit(signum: Signum) -> u64 {
    1u64.wrapping_shl(u32::from(signum.number()).wrapping_sub(1))
}

/// Records the exit of the command, whose PID may be reused from now on. As PID 1 we signal every process of
/// the container instead.
pub(super) fn record_exit(status: ExitStatus) {
    EXIT_CODE.store(status.code().into(), Ordering::Relaxed);
    TARGET.store(if getpid().as_raw() == 1 { -1 } else { 0 }, Ordering::Relaxed);
}

fn run() -> ! {
    let target = TARGET.load(Ordering::Relaxed);
    let exit_code = EXIT_CODE.load(Ordering::Relaxed);
    let delayed = DELAYED.load(Ordering::Relaxed);
    let in_hand = Signum::new(SIGNAL.load(Ordering::Relaxed));
    let mut unsent =
        in_hand.into_iter().chain(Signum::all().filter(move |&signum| delayed & bit(signum) != 0));
    loop {
        match children::reap_any() {
            // A target of 0 or -1 is no PID of a child.
            Ok(Change::Ended { pid, status }) if pid.as_raw() == target.wrapping_abs() && target != -1 => {
                process::exit(status.code().into())
            }
            Ok(Change::Ended { .. }) => continue,
            Ok(Change::TraceStop { pid, signum }) => children::release(pid, signum),
            Err(NoChild::None) if exit_code != WITHOUT_COMMAND => process::exit(exit_code),
            Err(_) => {}
        }
        match unsent.next().or_else(|| Some(signals::wait(None)?.signum)) {
            // No command can receive it.
            Some(signum) if target == 0 && signum.shuts_down() => process::exit(exit_code.max(0)),
            Some(signum) if signum != Signum::CHLD && target != 0 => {
                // ESRCH: the command has exited, and its SIGCHLD is pending.
                let _ = signals::send_to_process(Pid::from_raw(target), signum);
            }
            _ => {}
        }
    }
}

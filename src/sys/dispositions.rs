//! Sets the dispositions of signals (sigaction(2)).

use std::ffi::c_int;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{self, SigHandler, Signal};

use super::KernelSet;
use crate::signal::Signum;

/// Sets SIGCHLD to its default. If it was ignored, the kernel would reap the command, and its status would
/// be lost (wait(2), notes).
pub(crate) fn expect_children() {
    set(Signum::CHLD, SigHandler::SigDfl);
}

/// Sets the disposition of a standard signal, and returns whether it was ignored. KILL and STOP are refused
/// and have the default anyway.
fn set(signum: Signum, handler: SigHandler) -> bool {
    let Ok(signal) = Signal::try_from(signum.raw()) else { return false };
    // SAFETY: the only handler is `record`, which is async-signal-safe.
    unsafe { signal::signal(signal, handler) }.is_ok_and(|before| matches!(before, SigHandler::SigIgn))
}

/// Discards a pending signal by ignoring it for a moment (sigaction(2)).
pub(super) fn discard_pending(signum: Signum) {
    // The default of SIGCHLD discards it, too, and, unlike SIG_IGN, keeps zombies for wait(2).
    let ignoring = (signum != Signum::CHLD).then_some(libc::SIG_IGN);
    for disposition in ignoring.into_iter().chain([libc::SIG_DFL]) {
        // The kernel's `struct sigaction`: the handler, then only zeros, for flags, the restorer of some
        // architectures, and the mask. The C libraries refuse signals 32 to 34.
        let action = [disposition, 0, 0, 0, 0, 0];
        const { assert!(size_of::<[usize; 6]>() >= size_of::<([usize; 3], KernelSet)>()) };
        let (action, none, size) = (action.as_ptr(), ptr::null_mut::<usize>(), size_of::<KernelSet>());
        // SAFETY: reads `action`, which is at least as long as the kernel's structure, and writes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signum.raw(), action, none, size) };
    }
}

/// The standard signals that the child has received before its exec: signal n is bit n.
static RECORDED: AtomicU32 = AtomicU32::new(0);

extern "C" fn record(number: c_int) {
    RECORDED.fetch_or(bit(number), Ordering::Relaxed);
}

fn bit(number: c_int) -> u32 {
    u32::try_from(number).map_or(0, |number| 1u32.wrapping_shl(number))
}

/// Prepares the child for its exec, which makes default dispositions of handlers (execve(2)). Until then,
/// signals 1 to 31 are recorded for the parent, which shares its memory. By default some of them would stop
/// the child, while the parent sleeps until the exec.
///
/// A child with its own memory cannot record and acts by default. With `keeps_ignored` the command ignores
/// what we were started to ignore, as nohup(1) needs it. Ignored real-time signals always stay ignored.
pub(crate) fn prepare_exec(shares_memory: bool, keeps_ignored: bool) {
    let handler = if shares_memory { SigHandler::Handler(record) } else { SigHandler::SigDfl };
    for signum in Signum::standard() {
        if set(signum, handler) && keeps_ignored {
            set(signum, SigHandler::SigIgn);
        }
    }
}

/// Removes and returns the signals that the last child has received before its exec.
pub(crate) fn take_recorded() -> impl Iterator<Item = Signum> {
    let bits = RECORDED.swap(0, Ordering::Relaxed);
    Signum::standard().filter(move |signum| bits & bit(signum.raw()) != 0)
}

//! Sets the dispositions of signals (sigaction(2)).

use std::ffi::{c_int, c_ulong};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{self, SigHandler, Signal};

use super::KernelSet;
use crate::signal::Signum;

/// Sets SIGCHLD to its default. If it was ignored, the kernel would reap the command, and its status would be lost
/// (wait(2), notes).
pub(crate) fn expect_children() {
    set(Signum::CHLD, SigHandler::SigDfl);
}

/// Sets the disposition of a standard signal. KILL and STOP are refused and have the default anyway.
fn set(signum: Signum, handler: SigHandler) {
    if let Ok(signal) = Signal::try_from(signum.raw()) {
        // SAFETY: the only handler is `record`, which is async-signal-safe.
        let _ = unsafe { signal::signal(signal, handler) };
    }
}

/// Discards a pending signal by ignoring it for a moment (sigaction(2)).
pub(super) fn discard_pending(signum: Signum) {
    // The default of SIGCHLD discards it, too, and, unlike SIG_IGN, keeps zombies for wait(2).
    if signum != Signum::CHLD {
        set_without_handler(signum, libc::SIG_IGN);
    }
    set_without_handler(signum, libc::SIG_DFL);
}

/// The system call itself, since the C libraries refuse signals 32 to 34.
fn set_without_handler(signum: Signum, disposition: libc::sighandler_t) {
    /// The kernel's `struct sigaction`.
    #[repr(C)]
    struct Action {
        handler: libc::sighandler_t,
        flags: c_ulong,
        restorer: usize,
        mask: KernelSet,
    }
    let action = Action { handler: disposition, flags: 0, restorer: 0, mask: 0 };
    let none = ptr::null_mut::<Action>();
    // SAFETY: reads `action`, whose layout is the kernel's, and writes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signum.raw(), &raw const action, none, size_of::<KernelSet>());
    }
}

/// The standard signals that the child has received before its exec: signal n is bit n.
static RECORDED: AtomicU32 = AtomicU32::new(0);

extern "C" fn record(number: c_int) {
    RECORDED.fetch_or(bit(number), Ordering::Relaxed);
}

fn bit(number: c_int) -> u32 {
    1u32.wrapping_shl(number.cast_unsigned())
}

/// Prepares the child for its exec, which makes default dispositions of handlers (execve(2)). Until then,
/// signals 1 to 31 are recorded for the parent, which shares its memory. By default some of them would stop the
/// child, while the parent sleeps until the exec.
///
/// A child with its own memory cannot record and acts by default. With `keeps_ignored` the command ignores what
/// we were started to ignore, as nohup(1) needs it. Ignored real-time signals always stay ignored.
pub(crate) fn prepare_exec(shares_memory: bool, keeps_ignored: bool) {
    let handler = if shares_memory { SigHandler::Handler(record) } else { SigHandler::SigDfl };
    for signum in Signum::standard().filter(|&signum| !(keeps_ignored && is_ignored(signum))) {
        set(signum, handler);
    }
}

fn is_ignored(signum: Signum) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: changes nothing, and writes the current action.
    unsafe { libc::sigaction(signum.raw(), ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid action, and the C library has filled it in.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The signals that the child has recorded.
pub(crate) fn recorded() -> impl Iterator<Item = Signum> {
    let bits = RECORDED.load(Ordering::Relaxed);
    Signum::standard().filter(move |signum| bits & bit(signum.raw()) != 0)
}

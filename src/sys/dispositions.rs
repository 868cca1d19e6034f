//! What does a signal do that isn't blocked?
//!
//! The system call is made directly here, too: musl's sigaction(3) unblocks signals 33 and 34 when a handler is set up
//! (for its own use of them), and SIGRTMIN would be lost.

use std::ffi::{c_int, c_ulong, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::KernelSet;
use crate::signal::Signum;

/// The kernel's `struct sigaction`.
#[repr(C)]
struct KernelAction {
    handler: libc::sighandler_t,
    flags: c_ulong,
    restorer: usize,
    mask: KernelSet,
}

#[cfg(target_arch = "x86_64")]
mod restorer {
    use std::ffi::c_ulong;

    /// asm/signal.h: `restorer` is to be used, without which the kernel calls no handler.
    pub(super) const FLAG: c_ulong = 0x0400_0000;

    /// Where a handler returns to.
    #[unsafe(naked)]
    pub(super) extern "C" fn restore() {
        std::arch::naked_asm!("mov eax, {number}", "syscall", number = const libc::SYS_rt_sigreturn)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod restorer {
    use std::ffi::c_ulong;

    /// The kernel has a place of its own for a handler to return to.
    pub(super) const FLAG: c_ulong = 0;

    pub(super) extern "C" fn restore() {}
}

fn set(signum: Signum, handler: libc::sighandler_t, flags: c_int) {
    let action = KernelAction {
        handler,
        flags: c_ulong::from(flags.cast_unsigned()) | restorer::FLAG,
        restorer: restorer::restore as *const () as usize,
        mask: 0,
    };
    let none = ptr::null_mut::<KernelAction>();
    // KILL and STOP are refused with EINVAL, and have the default disposition anyway.
    // SAFETY: reads `action`, whose layout is the kernel's, and writes nothing, since the old one isn't asked for.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signum.raw(), &raw const action, none, size_of::<KernelSet>());
    }
}

/// Makes our children's deaths visible to us where whoever started us ignores SIGCHLD: then the kernel would reap them
/// by itself, and nobody would ever learn the command's status (wait(2), notes).
pub(crate) fn expect_children() {
    set(Signum::CHLD, libc::SIG_DFL, 0);
}

/// Removes a pending signal by ignoring it for a moment (sigaction(2)).
pub(super) fn discard_pending(signum: Signum) {
    // The default of SIGCHLD discards it, too, and, unlike SIG_IGN, leaves zombies for wait(2).
    if signum != Signum::CHLD {
        set(signum, libc::SIG_IGN, 0);
    }
    set(signum, libc::SIG_DFL, 0);
}

/// What a handler is that wants to know where a signal came from.
pub(super) type InformedHandler = extern "C" fn(c_int, *const libc::siginfo_t, *const c_void);

/// Has a signal handled by `handler`, which may interrupt anything.
pub(super) fn handle_with_information(signum: Signum, handler: InformedHandler) {
    set(signum, handler as libc::sighandler_t, libc::SA_SIGINFO);
}

/// A standard signal's place in a word.
pub(super) fn bit(number: c_int) -> u32 {
    1u32.wrapping_shl(number.cast_unsigned())
}

/// The standard signals whose bits are set.
pub(super) fn of_bits(bits: u32) -> impl Iterator<Item = Signum> {
    Signum::standard().filter(move |signum| bits & bit(signum.raw()) != 0)
}

/// The standard signals that the child has got before its exec.
static NOTED: AtomicU32 = AtomicU32::new(0);

pub(super) extern "C" fn note(number: c_int) {
    NOTED.fetch_or(bit(number), Ordering::Relaxed);
}

/// Lets signals 1 to 31 do nothing to the child but be noted, until its exec makes default dispositions of that
/// (execve(2)), also of what was ignored when we were started. What was ignored among the real-time signals stays so.
///
/// A default disposition would do as well but for those that stop a process: we sleep until the child's exec, and would
/// not see that it is stopped, nor could we stop with it.
pub(crate) fn note_until_exec(ignored: Ignored) {
    let handler: extern "C" fn(c_int) = note;
    to_be_changed(ignored).for_each(|signum| set(signum, handler as libc::sighandler_t, 0));
}

/// The same for a child that can't tell us what it has noted: it acts on it.
pub(crate) fn act_by_default(ignored: Ignored) {
    to_be_changed(ignored).for_each(|signum| set(signum, libc::SIG_DFL, 0));
}

/// What about the standard signals that were ignored when we were started?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// The command finds the default.
    IsReset,
    /// The command finds them ignored, as nohup(1) wants it.
    IsHandedOn,
}

fn to_be_changed(ignored: Ignored) -> impl Iterator<Item = Signum> {
    Signum::standard().filter(move |&signum| match ignored {
        Ignored::IsReset => true,
        Ignored::IsHandedOn => !is_ignored(signum),
    })
}

fn is_ignored(signum: Signum) -> bool {
    let mut action = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let none = ptr::null::<KernelAction>();
    // SAFETY: writes `action`, whose layout is the kernel's, and changes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signum.raw(), none, &raw mut action, size_of::<KernelSet>())
    };
    action.handler == libc::SIG_IGN
}

/// What the child, which had our memory, has noted before its exec.
pub(crate) fn noted() -> impl Iterator<Item = Signum> {
    of_bits(NOTED.load(Ordering::Relaxed))
}

//! What does the program ask of the kernel?
//!
//! The only place with unsafe code and raw libc calls. Everything above sees types (`Signum`, `Pid`, `ExitStatus`) and
//! named outcomes. EINTR is dealt with here; it is rare, since every signal is blocked for the whole life of the
//! program and only a stop with its SIGCONT can interrupt a call.

#![allow(unsafe_code)] // This layer exists so that no other needs it.

#[cfg(test)]
pub(crate) mod allocations;
pub(crate) mod arguments;
pub(crate) mod capabilities;
pub(crate) mod children;
pub(crate) mod clone;
pub(crate) mod dispositions;
pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod output;
pub(crate) mod parent;
pub(crate) mod procfs;
pub(crate) mod signals;
pub(crate) mod tty;

/// The kernel's own set of signals 1 to 64: signal n is bit n - 1.
type KernelSet = u64;

/// Each stop interrupts a call once. A call that is interrupted more often is refused by a sandbox.
const MOST_INTERRUPTIONS: u32 = 10;

/// Repeats a call that is interrupted.
///
/// # Errors
/// The error of the call. EINTR if it is interrupted each time.
fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    for _ in 0..MOST_INTERRUPTIONS {
        match call() {
            Err(nix::errno::Errno::EINTR) => {}
            result => return result,
        }
    }
    Err(nix::errno::Errno::EINTR)
}

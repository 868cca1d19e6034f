//! System calls: the only folder with unsafe code.
//!
//! The layers above see types (`Signum`, `Pid`, `ExitStatus`) and named outcomes. EINTR is rare, since
//! every signal is blocked: only a stop with its SIGCONT, or a tracer, interrupts a call.

#![allow(unsafe_code)] // No other layer needs it.

pub(crate) mod allocator;
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

use nix::errno::Errno;

/// The kernel's set of signals 1 to 64: signal n is bit n - 1.
type KernelSet = u64;

/// A stop interrupts a call once. A sandbox refuses a call that is interrupted more often.
const MOST_INTERRUPTIONS: u32 = 10;

fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    let mut results = (0..MOST_INTERRUPTIONS).map(|_| call());
    results.find(|result| !matches!(result, Err(Errno::EINTR))).unwrap_or(Err(Errno::EINTR))
}

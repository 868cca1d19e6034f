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

use std::ffi::c_long;
use std::mem::{offset_of, size_of};
use std::time::Duration;

use nix::errno::Errno;

// MIPS has 128 signals, a different `struct sigaction`, and other numbers of signals.
#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "powerpc64",
    target_arch = "s390x",
    target_arch = "loongarch64",
)))]
compile_error!("The layout of the kernel's signal structures has not been checked for this architecture.");

/// The kernel's set of signals 1 to 64: signal n is bit n - 1.
///
/// The kernel declares an array of `long`, and the first element has the lower signals. On a 32-bit machine
/// that is the layout of a number of eight bytes only if the machine is little-endian.
type KernelSet = u64;
const _: () = assert!(size_of::<KernelSet>() == 8);
const _: () = assert!(cfg!(target_endian = "little") || size_of::<c_long>() == 8);

/// The kernel's `struct timespec` of the system calls without `_time64` in their names. On 32-bit machines
/// the C library may have a longer one.
#[repr(C)]
struct KernelTimespec {
    seconds: c_long,
    nanoseconds: c_long,
}
const _: () = assert!(offset_of!(KernelTimespec, nanoseconds) == size_of::<c_long>());
const _: () = assert!(size_of::<KernelTimespec>() == size_of::<[c_long; 2]>());

impl From<Duration> for KernelTimespec {
    fn from(duration: Duration) -> Self {
        // On 32-bit machines, the longest time is 68 years.
        let seconds = c_long::try_from(duration.as_secs()).unwrap_or(c_long::MAX);
        Self { seconds, nanoseconds: i32::try_from(duration.subsec_nanos()).unwrap_or(0).into() }
    }
}

/// A stop interrupts a call once. A sandbox refuses a call that is interrupted more often.
const MOST_INTERRUPTIONS: u32 = 10;

fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    let mut results = (0..MOST_INTERRUPTIONS).map(|_| call());
    results.find(|result| !matches!(result, Err(Errno::EINTR))).unwrap_or(Err(Errno::EINTR))
}

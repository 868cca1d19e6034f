//! Fetches signals if rt_sigtimedwait(2) begins to fail while the command runs.
//!
//! signalfd(2) is the first fallback. If it is refused, pending signals are polled ten times a second, and
//! removed by ignoring them for a moment (sigaction(2)). If that fails, a SIGCHLD is assumed each time, so
//! that the command's exit is noticed.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{IntoRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::super::{KernelSet, dispositions, fds};
use super::{ALL, Received, timespec};
use crate::signal::Signum;

/// A way of fetching signals that has failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TimedWait(Errno),
    SignalFd(Errno),
}

/// The errno of each way's failure; 0 as long as there is none.
static TIMED_WAIT: AtomicI32 = AtomicI32::new(0);
static SIGNAL_FD: AtomicI32 = AtomicI32::new(0);

/// Whether a failure has not been taken yet.
static IS_NEW: AtomicBool = AtomicBool::new(false);

/// The descriptor, if it has one.
static DESCRIPTOR: AtomicI32 = AtomicI32::new(NO_DESCRIPTOR);
const NO_DESCRIPTOR: RawFd = -1;

/// The time between two looks for pending signals.
const PAUSE: Duration = Duration::from_millis(100);

/// More failures within a second mean that waiting fails for good. A stop or a tracer interrupts it less
/// often.
const MOST_FAILURES: u32 = 100;

/// Whether rt_sigtimedwait(2) is no longer used.
pub(super) fn is_in_use() -> bool {
    TIMED_WAIT.load(Ordering::Relaxed) != 0
}

/// Removes and returns the failure that has not been logged yet.
pub(crate) fn take_failure() -> Option<Failure> {
    if !IS_NEW.load(Ordering::Relaxed) {
        return None;
    }
    IS_NEW.store(false, Ordering::Relaxed);
    let errno = |failure: &AtomicI32| Errno::from_raw(failure.load(Ordering::Relaxed));
    Some(match SIGNAL_FD.load(Ordering::Relaxed) {
        0 => Failure::TimedWait(errno(&TIMED_WAIT)),
        _ => Failure::SignalFd(errno(&SIGNAL_FD)),
    })
}

fn note(failure: &AtomicI32, errno: Errno) {
    failure.store(errno as i32, Ordering::Relaxed);
    IS_NEW.store(true, Ordering::Relaxed);
}

/// Records that rt_sigtimedwait(2) returned without a signal before its timeout.
#[cold]
pub(super) fn note_failure(errno: Errno) {
    if !is_transient(errno) {
        note(&TIMED_WAIT, errno);
    }
}

/// Whether to repeat a wait that failed.
fn is_transient(errno: Errno) -> bool {
    static FAILURES: AtomicU32 = AtomicU32::new(0);
    static SECOND: AtomicI64 = AtomicI64::new(0);
    if !matches!(errno, Errno::EAGAIN | Errno::EINTR) {
        return false;
    }
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec());
    if SECOND.swap(now, Ordering::Relaxed) != now {
        FAILURES.store(0, Ordering::Relaxed);
    }
    let is_transient = FAILURES.fetch_add(1, Ordering::Relaxed) < MOST_FAILURES;
    if !is_transient {
        FAILURES.store(0, Ordering::Relaxed);
    }
    is_transient
}

/// Waits for one of `set`, for ever if there is no timeout. `None` if none has come, or if the caller should
/// try again.
#[cold]
pub(super) fn fetch(set: KernelSet, timeout: Option<Duration>) -> Option<Received> {
    if SIGNAL_FD.load(Ordering::Relaxed) == 0 {
        match read_from_descriptor(set, timeout) {
            Ok(received) => return Some(received),
            // The timeout has expired, or no signal is pending.
            Err(Errno::EAGAIN) if timeout.is_some() => {}
            Err(errno) if is_transient(errno) => {}
            Err(errno) => note(&SIGNAL_FD, errno),
        }
        return None;
    }
    let pause = timeout.map_or(PAUSE, |timeout| timeout.min(PAUSE));
    take_out(set).or_else(|| {
        if pause.is_zero() {
            return None;
        }
        sleep(pause);
        take_out(set)
    })
}

/// signalfd(2), poll(2), read(2).
fn read_from_descriptor(set: KernelSet, timeout: Option<Duration>) -> nix::Result<Received> {
    let fd = descriptor(set)?;
    wait_until_readable(fd, timeout)?;
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    // SAFETY: writes that many bytes into `info`.
    let result = unsafe { libc::read(fd, info.as_mut_ptr().cast(), size_of::<libc::signalfd_siginfo>()) };
    Errno::result(result)?;
    // SAFETY: zeros are a valid signalfd_siginfo, and the kernel has filled it in.
    let info = unsafe { info.assume_init() };
    let signum = i32::try_from(info.ssi_signo).ok().and_then(Signum::new).ok_or(Errno::EAGAIN)?;
    Ok(Received::new(signum, info.ssi_code, info.ssi_pid.cast_signed(), info.ssi_uid))
}

/// The descriptor from which signals of `set` are read. It is created again if it was closed, as all
/// descriptors are after the start.
fn descriptor(set: KernelSet) -> nix::Result<RawFd> {
    let known = DESCRIPTOR.load(Ordering::Relaxed);
    match signal_fd(known, set) {
        Err(Errno::EBADF | Errno::EINVAL) if known != NO_DESCRIPTOR => {}
        result => {
            let fd = result?;
            if fd == known {
                return Ok(fd);
            }
            return keep(fd);
        }
    }
    keep(signal_fd(NO_DESCRIPTOR, set)?)
}

/// Keeps a new descriptor, above the standard ones, which may be closed.
fn keep(fd: RawFd) -> nix::Result<RawFd> {
    let fd = fds::above_the_standard_ones(&fds::own(fd)?)?.into_raw_fd();
    DESCRIPTOR.store(fd, Ordering::Relaxed);
    Ok(fd)
}

fn signal_fd(fd: RawFd, set: KernelSet) -> nix::Result<RawFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: reads eight bytes from `set`.
    let result =
        unsafe { libc::syscall(libc::SYS_signalfd4, fd, &raw const set, size_of::<KernelSet>(), flags) };
    Errno::result(result).map(|fd| RawFd::try_from(fd).unwrap_or(NO_DESCRIPTOR))
}

/// ppoll(2).
///
/// # Errors
/// EAGAIN if the timeout has expired.
fn wait_until_readable(fd: RawFd, timeout: Option<Duration>) -> nix::Result<()> {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: one pollfd and a timespec, or none, which live through the call; no mask is passed.
    let result = unsafe { libc::ppoll(&raw mut poll, 1, timeout, ptr::null()) };
    if Errno::result(result)? == 0 { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// Removes and returns the lowest pending signal of `set`.
fn take_out(set: KernelSet) -> Option<Received> {
    let from_somebody = |signum| Received { signum, sender: None, child: None, may_be_key: false };
    let Ok(pending) = pending() else {
        return (set == ALL).then(|| from_somebody(Signum::CHLD));
    };
    let number = (pending & set).trailing_zeros().checked_add(1)?;
    let signum = i32::try_from(number).ok().and_then(Signum::new)?;
    dispositions::discard_pending(signum);
    Some(from_somebody(signum))
}

/// rt_sigpending(2).
fn pending() -> nix::Result<KernelSet> {
    let mut pending: KernelSet = 0;
    // SAFETY: writes eight bytes.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, size_of::<KernelSet>()) };
    Errno::result(result).map(|_| pending)
}

/// Sleeps by nanosleep(2), or by ppoll(2) if a sandbox refuses that.
fn sleep(duration: Duration) {
    let duration = timespec(duration);
    // SAFETY: reads a timespec, and writes no remaining time.
    if unsafe { libc::nanosleep(&raw const duration, ptr::null_mut()) } != 0 {
        // SAFETY: no descriptor; a timespec that lives through the call; no mask.
        unsafe { libc::ppoll(ptr::null_mut(), 0, &raw const duration, ptr::null()) };
    }
}

//! Fetches signals if rt_sigtimedwait(2) begins to fail while the command runs.
//!
//! signalfd(2) is the first fallback. If it fails, too, pending signals are looked for ten times a second,
//! and removed by ignoring them for a moment (sigaction(2)). If they cannot be seen, a SIGCHLD is assumed
//! each time, so that the command's exit is noticed.

use std::mem::size_of;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use nix::unistd;

use super::super::{KernelSet, dispositions};
use super::{ALL, Received, set_of};
use crate::signal::Signum;

/// A way of fetching signals that has failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TimedWait(Errno),
    SignalFd(Errno),
}

/// The errno of each failure; 0 as long as there is none.
static TIMED_WAIT: AtomicI32 = AtomicI32::new(0);
static SIGNAL_FD: AtomicI32 = AtomicI32::new(0);

/// Whether a failure has not been taken yet.
static IS_NEW: AtomicBool = AtomicBool::new(false);

/// The time between two looks for pending signals.
const PAUSE: Duration = Duration::from_millis(100);

/// More failures in a row that come at once mean that waiting fails for good. A stop or a tracer interrupts a
/// wait less often.
const MOST_FAILURES: u32 = 100;
const AT_ONCE: Duration = Duration::from_millis(10);

/// Whether rt_sigtimedwait(2) is no longer used.
pub(super) fn is_in_use() -> bool {
    TIMED_WAIT.load(Ordering::Relaxed) != 0
}

/// Removes and returns the failure that has not been logged yet.
pub(crate) fn take_failure() -> Option<Failure> {
    if !IS_NEW.swap(false, Ordering::Relaxed) {
        return None;
    }
    let errno = |failure: &AtomicI32| Errno::from_raw(failure.load(Ordering::Relaxed));
    Some(match SIGNAL_FD.load(Ordering::Relaxed) {
        0 => Failure::TimedWait(errno(&TIMED_WAIT)),
        _ => Failure::SignalFd(errno(&SIGNAL_FD)),
    })
}

/// Records that rt_sigtimedwait(2) failed since `start`.
#[cold]
pub(super) fn note_failure(errno: Errno, start: Instant) {
    note(&TIMED_WAIT, errno, start);
}

fn note(failure: &AtomicI32, errno: Errno, start: Instant) {
    static IN_A_ROW: AtomicU32 = AtomicU32::new(0);
    if start.elapsed() > AT_ONCE {
        IN_A_ROW.store(0, Ordering::Relaxed);
    }
    let is_transient = matches!(errno, Errno::EAGAIN | Errno::EINTR);
    if !is_transient || IN_A_ROW.fetch_add(1, Ordering::Relaxed) >= MOST_FAILURES {
        IN_A_ROW.store(0, Ordering::Relaxed);
        failure.store(errno as i32, Ordering::Relaxed);
        IS_NEW.store(true, Ordering::Relaxed);
    }
}

/// Waits for one of `set`, for ever if there is no timeout. `None` if none has come, or if the caller
/// should try again.
#[cold]
pub(super) fn fetch(set: KernelSet, timeout: Option<Duration>) -> Option<Received> {
    if SIGNAL_FD.load(Ordering::Relaxed) == 0 {
        let start = Instant::now();
        return read_from_signalfd(set, timeout).unwrap_or_else(|errno| {
            note(&SIGNAL_FD, errno, start);
            None
        });
    }
    take_out(set).or_else(|| {
        let pause = timeout.map_or(PAUSE, |timeout| timeout.min(PAUSE));
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::empty(), &time_spec(pause));
        take_out(set)
    })
}

fn time_spec(duration: Duration) -> TimeSpec {
    // The seconds of 32-bit machines have 31 bits. No machine runs longer than that.
    TimeSpec::from_duration(duration.min(Duration::from_secs(i32::MAX.unsigned_abs().into())))
}

/// signalfd(2), ppoll(2), read(2). `None` if the timeout has expired.
fn read_from_signalfd(set: KernelSet, timeout: Option<Duration>) -> nix::Result<Option<Received>> {
    // SAFETY: reads eight bytes from `set`.
    let result = unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<KernelSet>(), libc::SFD_CLOEXEC)
    };
    let fd = i32::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just created it; nothing else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if ppoll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout.map(time_spec), None)? == 0 {
        return Ok(None);
    }
    let mut info = [0; size_of::<libc::signalfd_siginfo>()];
    unistd::read(&fd, &mut info)?;
    // The fields of a signalfd_siginfo are numbers of four bytes.
    let mut fields = info.chunks_exact(4).filter_map(|field| <[u8; 4]>::try_from(field).ok());
    let mut number = || fields.next().map_or(0, i32::from_ne_bytes);
    let (signum, _errno, code, pid, uid) = (number(), number(), number(), number(), number());
    let uid = u32::from_ne_bytes(uid.to_ne_bytes());
    Ok(Signum::new(signum).map(|signum| Received::new(signum, code, pid, uid)))
}

/// Removes and returns the lowest pending signal of `set`.
fn take_out(set: KernelSet) -> Option<Received> {
    let received = |signum| Received { signum, sender: None, may_be_key: false };
    let mut pending: KernelSet = 0;
    // SAFETY: writes eight bytes.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, size_of::<KernelSet>()) };
    if result != 0 {
        return (set == ALL).then(|| received(Signum::CHLD));
    }
    let signum = Signum::all().find(|&signum| pending & set & set_of(signum) != 0)?;
    dispositions::discard_pending(signum);
    Some(received(signum))
}

//! Blocks, fetches and sends signals.
//!
//! Every signal is blocked from the first moment and fetched by rt_sigtimedwait(2), which names the sender.
//! The kernel queues blocked signals whatever their disposition, also as PID 1 (`sig_ignored()`), so that
//! no handler is needed. The system calls are made directly: the C libraries' sets lack the signals that
//! they use themselves (32 and 33 with glibc, 32 to 34 with musl, which is SIGRTMIN).

use std::ffi::{c_int, c_uint};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getpid};

use super::{KernelSet, KernelTimespec};
use crate::signal::Signum;

mod fallback;

pub(crate) use fallback::{Failure, take_failure};

const ALL: KernelSet = KernelSet::MAX;

/// The signals that are blocked.
#[derive(Clone, Copy)]
pub(crate) struct SignalMask(KernelSet);

impl SignalMask {
    pub(crate) const EMPTY: Self = Self(0);
}

/// Blocks all 64 signals but KILL and STOP, and returns the mask from before.
pub(crate) fn block_all() -> nix::Result<SignalMask> {
    set_mask(SignalMask(ALL))
}

/// Sets the signal mask, and returns the mask from before. Fails if a sandbox refuses rt_sigprocmask(2).
pub(crate) fn set_mask(SignalMask(mask): SignalMask) -> nix::Result<SignalMask> {
    let (how, mut before) = (libc::SIG_SETMASK, 0);
    // SAFETY: reads eight bytes from `mask`, and writes eight to `before`.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const mask, &raw mut before, size_of::<KernelSet>())
    };
    Errno::result(result).map(|_| SignalMask(before))
}

pub(crate) fn unblock_all() {
    // With signals blocked, printing still works.
    let _ = set_mask(SignalMask::EMPTY);
}

#[derive(Clone, Copy)]
pub(crate) struct Received {
    pub(crate) signum: Signum,
    /// `None` if the kernel sent it of its own accord: for a key of the terminal, or a child's exit.
    pub(crate) sender: Option<Sender>,
    /// Whether its code is that of a terminal's key. A signal for a file (fcntl(2), `F_SETSIG`) has another
    /// code.
    pub(crate) may_be_key: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Sender {
    /// 0 if it is in a PID namespace that we cannot see.
    pub(crate) pid: Pid,
    pub(crate) uid: u32,
    code: c_int,
}

impl Received {
    fn new(signum: Signum, code: c_int, pid: libc::pid_t, uid: libc::uid_t) -> Self {
        // Codes up to 0 come from system calls. No process can forge the positive codes of the kernel.
        let sender = (code <= 0).then_some(Sender { pid: Pid::from_raw(pid), uid, code });
        Self { signum, sender, may_be_key: code == libc::SI_KERNEL }
    }

    /// Whether we sent it, also to our group.
    pub(crate) fn is_ours(&self) -> bool {
        self.sender.is_some_and(|Sender { pid, code, .. }| {
            matches!(code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE) && pid == getpid()
        })
    }
}

/// Checks that blocked signals can be fetched.
pub(crate) fn can_be_fetched() -> nix::Result<()> {
    match timed_wait(0, Some(Duration::ZERO)) {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// rt_sigtimedwait(2): waits for one of `set`, for ever if there is no timeout. Fails with EAGAIN if none has
/// come, EINTR if we were stopped or traced meanwhile, another error if a sandbox refuses it.
fn timed_wait(set: KernelSet, timeout: Option<Duration>) -> nix::Result<Received> {
    let timeout = timeout.map(KernelTimespec::from);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (info_pointer, size) = (info.as_mut_ptr(), size_of::<KernelSet>());
    // SAFETY: reads eight bytes from `set`; writes a siginfo_t into `info`; `timeout` is null or points to
    // a timespec that outlives the call.
    let number =
        unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, info_pointer, timeout, size) };
    let number = Errno::result(number)?;
    // The kernel fetches no signal that does not exist.
    let signum = i32::try_from(number).ok().and_then(Signum::new).ok_or(Errno::EAGAIN)?;
    // SAFETY: zeros are a valid siginfo_t, and the kernel has filled it in.
    let info = unsafe { info.assume_init() };
    // SAFETY: all of it is initialised. `Received` has it only if it is a sender's.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let uid = unsafe { info.si_uid() };
    Ok(Received::new(signum, info.si_code, pid, uid))
}

/// Waits for one of `set`, for ever if there is no timeout. `None` if the timeout has expired, or if the
/// caller should try again.
fn fetch(set: KernelSet, timeout: Option<Duration>) -> Option<Received> {
    if fallback::is_in_use() {
        return fallback::fetch(set, timeout);
    }
    let start = Instant::now();
    match timed_wait(set, timeout) {
        Ok(received) => return Some(received),
        Err(Errno::EAGAIN) if timeout.is_some_and(|timeout| start.elapsed() >= timeout) => {}
        Err(errno) => fallback::note_failure(errno, start),
    }
    None
}

/// Sleeps until a signal is pending, and fetches the first that the kernel delivers. `None` if the timeout
/// has expired, or if the caller should try again; [`take_failure`] may have a reason.
pub(crate) fn wait(timeout: Option<Duration>) -> Option<Received> {
    fetch(ALL, timeout)
}

pub(crate) fn take_pending(signum: Signum) -> Option<Received> {
    fetch(set_of(signum), Some(Duration::ZERO))
}

/// Fetches a signal if one is pending, the one that the kernel delivers first.
pub(crate) fn take_any() -> Option<Received> {
    fetch(ALL, Some(Duration::ZERO))
}

fn set_of(signum: Signum) -> KernelSet {
    1u64.wrapping_shl(u32::from(signum.number()).wrapping_sub(1))
}

/// Sends a signal to a process. Fails with ESRCH if there is none, EPERM if we may not signal it.
pub(crate) fn send_to_process(pid: Pid, signum: Signum) -> nix::Result<()> {
    send(pid.as_raw(), signum)
}

pub(crate) fn try_process(pid: Pid) -> nix::Result<()> {
    signal::kill(pid, None::<Signal>)
}

/// Sends a signal to every member of a process group that we may signal. Fails with ESRCH if it has no
/// member, EPERM if we may not signal a single one. Success means that one member received the signal.
pub(crate) fn send_to_group(leader: Pid, signum: Signum) -> nix::Result<()> {
    send(leader.as_raw().wrapping_neg(), signum)
}

fn send(target: i32, signum: Signum) -> nix::Result<()> {
    // SAFETY: kill(2) touches no memory. nix has no signals above 31.
    match Errno::result(unsafe { libc::kill(target, signum.raw()) }) {
        Ok(_) => Ok(()),
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        Err(errno) => send_without_kill(target, signum).map_err(|_refused_too| errno),
    }
}

/// Sends a signal to a process, or to the group with this number negated, if a sandbox refuses kill(2). No
/// process has received the signal by then. If the kernel refused kill(2), it refuses this, too.
#[cold]
fn send_without_kill(target: i32, signum: Signum) -> nix::Result<()> {
    // Since Linux 6.9.
    let flags = if target < 0 { libc::PIDFD_SIGNAL_PROCESS_GROUP } else { 0 };
    send_by_pidfd(&open_pidfd(Pid::from_raw(target.wrapping_abs()))?, signum, flags)
}

/// A process, also if its PID is reused (pidfd_open(2)).
pub(crate) enum Target {
    Pidfd(OwnedFd, Pid),
    /// The kernel has no pidfds (before 5.3), or a sandbox refuses them.
    Pid(Pid),
}

impl Target {
    /// The process that has this PID now. Fails with ESRCH if there is none.
    pub(crate) fn open(pid: Pid) -> nix::Result<Self> {
        match open_pidfd(pid) {
            Err(Errno::ESRCH) => Err(Errno::ESRCH),
            pidfd => Ok(pidfd.map_or(Self::Pid(pid), |pidfd| Self::Pidfd(pidfd, pid))),
        }
    }

    pub(crate) fn send(&self, signum: Signum) -> nix::Result<()> {
        match self {
            Self::Pid(pid) => send_to_process(*pid, signum),
            Self::Pidfd(fd, pid) => match send_by_pidfd(fd, signum, 0) {
                Ok(()) => Ok(()),
                Err(Errno::ESRCH) => Err(Errno::ESRCH),
                // A sandbox may refuse this call alone. If we lack the permission, kill(2) is refused, too.
                Err(_) => send_to_process(*pid, signum),
            },
        }
    }
}

/// The inode of a process's pidfds, which is never reused (Linux 6.9).
pub(crate) fn pidfd_id(pid: Pid) -> nix::Result<u64> {
    fstat(open_pidfd(pid)?).map(|status| status.st_ino)
}

fn open_pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just created it; nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send_by_pidfd(pidfd: &OwnedFd, signum: Signum, flags: c_uint) -> nix::Result<()> {
    let (number, none) = (signum.raw(), ptr::null::<libc::siginfo_t>());
    // SAFETY: no information is passed, so that no memory is read.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, none, flags) };
    Errno::result(result).map(drop)
}

/// Stops this process until it receives SIGCONT. Linux does not stop PID 1 of a namespace. gVisor would, and
/// no shell is there to resume it.
pub(crate) fn stop_ourselves() {
    if getpid().as_raw() == 1 {
        return;
    }
    // Signalling ourselves cannot fail.
    let _ = signal::kill(getpid(), Signal::SIGSTOP);
}

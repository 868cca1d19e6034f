//! How are signals blocked, awaited and sent?
//!
//! Every signal is blocked from the first moment on and fetched by rt_sigtimedwait(2), which also tells who sent it.
//! Blocked signals are queued whatever their disposition, SIG_IGN and PID 1's immunity included (`sig_ignored()` in the
//! kernel), so no handler is needed. The system calls are made directly: the C libraries' sets leave out the signals
//! that they use themselves (32 and 33 with glibc, 32 to 34 with musl), and SIGRTMIN is among those.

use std::ffi::{c_int, c_uint};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getpid};

use super::{KernelSet, fds};
use crate::signal::Signum;

mod fallback;

pub(crate) use fallback::{Failure, take_failure};

const ALL: KernelSet = KernelSet::MAX;
const NONE: KernelSet = 0;

/// Which signals are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(KernelSet);

impl Mask {
    /// None.
    pub(crate) const EMPTY: Self = Self(0);
}

/// rt_sigprocmask(2). The arguments are valid, so only a sandbox refuses it.
fn change_mask(how: c_int, mask: KernelSet) -> nix::Result<Mask> {
    let mut before = Mask::EMPTY;
    // SAFETY: reads eight bytes from `mask`, and writes eight to `before`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const mask,
            &raw mut before.0,
            size_of::<KernelSet>(),
        )
    };
    Errno::result(result).map(|_| before)
}

/// Blocks all 64 signals (KILL and STOP can't be), and returns what was blocked before.
///
/// # Errors
/// That of a sandbox that refuses it.
pub(crate) fn block_all() -> nix::Result<Mask> {
    change_mask(libc::SIG_SETMASK, ALL)
}

/// Blocks these alone.
///
/// # Errors
/// As [`block_all`].
pub(crate) fn block(Mask(mask): Mask) -> nix::Result<()> {
    change_mask(libc::SIG_SETMASK, mask).map(drop)
}

/// Empties the signal mask.
pub(crate) fn unblock_all() {
    // With signals blocked, printing still works.
    let _ = block(Mask::EMPTY);
}

/// A signal that was fetched, and where it came from (sigaction(2), `si_code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signum: Signum,
    /// `None` where the kernel sent it of its own accord: a key on the terminal, a child's death.
    pub(crate) sender: Option<Sender>,
    /// The child of which the kernel tells by it.
    pub(crate) child: Option<Pid>,
    /// Whether its code is that of a terminal's key. A signal for a file (fcntl(2), `F_SETSIG`) has another
    /// code.
    pub(crate) may_be_key: bool,
}

/// sigaction(2): sent by the kernel to whole process groups, among others.
const SI_KERNEL: c_int = 0x80;

/// The process that sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// 0 where it is in a namespace that we don't see into.
    pub(crate) pid: Pid,
    pub(crate) uid: u32,
    code: c_int,
}

impl Received {
    fn new(signum: Signum, code: c_int, pid: libc::pid_t, uid: libc::uid_t) -> Self {
        let pid = Pid::from_raw(pid);
        // Codes up to 0 come from system calls. Positive codes come from the kernel, and no other process can
        // forge them.
        let is_sent = code <= 0;
        let child = (!is_sent && signum == Signum::CHLD).then_some(pid);
        let sender = is_sent.then_some(Sender { pid, uid, code });
        Self { signum, sender, child, may_be_key: code == SI_KERNEL }
    }
}

impl Sender {
    /// Is it this process, be it through a system call that signals its own group?
    pub(crate) fn is_us(&self) -> bool {
        matches!(self.code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE) && self.pid == getpid()
    }
}

/// Whether blocked signals can be fetched at all.
///
/// # Errors
/// That of a sandbox that refuses rt_sigtimedwait(2).
pub(crate) fn can_be_fetched() -> nix::Result<()> {
    match timed_wait(NONE, Some(Duration::ZERO)) {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// rt_sigtimedwait(2): waits for one of `set`, for ever if there is no timeout.
///
/// # Errors
/// EAGAIN if none has come, EINTR if we were stopped or traced meanwhile, any other if a sandbox refuses it.
fn timed_wait(set: KernelSet, timeout: Option<Duration>) -> nix::Result<Received> {
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: reads eight bytes from `set`; writes a siginfo_t into `info`; `timeout` is null or points to a
    // timespec that outlives the call.
    let number = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const set,
            info.as_mut_ptr(),
            timeout,
            size_of::<KernelSet>(),
        )
    };
    let number = Errno::result(number)?;
    // The kernel fetches no signal that doesn't exist.
    let signum = i32::try_from(number).ok().and_then(Signum::new).ok_or(Errno::EAGAIN)?;
    // SAFETY: zeros are a valid siginfo_t, and the kernel has filled it in.
    let info = unsafe { info.assume_init() };
    // SAFETY: all of it is initialised, whatever the kernel has filled in; where it isn't the sender or the child (with timers
    // and asynchronous I/O, which nobody sets up here, and with faults), nobody looks at it.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let uid = unsafe { info.si_uid() };
    Ok(Received::new(signum, info.si_code, pid, uid))
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        // No machine runs longer than this.
        tv_sec: duration.as_secs().min(u32::MAX.into()).cast_signed(),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Waits for one of `set`, for ever if there is no timeout. `None` if none has come, or if the caller should
/// try again.
fn fetch(set: KernelSet, timeout: Option<Duration>) -> Option<Received> {
    if fallback::is_in_use() {
        return fallback::fetch(set, timeout);
    }
    match timed_wait(set, timeout) {
        Ok(received) => Some(received),
        // NoChild is pending.
        Err(Errno::EAGAIN) if timeout == Some(Duration::ZERO) => None,
        Err(errno) => {
            fallback::note_failure(errno);
            None
        }
    }
}

/// Sleeps until a signal is pending, and fetches the first that the kernel delivers. `None` if the caller
/// should try again; [`take_failure`] may have a reason.
pub(crate) fn wait() -> Option<Received> {
    fetch(ALL, None)
}

/// The same, but only for so long. `None` also if none has come.
pub(crate) fn wait_for(duration: Duration) -> Option<Received> {
    wait_for_one_of(ALL, duration)
}

/// The same without SIGCHLD, which stays pending.
pub(crate) fn wait_for_others(duration: Duration) -> Option<Received> {
    wait_for_one_of(ALL & !set_of(Signum::CHLD), duration)
}

fn wait_for_one_of(set: KernelSet, duration: Duration) -> Option<Received> {
    if fallback::is_in_use() {
        return fallback::fetch(set, Some(duration));
    }
    let start = Instant::now();
    match timed_wait(set, Some(duration)) {
        Ok(received) => Some(received),
        Err(Errno::EAGAIN) if start.elapsed() >= duration => None,
        Err(errno) => {
            fallback::note_failure(errno);
            None
        }
    }
}

/// Fetches this signal if it is pending.
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

/// Sends a signal to a process.
///
/// # Errors
/// kill(2): ESRCH where there is no such process, EPERM where we may not signal it.
pub(crate) fn send_to_process(pid: Pid, signum: Signum) -> nix::Result<()> {
    send(pid.as_raw(), signum)
}

/// Could we send this process a signal?
///
/// # Errors
/// As [`send_to_process`].
pub(crate) fn try_process(pid: Pid) -> nix::Result<()> {
    signal::kill(pid, None::<Signal>)
}

/// Sends a signal to every member of a process group that we may signal.
///
/// # Errors
/// kill(2): ESRCH where it has no member, EPERM where we may not signal a single one. Success says that one member was
/// signalled, not that all were.
pub(crate) fn send_to_group(leader: Pid, signum: Signum) -> nix::Result<()> {
    send(leader.as_raw().wrapping_neg(), signum)
}

fn send(target: i32, signum: Signum) -> nix::Result<()> {
    // SAFETY: kill(2) touches no memory of ours. nix has no number above 31 to give it.
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
    match Target::open(Pid::from_raw(target.wrapping_abs()))? {
        Target::Pid(_) => Err(Errno::ENOSYS),
        Target::Pidfd(pidfd, _) if target < 0 => send_to_group_of(&pidfd, signum.raw()),
        Target::Pidfd(pidfd, _) => send_by_pidfd(&pidfd, signum.raw(), 0),
    }
}

/// A process that stays the one that it is, even when it has ended and its PID is another's (pidfd_open(2)).
pub(crate) enum Target {
    Pidfd(OwnedFd, Pid),
    /// The kernel has no pidfds (before 5.3), or a sandbox refuses them.
    Pid(Pid),
}

impl Target {
    /// Whoever has this PID now.
    ///
    /// # Errors
    /// ESRCH where nobody has.
    pub(crate) fn open(pid: Pid) -> nix::Result<Self> {
        // SAFETY: pidfd_open(2) touches no memory.
        let result = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) });
        match result.map(i32::try_from) {
            // SAFETY: the kernel has just made it; nothing else knows it.
            Ok(Ok(fd)) => Ok(Self::Pidfd(unsafe { OwnedFd::from_raw_fd(fd) }, pid)),
            Err(Errno::ESRCH) => Err(Errno::ESRCH),
            Ok(Err(_)) | Err(_) => Ok(Self::Pid(pid)),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// As [`send_to_process`].
    pub(crate) fn send(&self, signum: Signum) -> nix::Result<()> {
        match self {
            Self::Pid(pid) => send_to_process(*pid, signum),
            Self::Pidfd(fd, pid) => match send_by_pidfd(fd, signum.raw(), 0) {
                Ok(()) => Ok(()),
                Err(Errno::ESRCH) => Err(Errno::ESRCH),
                // A sandbox may refuse this call alone. If we lack the permission, kill(2) is refused, too.
                Err(_) => send_to_process(*pid, signum),
            },
        }
    }
}

/// The inode of a process's pidfds, which is never reused (Linux 6.9).
///
/// # Errors
/// pidfd_open(2), fstat(2): ENOSYS also before there are pidfds.
pub(crate) fn pidfd_id(pid: Pid) -> nix::Result<u64> {
    let Target::Pidfd(pidfd, _) = Target::open(pid)? else { return Err(Errno::ENOSYS) };
    fstat(pidfd).map(|status| status.st_ino)
}

/// The pidfd of the command's process, by which the group that it leads stays that group when it has been reaped.
static GROUP: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// pidfd_send_signal(2): to the group that the process leads.
const PIDFD_SIGNAL_PROCESS_GROUP: c_uint = 1 << 2;

/// Holds the group that the command leads, which has not been reaped, for the rest of our life. False where the kernel has
/// nothing like that (before 6.9), a sandbox refuses it, or we may not signal it: it isn't tried again.
pub(crate) fn hold_group(leader: Pid) -> bool {
    let pidfd = || {
        let Target::Pidfd(pidfd, _) = Target::open(leader).ok()? else { return None };
        // Not in the place of a standard descriptor that is closed.
        let pidfd = fds::above_standard(&pidfd).ok()?;
        send_to_group_of(&pidfd, 0).is_ok().then_some(pidfd)
    };
    GROUP.get_or_init(pidfd).is_some()
}

/// Sends a signal to every member of the group of the command, which has ended, as [`send_to_group`] does. It has not been
/// reaped, or its group is held.
///
/// # Errors
/// As [`send_to_group`].
pub(crate) fn send_to_rest_of_group(leader: Pid, signum: Signum) -> nix::Result<()> {
    match GROUP.get() {
        Some(Some(pidfd)) => send_to_group_of(pidfd, signum.raw()),
        Some(None) | None => send_to_group(leader, signum),
    }
}

fn send_to_group_of(pidfd: &OwnedFd, number: c_int) -> nix::Result<()> {
    send_by_pidfd(pidfd, number, PIDFD_SIGNAL_PROCESS_GROUP)
}

fn send_by_pidfd(pidfd: &OwnedFd, number: c_int, flags: c_uint) -> nix::Result<()> {
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: no information is passed, so that no memory is read.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, none, flags) };
    Errno::result(result).map(drop)
}

/// Stops this process until it gets SIGCONT. As PID 1 of a namespace it goes on at once: the kernel stops no init.
pub(crate) fn stop_ourselves() {
    // It can't fail: SIGSTOP exists and we may signal ourselves.
    let _ = signal::kill(getpid(), Signal::SIGSTOP);
}

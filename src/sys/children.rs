//! What became of our children?
//!
//! Where the number of the process, or of the group that it led, matters for what is to be done about its death, that is
//! looked at first and reaped later (`WNOWAIT`), so that the number can't yet belong to someone else. Else a child is reaped
//! and told of by a single call: there may be thousands of them. Where a sandbox refuses waitid(2), wait4(2) does both at
//! once: then the last SIGTERM goes to a group whose leader is reaped already, and whose number is still its own as long as
//! it has a member.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpgrp};

use super::{procfs, uninterrupted};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// A child of which there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has ended and waits to be reaped.
    Ended { pid: Pid, status: ExitStatus },
    /// It is stopped because we are its tracer (it called PTRACE_TRACEME, which names its parent), about to act on
    /// this signal. An ordinary stop isn't reported.
    TraceStop { pid: Pid, signum: Option<Signum> },
}

/// Why there is nothing to tell of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoChild {
    /// All of them go on.
    Running,
    /// There is no child, and no descendant either that we could learn of: as PID 1, or a subreaper, we adopt orphans.
    None,
}

/// Tells of a child without reaping it.
///
/// # Errors
/// That there is nothing to tell.
pub(crate) fn peek() -> Result<Change, NoChild> {
    next(libc::WNOWAIT)
}

/// Reaps a child that has ended, and tells of it.
///
/// # Errors
/// That there is nothing to tell.
pub(crate) fn reap_any() -> Result<Change, NoChild> {
    next(0)
}

fn next(options: i32) -> Result<Change, NoChild> {
    let info = match wait_id(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | options) {
        Ok(info) => info,
        Err(Errno::ECHILD) => return Err(NoChild::None),
        Err(_refused) => return look_and_reap(),
    };
    // SAFETY: waitid(2) fills in the PID of the child.
    let pid = unsafe { info.si_pid() };
    if pid == 0 {
        return Err(NoChild::Running);
    }
    let pid = Pid::from_raw(pid);
    // SAFETY: waitid(2) fills in the status, or the signal, according to `si_code`.
    let status = unsafe { info.si_status() };
    Ok(match info.si_code {
        libc::CLD_EXITED => exited(pid, status),
        libc::CLD_KILLED | libc::CLD_DUMPED => killed(pid, status),
        _ => trapped(pid, status),
    })
}

/// The same with wait4(2): a child that has ended is reaped.
fn look_and_reap() -> Result<Change, NoChild> {
    let (pid, status) = match wait_4(-1) {
        Err(Errno::ECHILD) => return Err(NoChild::None),
        Ok((0, _)) | Err(_) => return Err(NoChild::Running),
        Ok((pid, status)) => (Pid::from_raw(pid), status),
    };
    Ok(if libc::WIFEXITED(status) {
        exited(pid, libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        killed(pid, libc::WTERMSIG(status))
    } else {
        trapped(pid, libc::WSTOPSIG(status))
    })
}

fn exited(pid: Pid, status: i32) -> Change {
    // Only the lowest byte is a status, also where a program passed more to exit(3).
    let [status, ..] = status.to_le_bytes();
    Change::Ended { pid, status: ExitStatus::Exited(status) }
}

fn killed(pid: Pid, number: i32) -> Change {
    // The kernel names no signal that does not exist; if it did, the death is told all the same.
    let status = Signum::new(number).map_or(ExitStatus::Exited(u8::MAX), ExitStatus::Killed);
    Change::Ended { pid, status }
}

fn trapped(pid: Pid, status: i32) -> Change {
    // The upper bytes tell ptrace events (ptrace(2)); the signal is the lowest.
    Change::TraceStop { pid, signum: Signum::new(status & 0x7f) }
}

/// Whether this child is stopped, by SIGSTOP or the like. True if neither waitid(2) nor /proc shows its
/// state, since SIGCONT does no harm to a running child.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    match wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), options) {
        Ok(info) => info.si_code == libc::CLD_STOPPED,
        // It is no child of ours any more.
        Err(Errno::ECHILD) => false,
        // wait4(2) would consume the stop, or reap the child.
        Err(_refused) => procfs::state_of(pid).is_none_or(|state| state == b'T'),
    }
}

/// The signal by which a child is stopped. `None` if it is not, or is no child of ours any more.
pub(crate) fn stop_of(pid: Pid) -> Option<Signum> {
    let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    let info = wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), options).ok()?;
    // SAFETY: waitid(2) fills in the status.
    let status = unsafe { info.si_status() };
    if info.si_code == libc::CLD_STOPPED { Signum::new(status) } else { None }
}

/// Removes a child that has ended. Its PID is free from here on.
pub(crate) fn reap(pid: Pid) {
    match wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), libc::WEXITED | libc::WNOHANG) {
        // ECHILD: looking has reaped it already.
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(_refused) => drop(wait_4(pid.as_raw())),
    }
}

/// Lets a child that is stopped under our trace go on, untraced, acting on `signum` if there is one.
pub(crate) fn release(pid: Pid, signum: Option<Signum>) {
    // The stop is taken note of, so that it isn't told again where the child can't be let go. This never takes a death.
    let _ = wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), libc::WSTOPPED | libc::WNOHANG);
    let data = libc::c_long::from(signum.map_or(0, Signum::raw));
    // ESRCH where it was killed meanwhile: its death will be told.
    // SAFETY: PTRACE_DETACH uses no memory; it ignores the address and takes the signal as a number.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw(), ptr::null_mut::<libc::c_void>(), data) };
}

/// waitid(2).
///
/// # Errors
/// ECHILD where there is no such child; ENOSYS, EPERM or any other where a sandbox refuses the call.
fn wait_id(kind: libc::idtype_t, id: libc::id_t, options: i32) -> nix::Result<libc::siginfo_t> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: writes a siginfo_t into `info` and touches nothing else.
    uninterrupted(|| Errno::result(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) }))?;
    // SAFETY: zeros are a valid siginfo_t, which waitid leaves alone or fills in.
    Ok(unsafe { info.assume_init() })
}

/// wait4(2) for a child, or for any (-1), without waiting. Returns its PID and status; 0 if none has changed.
///
/// # Errors
/// As `wait_id`.
fn wait_4(pid: libc::pid_t) -> nix::Result<(libc::pid_t, i32)> {
    let mut status = 0;
    let pid = uninterrupted(|| {
        // SAFETY: writes the status, and no resource usage, which isn't asked for.
        Errno::result(unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, ptr::null_mut()) })
    })?;
    Ok((pid, status))
}

/// Is this child in our own process group, so that it gets the terminal's signals whenever we do?
pub(crate) fn shares_our_group(pid: Pid) -> bool {
    getpgid(Some(pid)) == Ok(getpgrp())
}

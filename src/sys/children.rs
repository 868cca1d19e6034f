//! Waits for children, and reaps them.
//!
//! A child is peeked at (`WNOWAIT`) and reaped after the decisions about it, so that its PID, and the number
//! of the group that it led, are not reused before. If a sandbox refuses waitid(2), wait4(2) reaps at once.
//! Then the last SIGTERM goes to a group without its leader, whose number is not reused as long as it has a
//! member.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpgrp};

use super::{procfs, uninterrupted};
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

pub(crate) enum Change {
    Ended {
        pid: Pid,
        status: ExitStatus,
    },
    /// It made us its tracer by PTRACE_TRACEME, and has stopped, about to act on this signal.
    TraceStop {
        pid: Pid,
        signum: Option<Signum>,
    },
}

/// The reason that waitid(2) returned no child.
pub(crate) enum NoChild {
    Running,
    None,
}

/// Returns a child that has changed, without reaping it.
pub(crate) fn peek() -> Result<Change, NoChild> {
    next(libc::WNOWAIT)
}

/// Returns a child that has changed, and reaps it if it has exited.
pub(crate) fn reap_any() -> Result<Change, NoChild> {
    next(0)
}

fn next(options: i32) -> Result<Change, NoChild> {
    let info = match wait_id(libc::P_ALL, 0, libc::WEXITED | options) {
        Ok(info) => info,
        Err(Errno::ECHILD) => return Err(NoChild::None),
        Err(_refused) => return wait_and_reap(),
    };
    // SAFETY: waitid(2) fills in the PID of the child.
    let pid = unsafe { info.si_pid() };
    // SAFETY: waitid(2) fills in the status, or the signal, according to `si_code`.
    let status = unsafe { info.si_status() };
    change(pid, info.si_code, status)
}

/// As `next`, by wait4(2), which always reaps.
fn wait_and_reap() -> Result<Change, NoChild> {
    match wait_4(-1) {
        Err(Errno::ECHILD) => Err(NoChild::None),
        Err(_) => Err(NoChild::Running),
        Ok((pid, status)) if libc::WIFEXITED(status) => {
            change(pid, libc::CLD_EXITED, libc::WEXITSTATUS(status))
        }
        Ok((pid, status)) if libc::WIFSIGNALED(status) => {
            change(pid, libc::CLD_KILLED, libc::WTERMSIG(status))
        }
        Ok((pid, status)) => change(pid, libc::CLD_TRAPPED, libc::WSTOPSIG(status)),
    }
}

/// The change with this `si_code` and status. No child has changed if the PID is 0.
fn change(pid: libc::pid_t, code: i32, status: i32) -> Result<Change, NoChild> {
    if pid == 0 {
        return Err(NoChild::Running);
    }
    let pid = Pid::from_raw(pid);
    // exit(3) uses the lowest byte.
    let [exit_code, ..] = status.to_le_bytes();
    let status = match code {
        libc::CLD_EXITED => ExitStatus::Exited(exit_code),
        // The kernel reports no other signals.
        libc::CLD_KILLED | libc::CLD_DUMPED => {
            Signum::new(status).map_or(ExitStatus::Exited(u8::MAX), ExitStatus::Killed)
        }
        // The upper bytes are ptrace events (ptrace(2)).
        _ => return Ok(Change::TraceStop { pid, signum: Signum::new(status & 0x7f) }),
    };
    Ok(Change::Ended { pid, status })
}

/// Whether this child is stopped, by SIGSTOP or the like. True if neither waitid(2) nor /proc shows its
/// state, since SIGCONT does no harm to a running child.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    match peek_at_stop(pid) {
        Ok(stop) => stop.is_some(),
        // It is reaped.
        Err(Errno::ECHILD) => false,
        // wait4(2) would consume the stop, or reap the child.
        Err(_refused) => procfs::state_of(pid).is_none_or(|state| state == b'T'),
    }
}

/// The signal that has stopped a child. `None` if it is not stopped, or reaped.
pub(crate) fn stop_of(pid: Pid) -> Option<Signum> {
    peek_at_stop(pid).ok().flatten()
}

fn peek_at_stop(pid: Pid) -> nix::Result<Option<Signum>> {
    let info = wait_for(pid, libc::WSTOPPED | libc::WNOWAIT)?;
    // SAFETY: waitid(2) fills in the status.
    let status = unsafe { info.si_status() };
    Ok(Signum::new(status).filter(|_| info.si_code == libc::CLD_STOPPED))
}

/// Reaps a child that has exited. Its PID may be reused from now on.
pub(crate) fn reap(pid: Pid) {
    match wait_for(pid, libc::WEXITED) {
        // ECHILD: wait4(2) has reaped it.
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(_refused) => drop(wait_4(pid.as_raw())),
    }
}

/// Resumes a child in a trace stop without a tracer. It acts on `signum`.
pub(crate) fn release(pid: Pid, signum: Option<Signum>) {
    // Consumes the stop, so that it is not reported again if the child cannot be resumed. It never reaps.
    let _ = wait_for(pid, libc::WSTOPPED);
    let data = libc::c_long::from(signum.map_or(0, Signum::raw));
    // ESRCH: it was killed meanwhile, and its exit will be reported.
    // SAFETY: PTRACE_DETACH uses no memory; it ignores the address and takes the signal as a number.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw(), ptr::null_mut::<libc::c_void>(), data) };
}

fn wait_for(pid: Pid, options: i32) -> nix::Result<libc::siginfo_t> {
    let id = libc::id_t::try_from(pid.as_raw()).map_err(|_| Errno::ECHILD)?;
    wait_id(libc::P_PID, id, options)
}

/// waitid(2) with WNOHANG. Fails with ECHILD if there is no such child, or with the error of a sandbox.
fn wait_id(kind: libc::idtype_t, id: libc::id_t, options: i32) -> nix::Result<libc::siginfo_t> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = options | libc::WNOHANG;
    // SAFETY: writes a siginfo_t into `info` and touches nothing else.
    uninterrupted(|| Errno::result(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) }))?;
    // SAFETY: zeros are a valid siginfo_t, which waitid leaves alone or fills in.
    Ok(unsafe { info.assume_init() })
}

/// wait4(2) with WNOHANG for a child, or for any (-1). Returns its PID and status, or a PID of 0 if none has
/// exited.
fn wait_4(pid: libc::pid_t) -> nix::Result<(libc::pid_t, i32)> {
    let mut status = 0;
    let pid = uninterrupted(|| {
        // SAFETY: writes the status, and no resource usage.
        Errno::result(unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, ptr::null_mut()) })
    })?;
    Ok((pid, status))
}

/// Whether a child is in our process group, and receives the same signals of a terminal's keys.
pub(crate) fn shares_our_group(pid: Pid) -> bool {
    getpgid(Some(pid)) == Ok(getpgrp())
}

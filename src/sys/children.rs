//! What became of our children?
//!
//! A death is looked at first and reaped later (`WNOWAIT`), so that the decision what to do about it is made while the
//! PID, and the number of the group that the process led, can't yet belong to someone else.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpgrp};

use crate::signal::Signum;
use crate::status::ExitStatus;

/// A child of which there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has ended and waits to be reaped.
    Ended { pid: Pid, status: ExitStatus },
    /// It is stopped because we are its tracer (it called PTRACE_TRACEME, which names its parent), about to act on
    /// this signal. An ordinary stop isn't reported.
    Trapped { pid: Pid, signum: Option<Signum> },
}

/// Tells of a child without reaping it. `None` where there is nothing to tell.
pub(crate) fn look() -> Option<Change> {
    let info = wait_id(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    // SAFETY: waitid(2) fills in the PID of the child.
    let pid = unsafe { info.si_pid() };
    if pid == 0 {
        return None;
    }
    let pid = Pid::from_raw(pid);
    // SAFETY: waitid(2) fills in the status, or the signal, according to `si_code`.
    let status = unsafe { info.si_status() };
    Some(match info.si_code {
        // Only the lowest byte is a status, also where a program passed more to exit(3).
        libc::CLD_EXITED => Change::Ended { pid, status: ExitStatus::Exited(status.to_le_bytes()[0]) },
        libc::CLD_KILLED | libc::CLD_DUMPED => Change::Ended { pid, status: killed(status) },
        // The upper bytes tell ptrace events (ptrace(2)); the signal is the lowest.
        _ => Change::Trapped { pid, signum: Signum::new(status & 0x7f) },
    })
}

fn killed(number: i32) -> ExitStatus {
    // The kernel names no signal that does not exist; if it did, the death is told all the same.
    Signum::new(number).map_or(ExitStatus::Exited(u8::MAX), ExitStatus::Killed)
}

/// Removes a child that has ended. Its PID is free from here on.
pub(crate) fn reap(pid: Pid) {
    wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), libc::WEXITED | libc::WNOHANG);
}

/// Lets a child that is stopped under our trace go on, untraced, acting on `signum` if there is one.
pub(crate) fn release(pid: Pid, signum: Option<Signum>) {
    // The stop is taken note of, so that it isn't told again where the child can't be let go. This never takes a death.
    wait_id(libc::P_PID, pid.as_raw().cast_unsigned(), libc::WSTOPPED | libc::WNOHANG);
    let data = libc::c_long::from(signum.map_or(0, Signum::raw));
    // ESRCH where it was killed meanwhile: its death will be told.
    // SAFETY: PTRACE_DETACH uses no memory; it ignores the address and takes the signal as a number.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw(), ptr::null_mut::<libc::c_void>(), data) };
}

/// waitid(2). `None` where there is no child at all (ECHILD).
fn wait_id(kind: libc::idtype_t, id: libc::id_t, options: i32) -> Option<libc::siginfo_t> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: writes a siginfo_t into `info` and touches nothing else.
        let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) };
        match Errno::result(result) {
            // SAFETY: zeros are a valid siginfo_t, which waitid leaves alone or fills in.
            Ok(_) => return Some(unsafe { info.assume_init() }),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Is this child in our own process group, so that it gets the terminal's signals whenever we do?
pub(crate) fn shares_our_group(pid: Pid) -> bool {
    getpgid(Some(pid)) == Ok(getpgrp())
}

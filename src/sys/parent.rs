//! Our relations to parent and descendants (prctl(2)).

use std::ffi::{CStr, c_ulong};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Pid, getpid, getppid};

use super::signals;
use crate::signal::Signum;

/// Gives this process a name of at most 15 bytes (`comm`). A refusal changes nothing else.
pub(crate) fn take_name(own: &str) {
    let mut name = [0; 16];
    name.iter_mut().zip(own.bytes()).for_each(|(to, from)| *to = from);
    let _ = CStr::from_bytes_until_nul(&name).map(prctl::set_name);
}

/// Adopts orphaned descendants, as PID 1 does.
pub(crate) fn adopt_orphans() -> nix::Result<()> {
    prctl::set_child_subreaper(true)
}

/// Whether orphaned descendants become our children.
pub(crate) fn adopts_orphans() -> bool {
    getpid() == Pid::from_raw(1) || prctl::get_child_subreaper() == Ok(true)
}

/// Has the kernel send us a signal when our parent exits, which was `parent` at our start. If it has exited
/// since then, we send the signal ourselves. An exit before our exec cannot be seen.
pub(crate) fn signal_at_the_end_of(parent: Pid, signum: Signum) -> nix::Result<()> {
    let number = c_ulong::from(signum.number());
    // SAFETY: takes a number and touches no memory. nix has no signals above 31.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, number) })?;
    if getppid() == parent { Ok(()) } else { signals::send_to_process(getpid(), signum) }
}

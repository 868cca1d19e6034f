//! What are we to those above and below us (prctl(2))?

use std::ffi::CStr;

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

/// Makes orphaned descendants our children, as they are PID 1's.
///
/// # Errors
/// Where a sandbox refuses it, its errno.
pub(crate) fn adopt_orphans() -> nix::Result<()> {
    prctl::set_child_subreaper(true)
}

/// Has the kernel send us a signal when our parent ends, which was `parent` at our start. Where that has ended since then, we
/// send it ourselves. (One that ended before we were executed can't be told from one that is there: whoever adopted us is
/// our parent then.)
///
/// # Errors
/// Where a sandbox refuses it, its errno.
pub(crate) fn signal_at_the_end_of(parent: Pid, signum: Signum) -> nix::Result<()> {
    // SAFETY: takes a number; touches no memory. nix has no number above 31 to give it.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signum.raw()) })?;
    if getppid() == parent { Ok(()) } else { signals::send_to_process(getpid(), signum) }
}

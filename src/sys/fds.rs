//! How are descriptors opened, written to and closed?

use std::ffi::CStr;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::signals;
use crate::signal::Signum;

/// The lowest descriptor that is none of the standard three.
const FIRST_OTHER: RawFd = 3;

/// Writes to stderr in one call, so that lines of several processes don't mix. What can't be written is lost: an init
/// must not end, or wait, because nobody reads its messages.
pub(crate) fn write_to_stderr<const N: usize>(parts: [&[u8]; N]) {
    let slices = parts.map(IoSlice::new);
    let count = libc::c_int::try_from(slices.len()).unwrap_or(0);
    // SAFETY: `slices` are that many iovecs (IoSlice promises their layout) over memory that is borrowed here.
    let result = unsafe { libc::writev(libc::STDERR_FILENO, slices.as_ptr().cast(), count) };
    if Errno::result(result) == Err(Errno::EPIPE) {
        // The kernel has sent us a SIGPIPE for it, which would look like one to be forwarded, and be written about, and
        // so on. It is pending for the thread, not for the process, so one that somebody sent us isn't taken for it.
        signals::take_pending(Signum::PIPE);
    }
}

/// Opens a file for reading and writing, without taking the place of a closed standard descriptor.
///
/// # Errors
/// open(2), fcntl(2).
pub(crate) fn open(path: &CStr) -> nix::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `path` is a C string; without O_CREAT there is no further argument.
    let low = own(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: F_DUPFD_CLOEXEC takes a number and touches no memory.
    own(unsafe { libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST_OTHER) })
}

fn own(result: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: the caller passes what a system call has just returned as a new descriptor; nothing else knows it.
    Errno::result(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes everything but the standard three, so that whoever waits for the end of a pipe that the command was given
/// sees it when the command closes it.
///
/// No other part of the program may hold a descriptor at that time.
pub(crate) fn close_others() {
    // SAFETY: close_range(2) touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, 0) };
    if result == 0 {
        return;
    }
    // Before Linux 5.9, or refused by a seccomp filter: what /proc lists, else everything up to the limit.
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let listed: Vec<RawFd> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        listed.into_iter().for_each(close_other);
    } else {
        // SAFETY: sysconf(3) touches no memory of ours.
        let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
        (FIRST_OTHER..RawFd::try_from(limit).unwrap_or(RawFd::MAX).min(1 << 20)).for_each(close_other);
    }
}

fn close_other(fd: RawFd) {
    if fd >= FIRST_OTHER {
        // EBADF where it is closed already, as that of the directory that listed it is by now.
        // SAFETY: `close_others` promises that no part of the program holds it.
        unsafe { libc::close(fd) };
    }
}

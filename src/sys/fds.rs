//! Opens and closes descriptors.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// The lowest descriptor that is none of the standard three.
const FIRST_OTHER: RawFd = 3;

/// Opens a file for reading and writing, without taking the place of a closed standard descriptor.
///
/// # Errors
/// open(2), fcntl(2).
pub(crate) fn open(path: &CStr) -> nix::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `path` is a C string; without O_CREAT there is no further argument.
    let low = own(unsafe { libc::open(path.as_ptr(), flags) })?;
    above_the_standard_ones(&low)
}

/// The same open file by a descriptor that is none of the standard three.
///
/// # Errors
/// fcntl(2): EMFILE.
pub(super) fn above_the_standard_ones(fd: &OwnedFd) -> nix::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes a number and touches no memory.
    own(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST_OTHER) })
}

/// The descriptor that a system call has just returned.
pub(super) fn own(result: RawFd) -> nix::Result<OwnedFd> {
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
    if result != 0 {
        close_one_by_one();
    }
}

/// Before Linux 5.9, or where a seccomp filter refuses it: what /proc lists, else everything up to the limit.
#[cold]
#[inline(never)]
fn close_one_by_one() {
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

/// Replaces a standard descriptor by /dev/null, so that the reader of its pipe sees end of file. Closes it if
/// there is no /dev/null.
pub(crate) fn replace_by_null(descriptor: RawFd) {
    let is_replaced = open(c"/dev/null").is_ok_and(|null| {
        // SAFETY: both are numbers of open descriptors of ours; nothing holds the replaced one as its own.
        unsafe { libc::dup2(null.as_raw_fd(), descriptor) >= 0 }
    });
    if !is_replaced {
        // SAFETY: no OwnedFd holds it; a later write fails, which changes nothing.
        unsafe { libc::close(descriptor) };
    }
}

fn close_other(fd: RawFd) {
    if fd >= FIRST_OTHER {
        // EBADF where it is closed already, as that of the directory that listed it is by now.
        // SAFETY: `close_others` promises that no part of the program holds it.
        unsafe { libc::close(fd) };
    }
}

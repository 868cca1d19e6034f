//! Opens and closes descriptors.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{self, SysconfVar};

/// Standard input. Calls return EBADF if it is closed.
// SAFETY: no part of the program owns the descriptor.
pub(crate) const STDIN: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
/// Standard output, likewise.
// SAFETY: as above.
pub(crate) const STDOUT: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::STDOUT_FILENO) };
/// Standard error, likewise.
// SAFETY: as above.
pub(crate) const STDERR: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };

/// The lowest descriptor after the standard ones.
const FIRST_OTHER: RawFd = 3;

/// Opens a file for reading and writing. The descriptor is none of the standard ones, which may be closed.
pub(crate) fn open(path: &CStr) -> nix::Result<OwnedFd> {
    beyond_standard(fcntl::open(path, OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Makes a pipe: reader and writer. The descriptors are none of the standard ones, which may be closed.
pub(crate) fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    Ok((beyond_standard(reader)?, beyond_standard(writer)?))
}

fn beyond_standard(fd: OwnedFd) -> nix::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_OTHER {
        return Ok(fd);
    }
    // The lowest number of a duplicate is 3.
    fd.try_clone().map_err(|error| Errno::try_from(error).unwrap_or(Errno::EMFILE))
}

/// Closes all descriptors but the standard ones, so that a reader sees the end of a pipe when the command
/// closes it. No other part of the program may own a descriptor at that time.
pub(crate) fn close_others() {
    // SAFETY: close_range(2) touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, 0) };
    if result != 0 {
        close_one_by_one();
    }
}

/// Before Linux 5.9, or if a seccomp filter refuses close_range(2). Without /proc, all up to the limit are
/// closed.
#[cold]
fn close_one_by_one() {
    let fds: Vec<RawFd> = if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    } else {
        let limit = unistd::sysconf(SysconfVar::OPEN_MAX).ok().flatten();
        let limit = limit.and_then(|limit| RawFd::try_from(limit).ok()).unwrap_or(RawFd::MAX);
        (0..limit.min(1 << 20)).collect()
    };
    for fd in fds.into_iter().filter(|&fd| fd >= FIRST_OTHER) {
        // EBADF if it is closed already, as the one of the directory.
        let _ = unistd::close(fd);
    }
}

/// Replaces a standard descriptor by /dev/null, so that the reader of its pipe sees end of file. Closes it if
/// there is no /dev/null.
pub(crate) fn replace_by_null(standard: RawFd) {
    let is_replaced = open(c"/dev/null").is_ok_and(|null| {
        // SAFETY: no part of the program owns a standard descriptor.
        unsafe { libc::dup2(null.as_raw_fd(), standard) >= 0 }
    });
    if !is_replaced {
        // A later write fails and changes nothing.
        let _ = unistd::close(standard);
    }
}

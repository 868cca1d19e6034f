//! How are descriptors opened, written to and closed?

use std::ffi::CStr;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use super::signals;
use crate::signal::Signum;

/// The lowest descriptor that is none of the standard three.
const FIRST_OTHER: RawFd = 3;

/// Writes to stderr in one call, so that lines of several processes don't mix. What can't be written is lost: an init
/// must not end, or wait for ever, because nobody reads its messages.
pub(crate) fn write_to_stderr<const N: usize>(parts: [&[u8]; N]) {
    if !becomes_writable(libc::STDERR_FILENO) {
        return;
    }
    let slices = parts.map(IoSlice::new);
    let count = libc::c_int::try_from(slices.len()).unwrap_or(0);
    // SAFETY: `slices` are that many iovecs (IoSlice promises their layout) over memory that is borrowed here.
    let result = unsafe { libc::writev(libc::STDERR_FILENO, slices.as_ptr().cast(), count) };
    if told_of_no_reader(result) {
        return;
    }
    if result < 0 {
        // A sandbox may refuse writev(2), and where something else is wrong, this fails as well.
        for part in parts {
            // SAFETY: reads that many bytes of the slice.
            told_of_no_reader(unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) });
        }
    }
}

/// Writes to stdout what somebody has asked for, as any tool does: whoever is tired of waiting for the reader can end us.
pub(crate) fn write_to_stdout(text: &[u8]) {
    signals::unblock_all();
    let mut stdout = io::stdout();
    // Where it can't be written there is nobody to tell.
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// Is this the result of a write to a pipe without a reader? The kernel has sent us a SIGPIPE for it, which would look
/// like one to be forwarded, and be written about, and so on. It is pending for the thread, not for the process, so one
/// that somebody sent us isn't taken for it.
fn told_of_no_reader(result: isize) -> bool {
    let no_reader = Errno::result(result) == Err(Errno::EPIPE);
    if no_reader {
        signals::take_pending(Signum::PIPE);
    }
    no_reader
}

/// How long a reader may take until there is room for a line, in milliseconds.
const PATIENCE: libc::c_int = 1000;

/// Waits until a write doesn't block, but not for long, and not again for who kept us waiting in vain: a terminal that is
/// held by Ctrl-S, or a full pipe that nobody empties, must not keep signals from being forwarded.
fn becomes_writable(fd: RawFd) -> bool {
    static WAITED_IN_VAIN: AtomicBool = AtomicBool::new(false);
    let patience = if WAITED_IN_VAIN.load(Ordering::Relaxed) { 0 } else { PATIENCE };
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd, which lives through the call.
    let result = unsafe { libc::poll(&raw mut poll, 1, patience) };
    // Where it fails (a sandbox refuses it, or we were stopped meanwhile), a write is tried.
    let in_vain = result == 0;
    WAITED_IN_VAIN.store(in_vain, Ordering::Relaxed);
    !in_vain
}

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

/// Replaces a standard descriptor by /dev/null, so that the other side of its pipe sees its end. Without /dev/null it is closed.
pub(crate) fn replace_by_null(descriptor: RawFd) {
    let is_replaced = open(c"/dev/null").is_ok_and(|null| {
        // SAFETY: both are numbers of open descriptors of ours; nothing holds the replaced one as its own.
        unsafe { libc::dup2(null.as_raw_fd(), descriptor) >= 0 }
    });
    if !is_replaced {
        // SAFETY: nothing holds it as its own; a later write fails, which changes nothing.
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

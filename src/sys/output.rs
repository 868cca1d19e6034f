//! Writes to stdout, stderr and files.
//!
//! A line to stderr neither waits long for a reader nor leaves a signal behind. It allocates and locks
//! nothing, since the child writes lines before its exec.

use std::ffi::CStr;
use std::io::{IoSlice, IsTerminal, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::sys::uio::writev;
use nix::unistd::{self, getpid};

use super::fds;
use super::signals;
use super::uninterrupted;
use crate::signal::Signum;

/// Writes to stderr by one call, so that lines of several processes do not mix. A line that cannot be
/// written is lost, since an init must neither exit nor wait for ever for lack of a reader.
pub(crate) fn write_to_stderr<const N: usize>(parts: [&[u8]; N]) {
    let mut slices = parts.map(IoSlice::new);
    let mut left = slices.as_mut_slice();
    let mut patience = Patience::default();
    let mut way = Way::WithoutWaiting;
    while left.iter().any(|slice| !slice.is_empty()) {
        // Only here a write may block.
        if matches!(way, Way::AfterPoll) && !patience.waits_for_room(way.fd()) {
            return;
        }
        match way.write(left) {
            Ok(0) => return,
            // All of it, unless the text is longer than the room for it.
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            // It would have to wait for the disk.
            Err(Errno::EAGAIN) if matches!(way, Way::WithoutWaiting) && is_on_disk() => way = Way::AfterPoll,
            Err(Errno::EPIPE) => return take_own_signal(Signum::PIPE),
            Err(Errno::EFBIG) => return take_own_signal(Signum::XFSZ),
            Err(errno) => {
                let lacks_room = matches!(errno, Errno::EAGAIN | Errno::EINTR);
                if lacks_room && !patience.waits_for_room(way.fd()) {
                    return;
                }
                if !lacks_room || patience.has_false_alarms() {
                    way = match way.next() {
                        Some(next) => next,
                        None if lacks_room => way,
                        None => return,
                    };
                }
            }
        }
    }
    WAITED_IN_VAIN.store(false, Ordering::Relaxed);
}

/// Writes help or the version, and waits for its reader. Any signal ends the program meanwhile.
pub(crate) fn print(mut to: impl Write, text: &[u8]) {
    signals::unblock_all();
    // If it cannot be written, no error can be reported.
    let _ = to.write_all(text).and_then(|()| to.flush());
}

/// Replaces the content of a file. Fails if it would have to wait for the reader of a FIFO.
pub(crate) fn write_file(path: &CStr, mut text: &[u8]) -> nix::Result<()> {
    let create = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
    let flags = create | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = fcntl::open(path, flags, Mode::from_bits_truncate(0o644))?;
    while !text.is_empty() {
        let count = uninterrupted(|| unistd::write(&file, text))?;
        text = text.get(count..).filter(|_| count > 0).ok_or(Errno::EIO)?;
    }
    Ok(())
}

/// Removes the signal that the kernel sent for a failed write: it would be forwarded and logged, again
/// without end. It is pending for the thread, so that it is not confused with one for the process.
fn take_own_signal(signum: Signum) {
    if signals::take_pending(signum).is_some_and(|taken| !taken.is_ours()) {
        // The failure caused no signal (a datagram socket), and a process sent this one. Signalling
        // ourselves cannot fail.
        let _ = signals::send_to_process(getpid(), signum);
    }
}

/// Ways of writing to stderr, each for the files and kernels that refuse the one before it.
enum Way {
    /// pwritev2(2) with `RWF_NOWAIT`: files, and pipes and sockets from Linux 6.4 on. It never blocks, also
    /// if another process fills the pipe just before.
    WithoutWaiting,
    /// Through a non-blocking open file of our own: terminals, FIFOs, and pipes before that. Other
    /// processes share stderr itself.
    Reopened(OwnedFd),
    /// sendmsg(2) with MSG_DONTWAIT.
    Socket,
    /// poll(2), then writev(2): other files, and files that we may not open.
    AfterPoll,
}

impl Way {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Reopened(file) => file.as_fd(),
            Self::WithoutWaiting | Self::Socket | Self::AfterPoll => fds::STDERR,
        }
    }

    fn write(&self, slices: &mut [IoSlice<'_>]) -> nix::Result<usize> {
        match self {
            Self::WithoutWaiting => pwritev2(fds::STDERR, slices, libc::RWF_NOWAIT),
            Self::Reopened(_) | Self::AfterPoll => match writev(self.fd(), slices) {
                // A sandbox refuses it. Both calls do the same.
                Err(Errno::ENOSYS | Errno::EPERM) => pwritev2(self.fd(), slices, 0),
                result => result,
            },
            Self::Socket => send(slices),
        }
    }

    /// The way to try if this one is refused.
    fn next(&self) -> Option<Self> {
        match self {
            Self::WithoutWaiting => Some(Self::for_file()),
            Self::Socket => Some(Self::AfterPoll),
            Self::Reopened(_) | Self::AfterPoll => None,
        }
    }

    fn for_file() -> Self {
        /// /dev/ptmx, of which every open(2) creates a new terminal (pts(4)).
        const NEW_TERMINAL: libc::dev_t = libc::makedev(5, 2);
        let Ok(status) = fstat(fds::STDERR) else { return Self::AfterPoll };
        let can_be_reopened = match status.st_mode & libc::S_IFMT {
            libc::S_IFSOCK => return Self::Socket,
            libc::S_IFIFO => true,
            libc::S_IFCHR => status.st_rdev != NEW_TERMINAL && fds::STDERR.is_terminal(),
            _ => false,
        };
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        // It fails if stderr was opened as another user, or if there is no /proc.
        let reopened = can_be_reopened.then(|| fcntl::open(c"/proc/self/fd/2", flags, Mode::empty()));
        reopened.and_then(Result::ok).map_or(Self::AfterPoll, Self::Reopened)
    }
}

fn is_on_disk() -> bool {
    fstat(fds::STDERR)
        .is_ok_and(|status| matches!(status.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFBLK))
}

/// pwritev2(2) at the current position.
fn pwritev2(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>], flags: libc::c_int) -> nix::Result<usize> {
    /// Both halves of the position.
    const HERE: libc::c_long = -1;
    // The system call itself, since musl's function is a recent one.
    // SAFETY: `slices` are that many iovecs (IoSlice promises their layout) over memory that is borrowed
    // here.
    let result = unsafe {
        libc::syscall(libc::SYS_pwritev2, fd.as_raw_fd(), slices.as_ptr(), slices.len(), HERE, HERE, flags)
    };
    Errno::result(result).map(|count| usize::try_from(count).unwrap_or(0))
}

fn send(slices: &mut [IoSlice<'_>]) -> nix::Result<usize> {
    // SAFETY: zeros are a valid msghdr, of no address, no data and no control message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = slices.as_mut_ptr().cast();
    #[allow(clippy::useless_conversion)] // musl has another type there.
    let number = slices.len().try_into().unwrap_or(0);
    message.msg_iovlen = number;
    // SAFETY: reads the message and the memory that its slices borrow.
    let result = unsafe { libc::sendmsg(libc::STDERR_FILENO, &raw const message, libc::MSG_DONTWAIT) };
    Errno::result(result).map(|count| usize::try_from(count).unwrap_or(0))
}

/// The time for a reader to make room for a line.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of times that stderr may be ready without taking a byte before each further write waits: a
/// terminal with room for one byte takes no newline.
const FALSE_ALARMS: u32 = 8;
/// In milliseconds.
const PAUSE: u16 = 10;

/// Whether the last line was lost: the next one does not wait for the same reader.
static WAITED_IN_VAIN: AtomicBool = AtomicBool::new(false);

/// Waits for room for a line, for a second at most. A terminal held by Ctrl-S, or a full pipe that is not
/// read, must not delay signals.
#[derive(Default)]
struct Patience {
    end: Option<Instant>,
    waits: u32,
}

impl Patience {
    /// Whether to try a write. False if the time is over.
    fn waits_for_room(&mut self, fd: BorrowedFd<'_>) -> bool {
        let patience = if WAITED_IN_VAIN.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        let now = Instant::now();
        let end = *self.end.get_or_insert_with(|| now.checked_add(patience).unwrap_or(now));
        let left = end.saturating_duration_since(now);
        if self.has_false_alarms() {
            let _ = poll(&mut [], PAUSE);
        }
        let is_over = left.is_zero() && self.waits > 0;
        let has_room = !is_over && becomes_writable(fd, left);
        self.waits = self.waits.saturating_add(1);
        WAITED_IN_VAIN.store(!has_room, Ordering::Relaxed);
        has_room
    }

    /// Whether stderr was ready too often without taking a byte.
    fn has_false_alarms(&self) -> bool {
        self.waits > FALSE_ALARMS
    }
}

/// poll(2). If it fails (a sandbox refuses it, or we were stopped meanwhile), a write is tried.
fn becomes_writable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    // Rounded up, so that it does not end before the time is over.
    let milliseconds: u16 = patience.as_micros().div_ceil(1000).try_into().unwrap_or(u16::MAX);
    poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::from(milliseconds)) != Ok(0)
}

//! Writes to stdout and stderr: texts that a user asked for, and lines
//! without waiting long for a reader, and without leaving a signal behind.
//!
//! Neither allocates nor locks, since the child, which shares our memory before its exec, writes lines, too.

use std::ffi::c_int;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::getpid;

use super::signals::Sender;
use super::{fds, signals, tty};
use crate::signal::Signum;

/// Writes to stderr in one call, so that lines of several processes do not mix. A line that cannot be written
/// is lost, since an init must neither exit nor wait for ever for lack of a reader.
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
            // A file system that would have to wait for the disk.
            Err(Errno::EAGAIN) if way.may_become_blocking() => way = Way::AfterPoll,
            Err(Errno::EAGAIN | Errno::EINTR) => {
                if !patience.waits_for_room(way.fd()) {
                    return;
                }
                if patience.has_false_alarms() {
                    way = way.next(Errno::EOPNOTSUPP).unwrap_or(way);
                }
            }
            Err(errno) if left_a_signal(errno) => return,
            Err(errno) => match way.next(errno) {
                Some(next) => way = next,
                None => return,
            },
        }
    }
    WAITED_IN_VAIN.store(false, Ordering::Relaxed);
}

/// Writes help or the version to stdout, and waits for its reader. Any signal ends the program meanwhile.
pub(crate) fn write_to_stdout(text: &[u8]) {
    signals::unblock_all();
    let mut stdout = io::stdout();
    // If it cannot be written, no error can be reported.
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// The same for stderr.
pub(crate) fn print_to_stderr(text: &[u8]) {
    signals::unblock_all();
    // If it cannot be written, no error can be reported.
    let _ = io::stderr().write_all(text);
}

/// Whether a write failed with a SIGPIPE or SIGXFSZ from the kernel. It is removed, since it would be
/// forwarded and logged, again without end. It is pending for the thread, so it is not confused with one for
/// the process.
fn left_a_signal(errno: Errno) -> bool {
    let signum = match errno {
        Errno::EPIPE => Signum::PIPE,
        Errno::EFBIG => Signum::XFSZ,
        _ => return false,
    };
    if let Some(taken) = signals::take_pending(signum)
        && !taken.sender.as_ref().is_some_and(Sender::is_us)
    {
        // The failure caused no signal (a datagram socket), and a process sent this one. Signalling ourselves
        // cannot fail.
        let _ = signals::send_to_process(getpid(), signum);
    }
    true
}

/// Ways of writing to stderr, each for the files and kernels that refuse the ones before it.
enum Way {
    /// pwritev2(2) with `RWF_NOWAIT`: pipes and sockets from Linux 6.4 on. It never blocks, also if another
    /// process fills the pipe just before.
    WithoutWaiting,
    /// Through a non-blocking open file of our own: terminals, FIFOs, and pipes before that. Other processes
    /// share stderr itself.
    Reopened(OwnedFd),
    /// sendmsg(2) with MSG_DONTWAIT.
    Socket,
    /// poll(2), then writev(2): other files, and files that we may not open.
    AfterPoll,
}

/// How many bytes were written.
type Written = nix::Result<usize>;

impl Way {
    fn fd(&self) -> RawFd {
        match self {
            Self::Reopened(file) => file.as_raw_fd(),
            Self::WithoutWaiting | Self::Socket | Self::AfterPoll => libc::STDERR_FILENO,
        }
    }

    fn write(&self, slices: &mut [IoSlice<'_>]) -> Written {
        match self {
            Self::WithoutWaiting => write_without_waiting(slices),
            Self::Reopened(_) | Self::AfterPoll => write_vector(self.fd(), slices),
            Self::Socket => send(slices),
        }
    }

    /// Whether EAGAIN does not mean lack of room.
    fn may_become_blocking(&self) -> bool {
        matches!(self, Self::WithoutWaiting) && matches!(file_type(), Some(libc::S_IFREG | libc::S_IFBLK))
    }

    /// The way to try after this failure. `None` if another way would fail, too.
    fn next(&self, errno: Errno) -> Option<Self> {
        let is_refused = matches!(
            errno,
            Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::EPERM | Errno::EACCES | Errno::ENOMEM
        );
        match self {
            Self::WithoutWaiting if is_refused => Some(match file_type() {
                Some(libc::S_IFSOCK) => Self::Socket,
                Some(libc::S_IFIFO | libc::S_IFCHR) => reopen().map_or(Self::AfterPoll, Self::Reopened),
                _ => Self::AfterPoll,
            }),
            Self::Socket if is_refused => Some(Self::AfterPoll),
            Self::WithoutWaiting | Self::Reopened(_) | Self::Socket | Self::AfterPoll => None,
        }
    }
}

/// The type of stderr's file, as in `st_mode`. `None` for a character device that is no terminal, and for
/// /dev/ptmx.
fn file_type() -> Option<libc::mode_t> {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: writes a stat into `status`.
    Errno::result(unsafe { libc::fstat(libc::STDERR_FILENO, status.as_mut_ptr()) }).ok()?;
    // SAFETY: zeros are a valid stat, and the kernel has filled it in.
    let status = unsafe { status.assume_init() };
    let kind = status.st_mode & libc::S_IFMT;
    let can_be_reopened = || status.st_rdev != NEW_TERMINAL && tty::is_terminal(libc::STDERR_FILENO);
    (kind != libc::S_IFCHR || can_be_reopened()).then_some(kind)
}

/// /dev/ptmx, of which every open(2) creates a new terminal (pts(4)).
const NEW_TERMINAL: libc::dev_t = libc::makedev(5, 2);

/// Opens stderr once more. `None` if we may not: it was opened as another user, or there is no
/// /proc.
fn reopen() -> Option<OwnedFd> {
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a C string; without O_CREAT there is no further argument.
    fds::own(unsafe { libc::open(c"/proc/self/fd/2".as_ptr(), flags) }).ok()
}

fn write_without_waiting(slices: &[IoSlice<'_>]) -> Written {
    /// At the current position; both halves of the number.
    const HERE: libc::c_long = -1;
    let fd = libc::STDERR_FILENO;
    // musl's function for it is a new one.
    // SAFETY: `slices` are that many iovecs (IoSlice promises their layout) over memory that is
    // borrowed here.
    let result = unsafe {
        libc::syscall(libc::SYS_pwritev2, fd, slices.as_ptr(), slices.len(), HERE, HERE, libc::RWF_NOWAIT)
    };
    // Of that a `long` is a `isize`.
    count(isize::try_from(result).unwrap_or(-1))
}

fn write_vector(fd: RawFd, slices: &[IoSlice<'_>]) -> Written {
    let number = c_int::try_from(slices.len()).unwrap_or(0);
    // SAFETY: as above.
    match count(unsafe { libc::writev(fd, slices.as_ptr().cast(), number) }) {
        // A sandbox may refuse writev(2).
        Err(Errno::EPERM | Errno::ENOSYS | Errno::EACCES | Errno::EINVAL | Errno::ENOMEM | Errno::EINTR) => {
            write_first(fd, slices)
        }
        result => result,
    }
}

fn write_first(fd: RawFd, slices: &[IoSlice<'_>]) -> Written {
    let Some(slice) = slices.iter().find(|slice| !slice.is_empty()) else { return Ok(0) };
    // SAFETY: reads that many bytes of the slice.
    count(unsafe { libc::write(fd, slice.as_ptr().cast(), slice.len()) })
}

fn send(slices: &mut [IoSlice<'_>]) -> Written {
    // SAFETY: zeros are a valid msghdr, of no address, no data and no control message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = slices.as_mut_ptr().cast();
    #[allow(clippy::useless_conversion)] // musl has another type there.
    let number = slices.len().try_into().unwrap_or(0);
    message.msg_iovlen = number;
    // SAFETY: reads the message, and the memory that its slices borrow.
    count(unsafe { libc::sendmsg(libc::STDERR_FILENO, &raw const message, libc::MSG_DONTWAIT) })
}

fn count(result: isize) -> Written {
    Errno::result(result).map(isize::cast_unsigned)
}

/// The time for a reader to make room for a line.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of times that stderr may be ready without taking a byte before we pause: a terminal with room
/// for one byte takes no newline.
const FALSE_ALARMS: u32 = 8;
/// In milliseconds.
const PAUSE: u16 = 10;

/// Whether the last line was lost: the next one does not wait for the same reader.
static WAITED_IN_VAIN: AtomicBool = AtomicBool::new(false);

/// Waits for room for a line: for a second at most, and not again for the same reader. A terminal held by
/// Ctrl-S, or a full pipe that is not read, must not delay signals.
#[derive(Default)]
struct Patience {
    end: Option<Instant>,
    waits: u32,
}

impl Patience {
    /// Whether to try a write. False if the time is over.
    fn waits_for_room(&mut self, fd: RawFd) -> bool {
        let patience = if WAITED_IN_VAIN.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        let now = Instant::now();
        let end = *self.end.get_or_insert_with(|| now.checked_add(patience).unwrap_or(now));
        let left = end.saturating_duration_since(now);
        let in_vain = left.is_zero() && self.waits > 0 || {
            if self.has_false_alarms() {
                pause();
            }
            !becomes_writable(fd, left)
        };
        self.waits = self.waits.saturating_add(1);
        WAITED_IN_VAIN.store(in_vain, Ordering::Relaxed);
        !in_vain
    }

    /// Whether stderr was ready too often without taking a byte.
    fn has_false_alarms(&self) -> bool {
        self.waits > FALSE_ALARMS
    }
}

/// poll(2). If it fails (a sandbox refuses it, or we were stopped meanwhile), a write is tried.
fn becomes_writable(fd: RawFd, patience: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // Rounded up, so that it doesn't end before the time is over.
    let milliseconds = patience.as_micros().div_ceil(1000).try_into().unwrap_or(0);
    // SAFETY: one pollfd, which lives through the call.
    let result = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    result != 0
}

fn pause() {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(PAUSE).saturating_mul(1_000_000) };
    // SAFETY: reads a timespec; what is left of it isn't asked for.
    unsafe { libc::nanosleep(&raw const pause, ptr::null_mut()) };
}

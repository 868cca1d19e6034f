//! Gives up and takes controlling terminals (`tty_ioctl(4)`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;
use nix::sys::termios::tcgetsid;
use nix::unistd::{getpgrp, getpid, getsid, tcgetpgrp, tcsetpgrp};

use super::fds;

mod raw {
    nix::ioctl_none_bad!(give_up, libc::TIOCNOTTY);
    nix::ioctl_write_int_bad!(take, libc::TIOCSCTTY);
    nix::ioctl_read_bad!(size, libc::TIOCGWINSZ, libc::winsize);
}

/// Gives up the controlling terminal. If a session leader does so, another session can take the terminal,
/// and its foreground process group receives SIGHUP and SIGCONT. Fails with ENOTTY if `fd` is not ours.
pub(crate) fn give_up(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: TIOCNOTTY has no argument.
    unsafe { raw::give_up(fd.as_raw_fd()) }.map(drop)
}

/// Makes a terminal the controlling one of the session that this process leads, and this process's group its
/// foreground group. Fails with EPERM if another session has it.
pub(crate) fn take(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: TIOCSCTTY's argument is a number; with 0 it is not taken from another session.
    unsafe { raw::take(fd.as_raw_fd(), 0) }.map(drop)
}

/// Makes our process group the foreground group of a terminal.
pub(crate) fn take_foreground(fd: BorrowedFd<'_>) -> nix::Result<()> {
    tcsetpgrp(fd, getpgrp())
}

pub(crate) fn we_lead_our_session() -> bool {
    getsid(None) == Ok(getpid())
}

/// Whether our session has a controlling terminal (tty(4)).
pub(crate) fn we_have_one() -> bool {
    fds::open(c"/dev/tty").is_ok() || tcgetsid(fds::STDIN).is_ok_and(|session| getsid(None) == Ok(session))
}

/// Whether our process group is in the foreground of our controlling terminal, so that it receives the
/// signals of keys. `None` if that is unknown.
pub(crate) fn is_our_group_in_foreground() -> Option<bool> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let terminal = match fcntl::open(c"/dev/tty", flags, Mode::empty()) {
        // There is no controlling terminal.
        Err(Errno::ENXIO) => return Some(false),
        terminal => terminal.ok(),
    };
    // The kernel does not report the foreground group of a terminal that is not ours.
    let fds = terminal.iter().map(AsFd::as_fd).chain([fds::STDIN, fds::STDOUT, fds::STDERR]);
    fds.into_iter().find_map(|fd| tcgetpgrp(fd).ok()).map(|group| group == getpgrp())
}

/// The number of columns of the terminal at standard output, if it is one.
pub(crate) fn width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: writes a winsize.
    unsafe { raw::size(fds::STDOUT.as_raw_fd(), &raw mut size) }.ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

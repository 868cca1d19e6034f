//! How is a controlling terminal given up and taken (`tty_ioctl(4)`)?

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::termios::tcgetsid;
use nix::unistd::{Pid, getpgrp, getpid, getsid};

use super::fds;

mod raw {
    nix::ioctl_none_bad!(give_up, libc::TIOCNOTTY);
    nix::ioctl_write_int_bad!(take, libc::TIOCSCTTY);
    nix::ioctl_read_bad!(size, libc::TIOCGWINSZ, libc::winsize);
}

/// Gives up the controlling terminal, if `fd` is it. Where a session leader does so, the terminal is free for another
/// session, and its foreground process group is sent SIGHUP and SIGCONT.
///
/// # Errors
/// ENOTTY where it is no terminal or not the controlling one, EBADF.
pub(crate) fn give_up(fd: RawFd) -> nix::Result<()> {
    // SAFETY: TIOCNOTTY has no argument.
    unsafe { raw::give_up(fd) }.map(drop)
}

/// Makes the terminal `fd` the controlling terminal of the session that this process leads, and this process's group
/// its foreground group.
///
/// # Errors
/// ENOTTY where it is no terminal, EPERM where it belongs to another session, EBADF.
pub(crate) fn take(fd: RawFd) -> nix::Result<()> {
    // SAFETY: TIOCSCTTY's argument is a number; 0 asks not to take it from another session.
    unsafe { raw::take(fd, 0) }.map(drop)
}

/// Makes the process group of this process the foreground group of the terminal `fd` (tcsetpgrp(3)).
///
/// # Errors
/// ENOTTY where it is not the controlling terminal, EBADF.
pub(crate) fn take_foreground(fd: RawFd) -> nix::Result<()> {
    // nix wants one that is open. SAFETY: tcsetpgrp(3) touches no memory of ours.
    Errno::result(unsafe { libc::tcsetpgrp(fd, getpgrp().as_raw()) }).map(drop)
}

/// Does this process lead its session?
pub(crate) fn we_lead_our_session() -> bool {
    getsid(None) == Ok(getpid())
}

/// Whether our session has a controlling terminal (tty(4)).
pub(crate) fn we_have_one() -> bool {
    fds::open(c"/dev/tty").is_ok() || tcgetsid(io::stdin()).is_ok_and(|session| getsid(None) == Ok(session))
}

/// Whether our process group is in the foreground of our controlling terminal, so that it receives the
/// signals of keys. `None` if that is unknown.
pub(crate) fn is_our_group_in_foreground() -> Option<bool> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a C string; without O_CREAT there is no further argument.
    let terminal = fds::own(unsafe { libc::open(c"/dev/tty".as_ptr(), flags) });
    let opened = match &terminal {
        Ok(terminal) => Some(terminal.as_raw_fd()),
        // There is no controlling terminal.
        Err(Errno::ENXIO) => return Some(false),
        Err(_) => None,
    };
    // The kernel does not report the foreground group of a terminal that is not ours.
    let standard = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
    opened.into_iter().chain(standard).find_map(foreground).map(|group| group == getpgrp())
}

/// tcgetpgrp(3).
fn foreground(fd: RawFd) -> Option<Pid> {
    // nix wants one that is open. SAFETY: tcgetpgrp(3) accesses no memory of ours.
    Errno::result(unsafe { libc::tcgetpgrp(fd) }).ok().map(Pid::from_raw)
}

/// How many columns a terminal has. `None` where it is no terminal, or doesn't tell (`tty_ioctl(4)`).
pub(crate) fn width(fd: RawFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: writes a winsize.
    unsafe { raw::size(fd, &raw mut size) }.ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Is it a terminal, be it ours or not?
pub(crate) fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: isatty(3) touches no memory of ours.
    unsafe { libc::isatty(fd) == 1 }
}

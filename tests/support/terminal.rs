//! A pseudo-terminal, of which a test is the person in front.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use super::output::Output;

/// Master of a pseudo-terminal.
pub struct Terminal(File);

impl Terminal {
    /// Opens a terminal. Returns also its path for programs, and its output.
    pub fn open() -> (Self, String, Output) {
        let master =
            posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a pseudo-terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        // Without echo, it shows only the output of programs.
        let mut settings = tcgetattr(&master).expect("tcgetattr");
        settings.local_flags.remove(LocalFlags::ECHO);
        // A key for a signal would discard output that has not been read yet.
        settings.local_flags.insert(LocalFlags::NOFLSH);
        tcsetattr(&master, SetArg::TCSANOW, &settings).expect("tcsetattr");
        let path = ptsname_r(&master).expect("ptsname");
        let master = File::from(std::os::fd::OwnedFd::from(master));
        let output = Output::of(master.try_clone().expect("dup"));
        (Self(master), path, output)
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: reads a winsize.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.0.write_all(keys.as_bytes()).expect("a key");
    }

    /// Hangs up, as the kernel does when the last copy of the master is closed (vhangup(2)). Only root may.
    pub fn hang_up(&self) {
        // SAFETY: returns a new descriptor of the other end, and touches no memory.
        let peer =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY) };
        assert!(peer >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: nothing else has it.
        let peer = unsafe { OwnedFd::from_raw_fd(peer) };
        // SAFETY: TIOCVHANGUP has no argument.
        let result = unsafe { libc::ioctl(peer.as_raw_fd(), TIOCVHANGUP) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
}

/// asm-generic/ioctls.h
const TIOCVHANGUP: libc::Ioctl = 0x5437;

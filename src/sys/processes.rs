//! Which processes are there?
//!
//! /proc says, where it is mounted and shows them. Read without memory from the heap, since there may be none when PID 1
//! has to know.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid};

/// Room for some sixty entries of /proc at a time.
const BUFFER_BYTES: usize = 2048;
/// getdents64(2): where an entry has its own length, and where its name begins.
const LENGTH_AT: usize = 16;
const NAME_AT: usize = 19;

/// The members of a process group that /proc shows. None where there is no /proc.
pub(crate) fn members_of_group(group: Pid) -> impl Iterator<Item = Pid> {
    // ESRCH where a process has ended meanwhile.
    Processes::open().into_iter().flatten().filter(move |&pid| getpgid(Some(pid)) == Ok(group))
}

/// Reads the PIDs in /proc.
struct Processes {
    directory: OwnedFd,
    buffer: [u8; BUFFER_BYTES],
    filled: usize,
    at: usize,
}

impl Processes {
    fn open() -> Option<Self> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: the path is a C string; without O_CREAT there is no further argument.
        let fd = Errno::result(unsafe { libc::open(c"/proc".as_ptr(), flags) }).ok()?;
        // SAFETY: open(2) has just returned it; nothing else knows it.
        let directory = unsafe { OwnedFd::from_raw_fd(fd) };
        Some(Self { directory, buffer: [0; BUFFER_BYTES], filled: 0, at: 0 })
    }

    /// Reads further entries. False at the end.
    fn fill(&mut self) -> bool {
        let fd: c_int = self.directory.as_raw_fd();
        // SAFETY: writes as many bytes into the buffer as it has room for.
        let count = unsafe { libc::syscall(libc::SYS_getdents64, fd, self.buffer.as_mut_ptr(), BUFFER_BYTES) };
        self.filled = usize::try_from(count).unwrap_or(0);
        self.at = 0;
        self.filled > 0
    }
}

impl Iterator for Processes {
    type Item = Pid;

    fn next(&mut self) -> Option<Pid> {
        loop {
            if self.at >= self.filled && !self.fill() {
                return None;
            }
            let entry = self.buffer.get(self.at..self.filled)?;
            let length = entry.get(LENGTH_AT..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
            let name = entry.get(NAME_AT..)?.split(|&byte| byte == 0).next()?;
            let pid = str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            // An entry without a length would be read for ever.
            self.at = self.at.saturating_add(usize::from(length).max(NAME_AT));
            if let Some(pid) = pid {
                return Some(Pid::from_raw(pid));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpgrp, getpid};

    use super::*;

    #[test]
    fn a_process_is_a_member_of_its_group_and_every_process_is_seen_once() {
        assert!(members_of_group(getpgrp()).any(|pid| pid == getpid()));
        let seen: Vec<Pid> = Processes::open().into_iter().flatten().collect();
        let once: std::collections::HashSet<&Pid> = seen.iter().collect();
        assert_eq!(seen.len(), once.len());
        assert!(once.contains(&Pid::from_raw(1)));
    }
}

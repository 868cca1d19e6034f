//! How is /proc read?
//!
//! Without memory from the heap, since there may be none when PID 1 has to know.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

/// Room for some sixty entries of /proc at a time.
const BUFFER_BYTES: usize = 2048;
/// getdents64(2): where an entry has its own length, and where its name begins.
const LENGTH_AT: usize = 16;
const NAME_AT: usize = 19;

/// A path in /proc, on the stack.
pub(crate) struct Path([u8; 64]);

impl Path {
    /// `/proc/PID/NAME`. `None` where the name is too long.
    pub(crate) fn of(pid: Pid, name: &str) -> Option<Self> {
        let mut path = Self([0; 64]);
        write!(io::Cursor::new(path.0.as_mut_slice()), "/proc/{pid}/{name}\0").ok()?;
        Some(path)
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Reads as much of `/proc/PID/NAME` as there is room for. `None` where the process is gone, or hides it.
pub(crate) fn read_of<'a>(pid: Pid, name: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    read(Path::of(pid, name)?.as_c_str(), buffer)
}

/// Reads as much of a file as there is room for.
pub(crate) fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let count = fill(&mut open(path)?, buffer)?;
    buffer.get(..count)
}

fn open(path: &CStr) -> Option<File> {
    // SAFETY: the path is a C string; without O_CREAT there is no further argument.
    let fd = Errno::result(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }).ok()?;
    // SAFETY: open(2) has just returned it; nothing else knows it.
    Some(unsafe { File::from_raw_fd(fd) })
}

/// Reads until the buffer is full, or the file is at its end.
fn fill(file: &mut File, buffer: &mut [u8]) -> Option<usize> {
    let mut filled: usize = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // ESRCH: it has ended while it was read.
            Err(_) => return None,
        }
    }
    Some(filled)
}

/// Reads all of a file, which may be long. `None` also where there is no memory for it.
pub(crate) fn read_whole(path: &CStr) -> Option<Vec<u8>> {
    let mut file = open(path)?;
    let mut whole = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = fill(&mut file, &mut buffer)?;
        whole.try_reserve(count).ok()?;
        whole.extend_from_slice(buffer.get(..count)?);
        if count < buffer.len() {
            return Some(whole);
        }
    }
}

/// Has a file this text in it, which is a short one? `None` where it can't be read.
pub(crate) fn contains(path: &Path, text: &[u8]) -> Option<bool> {
    let mut file = open(path.as_c_str())?;
    let mut buffer = [0; 4096];
    // So much is kept of what was read before, since the text may begin there.
    let kept = text.len().saturating_sub(1);
    loop {
        let count = fill(&mut file, buffer.get_mut(kept..)?)?;
        let end = kept.saturating_add(count);
        if buffer.get(..end)?.windows(text.len()).any(|part| part == text) {
            return Some(true);
        }
        if end < buffer.len() {
            return Some(false);
        }
        buffer.copy_within(end.saturating_sub(kept).., 0);
    }
}

/// Where a link leads, as far as there is room for it.
pub(crate) fn link_target<'a>(path: &Path, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    read_link(path.as_c_str(), buffer)
}

fn read_link<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    // SAFETY: the path is a C string; writes as many bytes into the buffer as it has room for.
    let length = unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.get(..usize::try_from(length).ok()?)
}

/// A file, whatever leads to it: its device and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(libc::dev_t, libc::ino_t);

/// The file that we were executed from.
pub(crate) fn our_file() -> Option<FileId> {
    stat(c"/proc/self/exe").map(|stat| FileId(stat.st_dev, stat.st_ino))
}

/// What this link in /proc leads to.
pub(crate) fn file_behind(path: &Path) -> Option<FileId> {
    stat(path.as_c_str()).map(|stat| FileId(stat.st_dev, stat.st_ino))
}

/// The same, if it is a pipe, be it with a name or without (fifo(7), pipe(7)).
pub(crate) fn pipe_behind(path: &Path) -> Option<FileId> {
    let stat = stat(path.as_c_str()).filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO)?;
    Some(FileId(stat.st_dev, stat.st_ino))
}

fn stat(path: &CStr) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the path is a C string; writes a stat.
    Errno::result(unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) }).ok()?;
    // SAFETY: stat(2) has filled it in.
    Some(unsafe { stat.assume_init() })
}

/// The PIDs that /proc shows. `None` where there is no /proc, or that of another PID namespace: its numbers are others'.
pub(crate) fn pids() -> Option<impl Iterator<Item = Pid>> {
    let mut target = [0; 32];
    let number = read_link(c"/proc/self", &mut target)?;
    let is_ours = str::from_utf8(number).ok()?.parse() == Ok(getpid().as_raw());
    if is_ours { Pids::open() } else { None }
}

struct Pids {
    directory: OwnedFd,
    buffer: [u8; BUFFER_BYTES],
    filled: usize,
    at: usize,
}

impl Pids {
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

impl Iterator for Pids {
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
    use super::*;

    #[test]
    fn every_process_is_seen_once() {
        let seen: Vec<Pid> = pids().into_iter().flatten().collect();
        let once: std::collections::HashSet<&Pid> = seen.iter().collect();
        assert_eq!(seen.len(), once.len());
        assert!(once.contains(&Pid::from_raw(1)) && once.contains(&getpid()));
    }

    #[test]
    fn a_file_is_read_as_far_as_there_is_room() {
        let mut buffer = [0; 8];
        assert_eq!(read(c"/proc/version", &mut buffer), Some(&b"Linux ve"[..]));
        let text = b"a text that only this file has in it, in this place";
        let ours = Path::of(getpid(), "exe").unwrap();
        assert_eq!(contains(&ours, text), Some(true));
        assert_eq!(contains(&ours, &text.map(|byte| byte ^ 0x5a)), Some(false));
        assert_eq!(contains(&Path::of(getpid(), "no such file").unwrap(), text), None);
        assert_eq!(read(c"/proc/no such file", &mut buffer), None);
    }
}

//! Reads /proc. Only lists need heap memory, which a shutdown may lack.

use std::ffi::{CStr, c_int};
use std::io::Write;
use std::ops::Deref;
use std::os::fd::OwnedFd;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{Mode, lstat, stat};
use nix::unistd::{self, Pid, getpid};

use super::uninterrupted;

/// A path in /proc, on the stack.
pub(crate) struct Path([u8; 64]);

impl Path {
    /// `/proc/PID/NAME`. `None` if the name is too long.
    pub(crate) fn of(pid: Pid, name: &str) -> Option<Self> {
        let mut path = Self([0; 64]);
        write!(path.0.as_mut_slice(), "/proc/{pid}/{name}\0").ok()?;
        Some(path)
    }
}

impl Deref for Path {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Reads `/proc/PID/NAME` by one read(2), which is enough for a file of one line that fits the buffer.
/// Fails with ENOENT or ESRCH if the process is gone, EACCES or EPERM if it is another user's.
pub(crate) fn read_of<'a>(pid: Pid, name: &str, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let file = open(&Path::of(pid, name).ok_or(Errno::ENAMETOOLONG)?)?;
    let count = read(&file, buffer)?;
    buffer.get(..count).ok_or(Errno::EIO)
}

/// The letter for the state of a process (proc_pid_stat(5)). `None` if it is gone or hidden.
pub(super) fn state_of(pid: Pid) -> Option<u8> {
    let mut buffer = [0; 128];
    let text = read_of(pid, "stat", &mut buffer).ok()?;
    // The name may contain brackets; no bracket follows it.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    text.get(end.checked_add(2)?).copied()
}

/// Whether a process has executed a program since it was forked, or has exited (the flag PF_FORKNOEXEC in
/// proc_pid_stat(5)). `None` if that is unknown.
pub(super) fn has_executed(pid: Pid) -> Option<bool> {
    const FORKED_WITHOUT_EXEC: u64 = 0x40;
    let mut buffer = [0; 128];
    let text = std::str::from_utf8(read_of(pid, "stat", &mut buffer).ok()?).ok()?;
    let mut fields = text.get(text.rfind(')')?..)?.split_ascii_whitespace().skip(1);
    let has_exited = fields.next()? == "Z";
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    Some(has_exited || flags & FORKED_WITHOUT_EXEC == 0)
}

fn open(path: &CStr) -> nix::Result<OwnedFd> {
    fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

fn read(file: &OwnedFd, buffer: &mut [u8]) -> nix::Result<usize> {
    uninterrupted(|| unistd::read(file, buffer))
}

/// Reads until the buffer is full, or until the end of the file.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> nix::Result<usize> {
    let mut filled: usize = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match read(file, free)? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    Ok(filled)
}

/// The PIDs of our children, zombies included, from the list that the kernel keeps (proc_tid_children(5)).
/// Some may be missing if children exit meanwhile. Fails with ENOENT without CONFIG_PROC_CHILDREN.
pub(crate) fn children() -> nix::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for_each_child(|child| {
        children.push(child);
        Ok(())
    })?;
    Ok(children)
}

/// Calls `run` with each child, without heap memory.
pub(crate) fn for_each_child(mut run: impl FnMut(Pid) -> nix::Result<()>) -> nix::Result<()> {
    let file = open(c"/proc/thread-self/children")?;
    let mut buffer = [0; 4096];
    // The beginning of a number whose rest is read next.
    let mut number: Option<i32> = None;
    loop {
        let count = fill(&file, &mut buffer)?;
        for &byte in buffer.get(..count).unwrap_or_default() {
            if byte.is_ascii_digit() {
                let digit = i32::from(byte.wrapping_sub(b'0'));
                number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            } else if let Some(pid) = number.take() {
                run(Pid::from_raw(pid))?;
            }
        }
        if count < buffer.len() {
            return Ok(());
        }
    }
}

/// Whether a file contains a short text. `None` if it cannot be read.
pub(crate) fn contains(path: &CStr, text: &[u8]) -> Option<bool> {
    let file = open(path).ok()?;
    let mut buffer = [0; 4096];
    // The end of the last part is kept, since the text may begin there.
    let kept = text.len().saturating_sub(1);
    loop {
        let count = fill(&file, buffer.get_mut(kept..)?).ok()?;
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

/// The text of a link, which is not followed, as far as it fits the buffer.
pub(crate) fn link_target<'a>(path: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    // SAFETY: the path is a C string; at most `buffer.len()` bytes are written to the buffer.
    let length = unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.get(..usize::try_from(Errno::result(length)?).unwrap_or(0)).ok_or(Errno::EIO)
}

/// Whether a descriptor is open for reading and for writing, as the mode of its link in /proc/PID/fd says.
/// The link is not followed. In gVisor, which does not say, both.
pub(crate) fn access(link: &CStr) -> nix::Result<(bool, bool)> {
    let mode = Mode::from_bits_truncate(lstat(link)?.st_mode);
    Ok((mode.contains(Mode::S_IRUSR), mode.contains(Mode::S_IWUSR)))
}

/// The device and inode of a file, which are the same under any name.
pub(crate) fn file_id(path: &CStr) -> Option<(libc::dev_t, libc::ino_t)> {
    stat(path).ok().map(|status| (status.st_dev, status.st_ino))
}

/// The PIDs that /proc shows. The directory is closed before they are returned, so that one free descriptor
/// is enough to list processes and to read them. Fails with ENOENT if there is no /proc, or that of another
/// PID namespace, whose numbers mean other processes.
pub(crate) fn pids() -> nix::Result<Vec<Pid>> {
    let mut target = [0; 32];
    if parse(link_target(c"/proc/self", &mut target)?) != Some(getpid().as_raw()) {
        return Err(Errno::ENOENT);
    }
    numbers_in(c"/proc", Pid::from_raw)
}

pub(crate) fn descriptors(pid: Pid) -> nix::Result<Vec<c_int>> {
    numbers_in(&Path::of(pid, "fd").ok_or(Errno::ENAMETOOLONG)?, |number| number)
}

fn parse(number: &[u8]) -> Option<i32> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The entries of a directory whose names are numbers.
fn numbers_in<T>(path: &CStr, make: impl Fn(i32) -> T) -> nix::Result<Vec<T>> {
    let mut directory = Dir::open(path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut numbers = Vec::new();
    for entry in directory.iter() {
        if let Some(number) = parse(entry?.file_name().to_bytes()) {
            numbers.push(make(number));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_across_the_whole_file() {
        let text = b"a text that only this file has in it, in this place";
        let ours = Path::of(getpid(), "exe").unwrap();
        assert_eq!(contains(&ours, text), Some(true));
        assert_eq!(contains(&ours, &text.map(|byte| byte ^ 0x5a)), Some(false));
        assert_eq!(contains(&Path::of(getpid(), "no such file").unwrap(), text), None);
    }
}

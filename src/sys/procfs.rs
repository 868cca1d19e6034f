//! Reads /proc. Only lists need heap memory.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};

use nix::errno::Errno;
use nix::sys::stat::{Mode, lstat};
use nix::unistd::{Pid, getpid};

use super::uninterrupted;

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

/// Reads as much of `/proc/PID/NAME` as there is room for.
///
/// # Errors
/// open(2), read(2): ENOENT or ESRCH if the process is gone, EACCES or EPERM if it is another user's.
pub(crate) fn read_of<'a>(pid: Pid, name: &str, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let mut file = open(Path::of(pid, name).ok_or(Errno::ENAMETOOLONG)?.as_c_str(), 0)?;
    let count = fill(&mut file, buffer)?;
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

fn open(path: &CStr, flags: c_int) -> nix::Result<File> {
    // SAFETY: the path is a C string; without O_CREAT there is no further argument.
    let fd = Errno::result(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC | flags) })?;
    // SAFETY: open(2) has just returned it; nothing else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Reads `/proc/PID/NAME` by one read(2), which is enough for a file of one line that fits the buffer.
///
/// # Errors
/// As [`read_of`].
pub(crate) fn read_line_of<'a>(pid: Pid, name: &str, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    let mut file = open(Path::of(pid, name).ok_or(Errno::ENAMETOOLONG)?.as_c_str(), 0)?;
    let count = uninterrupted(|| file.read(buffer).map_err(errno_of))?;
    buffer.get(..count).ok_or(Errno::EIO)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Reads until the buffer is full, or the file is at its end.
fn fill(file: &mut File, buffer: &mut [u8]) -> nix::Result<usize> {
    let mut filled: usize = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        // ESRCH: it has ended while it was read.
        match uninterrupted(|| file.read(free).map_err(errno_of))? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    Ok(filled)
}

/// The PIDs of our children, zombies included, from the list that the kernel keeps of them
/// (proc_tid_children(5)). Some may be missing if children exit meanwhile.
///
/// # Errors
/// ENOENT if the kernel has no such list (CONFIG_PROC_CHILDREN); open(2), read(2); ENOMEM.
pub(crate) fn children() -> nix::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for_each_child(|child| {
        children.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        children.push(child);
        Ok(())
    })?;
    Ok(children)
}

/// The same, one after the other and without heap memory.
///
/// # Errors
/// As [`children`], and those of `run`.
pub(crate) fn for_each_child(mut run: impl FnMut(Pid) -> nix::Result<()>) -> nix::Result<()> {
    let mut file = open(c"/proc/thread-self/children", 0)?;
    let mut buffer = [0; 4096];
    // The beginning of a number whose rest is read next.
    let mut number: Option<i32> = None;
    loop {
        let count = fill(&mut file, &mut buffer)?;
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

/// Has a file this text in it, which is a short one? `None` where it can't be read.
pub(crate) fn contains(path: &Path, text: &[u8]) -> Option<bool> {
    let mut file = open(path.as_c_str(), 0).ok()?;
    let mut buffer = [0; 4096];
    // So much is kept of what was read before, since the text may begin there.
    let kept = text.len().saturating_sub(1);
    loop {
        let count = fill(&mut file, buffer.get_mut(kept..)?).ok()?;
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

/// The text of a link, as far as there is room for it. The link is not followed.
///
/// # Errors
/// readlink(2).
pub(crate) fn link_target<'a>(path: &Path, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    read_link(path.as_c_str(), buffer)
}

fn read_link<'a>(path: &CStr, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
    // SAFETY: the path is a C string; writes as many bytes into the buffer as it has room for.
    let length =
        Errno::result(unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })?;
    buffer.get(..usize::try_from(length).unwrap_or(0)).ok_or(Errno::EIO)
}

/// Whether a descriptor is open for reading and for writing, as the mode of its link in /proc/PID/fd says.
/// The link is not followed. In gVisor, which does not say, both.
///
/// # Errors
/// lstat(2).
pub(crate) fn access(link: &Path) -> nix::Result<(bool, bool)> {
    let mode = Mode::from_bits_truncate(lstat(link.as_c_str())?.st_mode);
    Ok((mode.contains(Mode::S_IRUSR), mode.contains(Mode::S_IWUSR)))
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

fn stat(path: &CStr) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the path is a C string; writes a stat.
    Errno::result(unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) }).ok()?;
    // SAFETY: stat(2) has filled it in.
    Some(unsafe { stat.assume_init() })
}

/// The PIDs that /proc shows. The directory is closed before they are returned, so that one free descriptor
/// is enough to list processes and to read them.
///
/// # Errors
/// ENOENT if there is no /proc, or that of another PID namespace, whose numbers mean other processes;
/// open(2), getdents64(2), ENOMEM.
pub(crate) fn pids() -> nix::Result<Vec<Pid>> {
    let mut target = [0; 32];
    let ours = read_link(c"/proc/self", &mut target)?;
    if parse(ours) != Some(getpid().as_raw()) {
        return Err(Errno::ENOENT);
    }
    numbers_in(c"/proc", Pid::from_raw)
}

/// The numbers of a process's open descriptors.
///
/// # Errors
/// As [`read_of`].
pub(crate) fn descriptors(pid: Pid) -> nix::Result<Vec<c_int>> {
    numbers_in(Path::of(pid, "fd").ok_or(Errno::ENAMETOOLONG)?.as_c_str(), |number| number)
}

fn parse(number: &[u8]) -> Option<i32> {
    str::from_utf8(number).ok()?.parse().ok()
}

/// The entries of a directory whose names are numbers (getdents64(2)).
fn numbers_in<T>(path: &CStr, make: impl Fn(i32) -> T) -> nix::Result<Vec<T>> {
    let directory = open(path, libc::O_DIRECTORY)?;
    let fd: c_int = directory.as_raw_fd();
    let mut buffer = [0u8; BUFFER_BYTES];
    let mut numbers = Vec::new();
    loop {
        let count = uninterrupted(|| {
            // SAFETY: writes as many bytes into the buffer as it has room for.
            Errno::result(unsafe {
                libc::syscall(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), BUFFER_BYTES)
            })
        })?;
        if count == 0 {
            return Ok(numbers);
        }
        let mut entries = buffer.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default();
        while let Some(length) =
            entries.get(LENGTH_AT..).and_then(|rest| rest.first_chunk().copied()).map(u16::from_ne_bytes)
        {
            let name = entries.get(NAME_AT..).and_then(|rest| rest.split(|&byte| byte == 0).next());
            if let Some(number) = name.and_then(parse) {
                numbers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                numbers.push(make(number));
            }
            // An entry without a length would be read for ever.
            entries = entries.get(usize::from(length).max(NAME_AT)..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_is_listed_once() {
        let listed = pids().unwrap();
        let once: std::collections::HashSet<&Pid> = listed.iter().collect();
        assert_eq!(listed.len(), once.len());
        assert!(once.contains(&Pid::from_raw(1)) && once.contains(&getpid()));
    }

    #[test]
    fn our_children_are_listed() {
        let mut children_of_ours: Vec<_> =
            (0..2).map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap()).collect();
        let listed = children().unwrap();
        for child in &mut children_of_ours {
            assert!(listed.contains(&Pid::from_raw(child.id().cast_signed())));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_file_is_searched_and_a_link_read() {
        let mut buffer = [0; 8];
        assert_eq!(read_of(getpid(), "comm", &mut buffer).unwrap().len(), 8);
        let text = b"a text that only this file has in it, in this place";
        let ours = Path::of(getpid(), "exe").unwrap();
        assert_eq!(contains(&ours, text), Some(true));
        assert_eq!(contains(&ours, &text.map(|byte| byte ^ 0x5a)), Some(false));
        assert_eq!(contains(&Path::of(getpid(), "no such file").unwrap(), text), None);
        assert_eq!(read_of(getpid(), "no such file", &mut buffer), Err(Errno::ENOENT));
    }

    #[test]
    fn the_ends_of_a_pipe_are_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        let end = |fd: c_int| access(&Path::of(getpid(), &format!("fd/{fd}")).unwrap());
        assert_eq!(end(reader.as_raw_fd()), Ok((true, false)));
        assert_eq!(end(writer.as_raw_fd()), Ok((false, true)));
    }
}

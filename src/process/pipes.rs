//! Reads which pipes a process has open.
//!
//! Pipes are recognised by the text of the links in /proc/PID/fd, which are not followed.

use std::ffi::c_int;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::Unseen;
use crate::sys::procfs::{self, Path};

/// A pipe or FIFO, by a hash of its link's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pipe(pub(super) u64);

impl Pipe {
    /// The pipe that the text of a link names: `pipe:[INODE]`, or the path of a file that may be a FIFO. A
    /// device is no pipe.
    fn named(text: &[u8]) -> Option<Self> {
        let is_device = text.starts_with(b"/dev/") && !text.starts_with(b"/dev/shm/");
        let is_pipe = text.starts_with(b"pipe:[") || (text.starts_with(b"/") && !is_device);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        is_pipe.then(|| Self(hasher.finish()))
    }
}

/// The ends of pipes that a process has as standard input, output and error. `None` for a file or a closed
/// descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) input: Option<Pipe>,
    pub(crate) outputs: [Option<Pipe>; 2],
}

impl Ends {
    /// Reads the standard descriptors of a process. They are hidden if it runs as another user and we lack
    /// CAP_SYS_PTRACE.
    pub(super) fn read(pid: Pid) -> Result<Self, Unseen> {
        let output = |descriptor| pipe_behind(pid, descriptor, Direction::Write);
        let input = pipe_behind(pid, libc::STDIN_FILENO, Direction::Read)?;
        Ok(Self { input, outputs: [output(libc::STDOUT_FILENO)?, output(libc::STDERR_FILENO)?] })
    }

    /// The same for an init. No pipes if they are hidden or the look failed.
    pub(crate) fn of_init(init: Pid) -> Self {
        Self::read(init).unwrap_or_default()
    }

    pub(super) fn writes(&self, pipe: Pipe) -> bool {
        self.outputs.contains(&Some(pipe))
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// The pipe that a process has as standard input. `None` also if that is hidden.
pub(crate) fn input_of(pid: Pid) -> Option<Pipe> {
    pipe_behind(pid, libc::STDIN_FILENO, Direction::Read).ok().flatten()
}

/// The pipe behind a descriptor, if it is open in this direction.
fn pipe_behind(pid: Pid, descriptor: c_int, direction: Direction) -> Result<Option<Pipe>, Unseen> {
    let read = || {
        let link = Path::of(pid, &format!("fd/{descriptor}")).ok_or(Errno::ENAMETOOLONG)?;
        let Some(pipe) = Pipe::named(procfs::link_target(&link, &mut [0; 512])?) else { return Ok(None) };
        let (reads, writes) = procfs::access(&link)?;
        let is_open = match direction {
            Direction::Read => reads,
            Direction::Write => writes,
        };
        Ok(is_open.then_some(pipe))
    };
    match read().map_err(|errno: Errno| Unseen::from(errno)) {
        // The descriptor is closed. With hidepid, the descriptors of hidden processes look so, too.
        Err(Unseen::Gone) => Ok(None),
        result => result,
    }
}

/// Whether a process reads one of these pipes by any descriptor, or hides its descriptors. A shell that
/// prepares a process substitution has the pipe under another number first.
pub(crate) fn may_read(pid: Pid, pipes: [Option<Pipe>; 2]) -> bool {
    match open_pipes(pid, Direction::Read) {
        Ok(read) => read.into_iter().any(|pipe| pipes.contains(&Some(pipe))),
        Err(unseen) => unseen == Unseen::Hidden && pipes != [None; 2],
    }
}

/// Whether a process still has a pipe as standard output or standard error.
pub(crate) fn still_writes(pid: Pid, pipe: Pipe) -> bool {
    Ends::read(pid).is_ok_and(|ends| ends.writes(pipe))
}

/// The pipes that a process reads by any descriptor. None if it hides them.
pub(crate) fn read_by(pid: Pid) -> Vec<Pipe> {
    let mut pipes = open_pipes(pid, Direction::Read).unwrap_or_default();
    // A pipe that becomes standard input meanwhile is found there in the end.
    pipes.extend(input_of(pid));
    pipes
}

/// The pipes that a process writes to by any descriptor. None if it hides them.
pub(super) fn written_by(pid: Pid) -> Vec<Pipe> {
    open_pipes(pid, Direction::Write).unwrap_or_default()
}

fn open_pipes(pid: Pid, direction: Direction) -> Result<Vec<Pipe>, Unseen> {
    let mut pipes = Vec::new();
    for descriptor in procfs::descriptors(pid)? {
        pipes.extend(pipe_behind(pid, descriptor, direction)?);
    }
    Ok(pipes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::unistd::getpid;

    use super::*;

    #[test]
    fn links_to_pipes_and_files_name_pipes() {
        for text in ["/dev/null", "/dev/pts/0", "socket:[7]", "anon_inode:[eventfd]"] {
            assert_eq!(Pipe::named(text.as_bytes()), None, "{text}");
        }
        let pipes = ["pipe:[4711]", "pipe:[4712]", "/tmp/fifo", "/dev/shm/fifo"]
            .map(|text| Pipe::named(text.as_bytes()));
        for (index, pipe) in pipes.iter().enumerate() {
            assert!(pipe.is_some() && !pipes[..index].contains(pipe));
        }
    }

    #[test]
    fn ends_of_a_pipe_are_found_by_direction() {
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe_of = |fd, direction| pipe_behind(getpid(), fd, direction).unwrap();
        let pipe = pipe_of(reader.as_raw_fd(), Direction::Read);
        assert!(pipe.is_some() && pipe == pipe_of(writer.as_raw_fd(), Direction::Write));
        assert_eq!(pipe_of(reader.as_raw_fd(), Direction::Write), None);
        assert!(may_read(getpid(), [pipe, None]) && read_by(getpid()).contains(&pipe.unwrap()));
        let is_written = || written_by(getpid()).contains(&pipe.unwrap());
        assert!(is_written());
        drop(writer);
        assert!(!is_written());
    }
}

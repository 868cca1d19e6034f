//! Finds the pipe readers among the descendants, which are signalled after their writers.
//!
//! If `app | tee log` receives SIGTERM, `tee` exits at once, and `app` loses its last lines or is killed by
//! SIGPIPE. So a reader is not signalled before its input ends. Pipes are recognised by the text of the links
//! in /proc/PID/fd, which are not followed.

use std::cell::OnceCell;
use std::collections::hash_map::DefaultHasher;
use std::ffi::c_int;
use std::fmt::Write as _;
use std::hash::Hasher;

use nix::unistd::{Pid, getpid};

use super::{Unseen, list_with_capacity};
use crate::sys::procfs::{self, Path};

/// A pipe or FIFO, by its inode or by a hash of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pipe {
    Inode(u64),
    Path(u64),
}

/// The pipes that a process reads and writes by its standard descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) pid: Pid,
    /// The parent, if a [`Pipeline`] is to know it.
    pub(crate) parent: Option<Pid>,
    pub(crate) input: Option<Pipe>,
    pub(crate) outputs: [Option<Pipe>; 2],
}

impl Ends {
    /// Reads the standard descriptors of a process.
    ///
    /// # Errors
    /// [`Unseen`]. Hidden if it runs as another user and we lack CAP_SYS_PTRACE.
    pub(crate) fn read(pid: Pid) -> Result<Self, Unseen> {
        let output = |fd| end(pid, fd, Direction::Write);
        Ok(Self {
            pid,
            parent: None,
            input: input_of(pid)?,
            outputs: [output(libc::STDOUT_FILENO)?, output(libc::STDERR_FILENO)?],
        })
    }

    /// Our own standard descriptors. No pipes if /proc does not show them.
    pub(crate) fn ours() -> Self {
        let pid = getpid();
        Self::read(pid).unwrap_or(Self { pid, parent: None, input: None, outputs: [None; 2] })
    }

    fn writes(&self, pipe: Pipe) -> bool {
        self.outputs.contains(&Some(pipe))
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// The pipe that a process has as standard input.
///
/// # Errors
/// As [`Ends::read`].
pub(crate) fn input_of(pid: Pid) -> Result<Option<Pipe>, Unseen> {
    end(pid, libc::STDIN_FILENO, Direction::Read)
}

/// The pipe that a process has as standard input, also if it is open for writing only. It takes half of the
/// calls of [`input_of`].
pub(crate) fn likely_input_of(pid: Pid) -> Option<Pipe> {
    let mut buffer = [0; 512];
    named(procfs::link_target(&link(pid, libc::STDIN_FILENO)?, &mut buffer).ok()?)
}

/// The pipe behind a descriptor, if it is one that is open in this direction. A closed descriptor is no pipe.
fn end(pid: Pid, descriptor: c_int, direction: Direction) -> Result<Option<Pipe>, Unseen> {
    let Some(link) = link(pid, descriptor) else { return Ok(None) };
    let mut buffer = [0; 512];
    let text = match procfs::link_target(&link, &mut buffer).map_err(Unseen::from) {
        Ok(text) => text,
        // A hidden process's descriptors look closed to others if /proc is mounted with hidepid.
        Err(Unseen::Gone) => return Ok(None),
        Err(unseen) => return Err(unseen),
    };
    let Some(pipe) = named(text) else { return Ok(None) };
    let (reads, writes) = match procfs::access(&link).map_err(Unseen::from) {
        Ok(access) => access,
        Err(Unseen::Gone) => return Ok(None),
        Err(unseen) => return Err(unseen),
    };
    let is_open = match direction {
        Direction::Read => reads,
        Direction::Write => writes,
    };
    Ok(Some(pipe).filter(|_| is_open))
}

fn link(pid: Pid, descriptor: c_int) -> Option<Path> {
    let mut name = String16::default();
    write!(name, "fd/{descriptor}").ok()?;
    Path::of(pid, name.text())
}

/// A short text on the stack.
#[derive(Default)]
struct String16 {
    bytes: [u8; 16],
    len: usize,
}

impl String16 {
    fn text(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl std::fmt::Write for String16 {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let end = self.len.saturating_add(part.len());
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// The pipe that the text of a link names: `pipe:[INODE]`, or the path of a file that may be a FIFO. A device
/// is no pipe.
fn named(text: &[u8]) -> Option<Pipe> {
    if let Some(inode) = text.strip_prefix(b"pipe:[").and_then(|rest| rest.strip_suffix(b"]")) {
        return str::from_utf8(inode).ok()?.parse().ok().map(Pipe::Inode);
    }
    let is_device = text.starts_with(b"/dev/") && !text.starts_with(b"/dev/shm/");
    if !text.starts_with(b"/") || is_device {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    Some(Pipe::Path(hasher.finish()))
}

/// Whether a process reads one of these pipes by any descriptor, or hides its descriptors. A shell that
/// prepares a process substitution has the pipe under another number first.
pub(crate) fn may_read(pid: Pid, pipes: [Option<Pipe>; 2]) -> bool {
    if pipes.iter().all(Option::is_none) {
        return false;
    }
    let is_one = |pipe: Option<Pipe>| pipe.is_some() && pipes.contains(&pipe);
    // We may be allowed to list the directory but not to read its links.
    match procfs::descriptors(pid).map_err(Unseen::from) {
        Ok(descriptors) => descriptors
            .into_iter()
            .any(|descriptor| end(pid, descriptor, Direction::Read).map_or_else(is_hidden, is_one)),
        Err(unseen) => is_hidden(unseen),
    }
}

fn is_hidden(unseen: Unseen) -> bool {
    unseen == Unseen::Hidden
}

/// Whether a process still has a pipe as standard output or standard error.
pub(crate) fn still_writes(pid: Pid, pipe: Pipe) -> bool {
    Ends::read(pid).is_ok_and(|ends| ends.writes(pipe))
}

/// The pipes that a process has open in this direction, by any descriptor. None if it hides them.
fn open_pipes(pid: Pid, direction: Direction) -> impl Iterator<Item = Pipe> {
    let descriptors = procfs::descriptors(pid).unwrap_or_default();
    descriptors.into_iter().filter_map(move |descriptor| end(pid, descriptor, direction).ok().flatten())
}

/// The pipes that a process reads by any descriptor. One that becomes its standard input meanwhile is found
/// there in the end.
fn read_pipes(pid: Pid) -> impl Iterator<Item = Pipe> {
    open_pipes(pid, Direction::Read)
        .chain(std::iter::once_with(move || input_of(pid).ok().flatten()).flatten())
}

/// Whether a process reads a pipe other than `except` by any descriptor.
pub(crate) fn reads_any(pid: Pid, except: Option<Pipe>) -> bool {
    read_pipes(pid).any(|pipe| Some(pipe) != except)
}

/// The state of a pipe reader's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// This living process writes to it.
    FedBy(Pid),
    /// Its writer cannot be seen, if there is one.
    FedByHidden,
    /// No living process writes to it: end of file follows.
    Ending,
}

/// The ends of all living processes at one moment.
pub(crate) struct Pipeline {
    ends: Vec<Ends>,
    /// PIDs that write to a pipe, in the order of the pipes.
    writers: Vec<(Pipe, Pid)>,
    /// Pipes that a process both reads and writes on, so that they form a cycle.
    cycle: Vec<(Pipe, Pipe)>,
    /// Our own standard input. Its writers are outside of the container, so that we do not see them.
    our_input: Option<Pipe>,
    /// Whether a living process hides its ends.
    has_hidden: bool,
    /// Pipes that are open for writing by any descriptor, and their processes, in the order of the pipes.
    /// Collected at the first use.
    holders: OnceCell<Vec<(Pipe, Pid)>>,
}

impl Pipeline {
    /// # Errors
    /// ENOMEM.
    pub(crate) fn new(mut ends: Vec<Ends>, our_input: Option<Pipe>, has_hidden: bool) -> nix::Result<Self> {
        ends.sort_unstable_by_key(|ends| ends.pid);
        let mut writers = list_with_capacity(ends.len().saturating_mul(2))?;
        let mut edges = list_with_capacity(writers.capacity())?;
        for end in &ends {
            let outputs = end.outputs.into_iter().flatten();
            writers.extend(outputs.clone().map(|pipe| (pipe, end.pid)));
            edges.extend(outputs.filter_map(|output| Some((end.input?, output))));
        }
        writers.sort_unstable();
        let cycle = only_cycles(edges);
        Ok(Self { ends, writers, cycle, our_input, has_hidden, holders: OnceCell::new() })
    }

    /// The state of a process's input if it is a pipe reader.
    pub(crate) fn input(&self, pid: Pid) -> Option<Input> {
        let ends = self.ends_of(pid)?;
        let pipe = ends.input.filter(|&pipe| Some(pipe) != self.our_input)?;
        if self.cycle.iter().any(|&(input, output)| input == pipe && ends.writes(output)) {
            return None;
        }
        self.state_of(pipe, pid, true)
    }

    /// The same for a shell's child that has not executed the reader yet. It may have the pipe under any
    /// number, and may still hold the end for writing.
    pub(crate) fn input_before_exec(&self, pid: Pid) -> Option<Input> {
        let mut pipes = read_pipes(pid).filter(|&pipe| Some(pipe) != self.our_input);
        pipes.find_map(|pipe| self.state_of(pipe, pid, false))
    }

    /// The state of a pipe that `reader` reads. None if an ancestor writes to it by another number than 1 or 2, as a program does
    /// that feeds its child. Any other process has it so while it redirects its output (a shell keeps it as 10 or above). The reader
    /// itself counts as an ancestor only if `counts_reader`.
    fn state_of(&self, pipe: Pipe, reader: Pid, counts_reader: bool) -> Option<Input> {
        if let Some(writer) = processes_with(&self.writers, pipe).find(|&writer| writer != reader) {
            return Some(Input::FedBy(writer));
        }
        let mut writer = None;
        for holder in processes_with(self.holders.get_or_init(|| self.find_holders()), pipe) {
            if holder == reader {
                if counts_reader {
                    return None;
                }
            } else if self.is_ancestor(holder, reader) || self.may_be_reader(holder) {
                return None;
            } else {
                writer = Some(holder);
            }
        }
        Some(match writer {
            Some(writer) => Input::FedBy(writer),
            None if self.has_hidden => Input::FedByHidden,
            None => Input::Ending,
        })
    }

    fn ends_of(&self, pid: Pid) -> Option<&Ends> {
        self.ends.binary_search_by_key(&pid, |ends| ends.pid).ok().and_then(|index| self.ends.get(index))
    }

    /// Whether a process reads a pipe itself. It could be the end of a cycle, in which each waits for the other.
    fn may_be_reader(&self, pid: Pid) -> bool {
        self.ends_of(pid).is_some_and(|ends| ends.input.is_some() && ends.input != self.our_input)
    }

    fn is_ancestor(&self, ancestor: Pid, pid: Pid) -> bool {
        let parent = |pid: Pid| self.ends_of(pid)?.parent;
        // A list that was made while PIDs were reused could lead in a circle.
        std::iter::successors(parent(pid), |&pid| parent(pid))
            .take(self.ends.len())
            .any(|pid| pid == ancestor)
    }

    fn find_holders(&self) -> Vec<(Pipe, Pid)> {
        let mut holders = Vec::new();
        for pid in self.ends.iter().map(|ends| ends.pid) {
            for pipe in open_pipes(pid, Direction::Write) {
                if holders.try_reserve(1).is_ok() {
                    holders.push((pipe, pid));
                }
            }
        }
        holders.sort_unstable();
        holders
    }
}

/// The processes listed with a pipe. The list is in the order of the pipes.
fn processes_with(list: &[(Pipe, Pid)], pipe: Pipe) -> impl Iterator<Item = Pid> {
    let begin = list.partition_point(|&(other, _)| other < pipe);
    list.iter().skip(begin).take_while(move |&&(other, _)| other == pipe).map(|&(_, pid)| pid)
}

/// Removes the edges that lie on no cycle: edges without a predecessor, and edges without a successor.
fn only_cycles(mut edges: Vec<(Pipe, Pipe)>) -> Vec<(Pipe, Pipe)> {
    loop {
        let before = edges.len();
        for _ in 0..2 {
            // Each edge of a cycle has a predecessor, in both directions.
            let mut heads: Vec<Pipe> = Vec::new();
            if heads.try_reserve(edges.len()).is_err() {
                return Vec::new();
            }
            heads.extend(edges.iter().map(|&(_, head)| head));
            heads.sort_unstable();
            edges.retain(|(tail, _)| heads.binary_search(tail).is_ok());
            for (tail, head) in &mut edges {
                std::mem::swap(tail, head);
            }
        }
        if edges.len() == before {
            return edges;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn ends(pid: i32, input: u64, output: u64, errors: u64) -> Ends {
        let pipe = |number: u64| (number > 0).then_some(Pipe::Inode(number));
        Ends {
            pid: Pid::from_raw(pid),
            parent: None,
            input: pipe(input),
            outputs: [pipe(output), pipe(errors)],
        }
    }

    /// The readers and their writers. Their PIDs are above the highest that the kernel gives.
    fn readers(all: &[Ends], our_input: Option<Pipe>) -> Vec<(i32, Input)> {
        let pipeline = Pipeline::new(all.to_vec(), our_input, false).unwrap();
        let input = |ends: &Ends| Some((ends.pid.as_raw(), pipeline.input(ends.pid)?));
        all.iter().filter_map(input).collect()
    }

    const A: i32 = i32::MAX - 3;
    const B: i32 = i32::MAX - 2;
    const C: i32 = i32::MAX - 1;

    #[test]
    fn a_pipeline_ends_in_order() {
        let fed_by = |pid| Input::FedBy(Pid::from_raw(pid));
        let all = [ends(A, 0, 1, 9), ends(B, 1, 2, 9), ends(C, 2, 9, 9)];
        assert_eq!(readers(&all, None), [(B, fed_by(A)), (C, fed_by(B))]);
        assert_eq!(readers(&all[1..], None), [(B, Input::Ending), (C, fed_by(B))]);
        // By standard error too.
        assert_eq!(readers(&[ends(A, 0, 9, 1), all[1]], None), [(B, fed_by(A))]);
    }

    #[test]
    fn a_cycle_has_no_readers_and_what_it_feeds_is_one() {
        let all = [ends(A, 1, 2, 3), ends(B, 2, 1, 9), ends(C, 3, 9, 9)];
        assert_eq!(readers(&all, None), [(C, Input::FedBy(Pid::from_raw(A)))]);
        // A process that reads the pipe that it writes to.
        assert_eq!(readers(&[ends(A, 1, 1, 9), ends(B, 0, 1, 9)], None), []);
    }

    #[test]
    fn what_comes_from_outside_makes_no_reader() {
        assert_eq!(readers(&[ends(A, 1, 9, 9), ends(B, 1, 9, 9)], Some(Pipe::Inode(1))), []);
    }

    #[test]
    fn the_writer_of_a_reader_may_be_hidden() {
        let pipeline = Pipeline::new(vec![ends(A, 1, 9, 9)], None, true).unwrap();
        assert_eq!(pipeline.input(Pid::from_raw(A)), Some(Input::FedByHidden));
    }

    #[test]
    fn pipes_are_recognised_by_the_text_of_their_links() {
        assert_eq!(named(b"pipe:[4711]"), Some(Pipe::Inode(4711)));
        for text in ["/dev/null", "/dev/pts/0", "socket:[7]", "anon_inode:[eventfd]", "pipe:[x]"] {
            assert_eq!(named(text.as_bytes()), None, "{text}");
        }
        assert!(named(b"/tmp/fifo").is_some() && named(b"/tmp/fifo") != named(b"/tmp/other"));
    }

    #[test]
    fn the_ends_of_a_pipe_are_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        let of = |fd, direction| end(getpid(), fd, direction).unwrap();
        let read = of(reader.as_raw_fd(), Direction::Read);
        assert!(read.is_some() && read == of(writer.as_raw_fd(), Direction::Write));
        assert_eq!(of(reader.as_raw_fd(), Direction::Write), None);
        assert!(may_read(getpid(), [read, None]) && reads_any(getpid(), None));
        let is_held = || open_pipes(getpid(), Direction::Write).any(|pipe| Some(pipe) == read);
        assert!(is_held());
        drop(writer);
        assert!(!is_held());
    }
}

//! A process as /proc shows it, read without anything that can block.
//!
//! Before a signal is sent, only `/proc/PID/stat`, lists (of processes, children, descriptors) and links are
//! read. None of them waits for another process's memory or for a file system. Only lists need heap memory.

use std::cmp::Ordering;
use std::fmt;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpid, getsid};

use crate::log::escape::Escaped;
use crate::options::personality::{Personality, last_part};
use crate::sys::procfs::{self, Path};

pub(crate) mod descendants;
pub(crate) mod pipes;
pub(crate) mod signalled;

/// A process at the moment when it was read (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    /// Its start, in ticks since boot. Together with the PID it identifies one process.
    pub(crate) started: u64,
    pub(crate) state: State,
    pub(crate) name: Name,
    /// Whether it has not executed a program since it was forked, as a shell's child that prepares a
    /// redirection.
    pub(crate) has_not_executed: bool,
    /// Whether it catches standard signals other than an init does: none, those of a terminal's keys (`-c`),
    /// or all.
    pub(crate) catches_some: bool,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// By a signal or a tracer.
    Stopped,
    /// It has exited and waits to be reaped.
    Zombie,
    /// A child of ours that /proc does not show (`hidepid`, proc(5)).
    Hidden,
}

/// Why a process could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// It has exited, or never existed.
    Gone,
    /// It runs as another user, and we may not read it.
    Hidden,
    /// The look failed, for example for lack of a descriptor or memory. The process may exist.
    Failed(Errno),
}

impl From<Errno> for Unseen {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ESRCH => Self::Gone,
            Errno::EACCES | Errno::EPERM => Self::Hidden,
            errno => Self::Failed(errno),
        }
    }
}

/// The kernel's name for a process: at most 15 bytes (`comm`, proc_pid_comm(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name([u8; 16]);

impl Name {
    fn new(bytes: &[u8]) -> Self {
        let mut name = [0; 16];
        name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(name)
    }

    fn bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.bytes()).fmt(out)
    }
}

/// The standard signals that a process can catch, as a mask in which signal n is bit n - 1.
const ALL_STANDARD: u64 = 0x7fff_ffff & !(1 << (libc::SIGKILL - 1)) & !(1 << (libc::SIGSTOP - 1));

/// SIGINT, SIGQUIT and SIGTSTP in the same form.
const KEYS: u64 = (1 << (libc::SIGINT - 1)) | (1 << (libc::SIGQUIT - 1)) | (1 << (libc::SIGTSTP - 1));

/// A bit of the flags in /proc/PID/stat (PF_FORKNOEXEC, linux/sched.h).
const FORKED_WITHOUT_EXEC: u64 = 0x40;

impl Process {
    /// A child that /proc does not show. Its PID is not reused before we reap it.
    fn hidden(pid: Pid) -> Self {
        let of = |result: nix::Result<Pid>| result.unwrap_or(pid);
        Self {
            pid,
            parent: getpid(),
            group: of(getpgid(Some(pid))),
            session: of(getsid(Some(pid))),
            started: 0,
            state: State::Hidden,
            name: Name::default(),
            has_not_executed: false,
            catches_some: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(pid: Pid, parent: Pid) -> Self {
        Self { parent, state: State::Alive, ..Self::hidden(pid) }
    }

    /// Reads a process.
    ///
    /// # Errors
    /// [`Unseen`].
    pub(crate) fn read(pid: Pid) -> Result<Self, Unseen> {
        let mut buffer = [0; 1024];
        // The text cannot be parsed if the process exited while it was read.
        Self::parse(pid, procfs::read_of(pid, "stat", &mut buffer)?).ok_or(Unseen::Gone)
    }

    /// Reads a child of ours that we have not reaped. A child that /proc does not show is hidden.
    ///
    /// # Errors
    /// The errno of a look that failed.
    pub(crate) fn read_child(pid: Pid) -> Result<Self, Errno> {
        match Self::read(pid) {
            Ok(process) => Ok(process),
            Err(Unseen::Gone | Unseen::Hidden) => Ok(Self::hidden(pid)),
            Err(Unseen::Failed(errno)) => Err(errno),
        }
    }

    fn parse(pid: Pid, text: &[u8]) -> Option<Self> {
        // The name may contain blanks and brackets. The fields after it do not.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let begin = text.iter().position(|&byte| byte == b'(')?.saturating_add(1);
        let mut fields = str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace().skip(1);
        let state = fields.next()?;
        let mut number = || fields.next()?.parse().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        let flags: u64 = fields.nth(2).and_then(|flags| flags.parse().ok()).unwrap_or(0);
        let threads = fields.nth(10)?;
        let started = fields.nth(1)?.parse().ok()?;
        let caught: u64 = fields.nth(11).and_then(|mask| mask.parse().ok()).unwrap_or(0);
        Some(Self {
            pid,
            parent: Pid::from_raw(parent),
            group: Pid::from_raw(group),
            session: Pid::from_raw(session),
            started,
            state: match state {
                // The first thread may have exited before the others.
                "Z" | "X" if threads == "1" || threads == "0" => State::Zombie,
                "T" | "t" => State::Stopped,
                _ => State::Alive,
            },
            name: Name::new(text.get(begin..end)?),
            has_not_executed: flags & FORKED_WITHOUT_EXEC != 0,
            catches_some: ![0, KEYS, ALL_STANDARD].contains(&caught),
        })
    }

    /// Whether this is still the same process, and not another one with its PID.
    ///
    /// # Errors
    /// The errno of a look that failed.
    pub(crate) fn is_still_there(&self) -> nix::Result<bool> {
        // A child of ours that is hidden keeps its PID until we reap it.
        if self.state == State::Hidden {
            return Ok(true);
        }
        match Self::read(self.pid) {
            Ok(now) => Ok(now.started == self.started),
            Err(Unseen::Gone | Unseen::Hidden) => Ok(false),
            Err(Unseen::Failed(errno)) => Err(errno),
        }
    }

    /// Whether it began before `other`. PIDs are assigned in ascending order until they wrap around.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        const HALF_OF_ALL: i32 = 16_384;
        let distance = other.pid.as_raw().saturating_sub(self.pid.as_raw());
        match self.started.cmp(&other.started) {
            Ordering::Less => true,
            Ordering::Equal => (distance > 0 && distance < HALF_OF_ALL) || distance < -HALF_OF_ALL,
            Ordering::Greater => false,
        }
    }

    /// The oldest process of a list.
    pub(crate) fn oldest<'a>(list: impl Iterator<Item = &'a Self>) -> Option<&'a Self> {
        list.reduce(|oldest, other| if other.is_older_than(oldest) { other } else { oldest })
    }
}

/// Every process that /proc shows, and our children that it hides, in the order of their PIDs.
///
/// # Errors
/// ENOENT if /proc is missing or shows another PID namespace. Otherwise the errno of the look that failed,
/// since callers rely on a list without gaps.
pub(crate) fn snapshot() -> nix::Result<Vec<Process>> {
    repeated(snapshot_once)
}

/// Looks again if a look failed, since the kernel may have lacked memory or a descriptor only for a moment.
/// If /proc is missing (ENOENT), it stays missing.
fn repeated<T>(mut look: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    const MOST_LOOKS: u32 = 3;
    let mut result = look();
    for _ in 1..MOST_LOOKS {
        if matches!(result, Ok(_) | Err(Errno::ENOENT)) {
            break;
        }
        result = look();
    }
    result
}

fn snapshot_once() -> nix::Result<Vec<Process>> {
    let pids = procfs::pids()?;
    let mut all = list_with_capacity(pids.len())?;
    for pid in pids {
        match Process::read(pid) {
            Ok(process) => all.push(process),
            Err(Unseen::Gone | Unseen::Hidden) => {}
            Err(Unseen::Failed(errno)) => return Err(errno),
        }
    }
    all.sort_unstable_by_key(|process| process.pid);
    // No process is hidden from itself. If we are, a sandbox hides all processes.
    all.binary_search_by_key(&getpid(), |process| process.pid).map_err(|_| Errno::EPERM)?;
    // Not every kernel has this list (CONFIG_PROC_CHILDREN).
    let children = match procfs::children().map_err(Unseen::from) {
        Ok(children) => children,
        Err(Unseen::Gone | Unseen::Hidden) => Vec::new(),
        Err(Unseen::Failed(errno)) => return Err(errno),
    };
    let mut hidden = list_with_capacity(children.len())?;
    for child in children {
        if all.binary_search_by_key(&child, |process| process.pid).is_err() {
            // A child made since then is not hidden.
            hidden.push(Process::read_child(child)?);
        }
    }
    if !hidden.is_empty() {
        all.try_reserve(hidden.len()).map_err(|_| Errno::ENOMEM)?;
        all.append(&mut hidden);
        all.sort_unstable_by_key(|process| process.pid);
    }
    Ok(all)
}

/// An empty list with room for `count` items.
///
/// # Errors
/// ENOMEM.
pub(crate) fn list_with_capacity<T>(count: usize) -> nix::Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
    Ok(list)
}

/// The PIDs of our children, zombies included.
///
/// # Errors
/// As [`snapshot`].
pub(crate) fn children() -> nix::Result<Vec<Pid>> {
    match repeated(procfs::children) {
        // CONFIG_PROC_CHILDREN is off, or the kernel is not Linux (gVisor).
        Err(Errno::ENOENT) => {
            let mut all = snapshot()?;
            all.retain(|process| process.parent == getpid());
            let mut pids = list_with_capacity(all.len())?;
            pids.extend(all.iter().map(|process| process.pid));
            Ok(pids)
        }
        result => result,
    }
}

/// The PIDs in a process group, as far as /proc shows them. None if there is no /proc.
pub(crate) fn members_of_group(group: Pid) -> impl Iterator<Item = Pid> {
    // ESRCH if a process has exited meanwhile.
    procfs::pids().unwrap_or_default().into_iter().filter(move |&pid| getpgid(Some(pid)) == Ok(group))
}

/// The name of our executable.
const OUR_NAME: &[u8] = b"dumb-init";

/// Whether this is an init of ours or the original, which forwards signals to its own descendants.
///
/// It has the name that our init gives itself ([`Personality::process_name`]). Without options, its executable has our
/// name, its working directory is `/`, and it catches no standard signal, keys only, or all. If the link is
/// hidden, its name decides.
pub(crate) fn is_nested_init(process: &Process) -> bool {
    if Personality::is_init_name(process.name.bytes()) {
        return true;
    }
    let mut buffer = [0; 1024];
    let mut has_link = |name, is_it: fn(&[u8]) -> bool| {
        let path = Path::of(process.pid, name).ok_or(Errno::ENAMETOOLONG)?;
        procfs::link_target(&path, &mut buffer).map(is_it)
    };
    let is_our_file = |path: &[u8]| last_part(path.strip_suffix(b" (deleted)").unwrap_or(path)) == OUR_NAME;
    match has_link("exe", is_our_file).map_err(Unseen::from) {
        Ok(has_our_file) => {
            has_our_file && !process.catches_some && has_link("cwd", |path| path == b"/") == Ok(true)
        }
        Err(Unseen::Hidden) => process.name.bytes() == OUR_NAME,
        Err(Unseen::Gone | Unseen::Failed(_)) => false,
    }
}

/// Whether a nested init also runs our file, or one that is called like an init. A process with a false mark does not. The text of
/// its link decides, and the mark alone if that is hidden.
pub(crate) fn is_nested_init_by_file(process: &Process) -> bool {
    if !is_nested_init(process) {
        return false;
    }
    let (mut theirs, mut ours) = ([0; 1024], [0; 1024]);
    let Some([their_link, our_link]) =
        Path::of(process.pid, "exe").zip(Path::of(getpid(), "exe")).map(<[Path; 2]>::from)
    else {
        return true;
    };
    let Ok(theirs) = procfs::link_target(&their_link, &mut theirs) else { return true };
    let name = last_part(theirs.strip_suffix(b" (deleted)").unwrap_or(theirs));
    name == OUR_NAME
        || Personality::NAMES.iter().any(|(known, _)| known.as_bytes() == name)
        || procfs::link_target(&our_link, &mut ours) == Ok(theirs)
}

#[cfg(test)]
mod tests {
    use nix::unistd::getpgrp;

    use super::*;

    #[test]
    fn stat_is_parsed_whatever_the_name() {
        let text =
            b"7 (a) Z 1 (\xff\n) S 3 4 5 0 -1 4194624 1 2 3 4 5 6 7 8 20 0 2 0 4711 1 2 3 4 5 6 7 8 0 0 0 16384 0";
        let process = Process::parse(Pid::from_raw(7), text).unwrap();
        let numbers = [process.parent, process.group, process.session].map(Pid::as_raw);
        assert_eq!((numbers, process.started, process.state), ([3, 4, 5], 4711, State::Alive));
        assert_eq!((process.name.to_string().as_str(), process.catches_some), ("a) Z 1 (\\xff\\n", true));
        assert!(process.has_not_executed);
        let zombie = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711";
        assert_eq!(Process::parse(Pid::from_raw(7), zombie).unwrap().state, State::Zombie);
        // The first thread has ended, another goes on.
        let thread = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4711";
        assert_eq!(Process::parse(Pid::from_raw(7), thread).unwrap().state, State::Alive);
        assert_eq!(Process::parse(Pid::from_raw(7), b"7 (x) S 3 4"), None);
    }

    #[test]
    fn an_older_process_has_the_lower_pid_until_pids_wrap_around() {
        let process =
            |pid| Process { started: 5, pid: Pid::from_raw(pid), ..Process::read(getpid()).unwrap() };
        for (first, second, expected) in
            [(100, 101, true), (100, 100, false), (100, 99, false), (32_700, 301, true), (301, 32_700, false)]
        {
            assert_eq!(process(first).is_older_than(&process(second)), expected, "{first} {second}");
        }
    }

    #[test]
    fn a_missing_process_is_gone_and_a_failed_look_is_not() {
        assert_eq!(Process::read(Pid::from_raw(i32::MAX)), Err(Unseen::Gone));
        assert_eq!(Unseen::from(Errno::EACCES), Unseen::Hidden);
        assert_eq!(Unseen::from(Errno::EMFILE), Unseen::Failed(Errno::EMFILE));
    }

    #[test]
    fn a_process_is_a_member_of_its_group_and_in_the_snapshot() {
        assert!(members_of_group(getpgrp()).any(|pid| pid == getpid()));
        assert!(snapshot().unwrap().iter().any(|process| process.pid == getpid()));
    }
}

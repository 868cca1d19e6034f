//! A process as /proc shows it, read without anything that can block.
//!
//! Before a signal is sent, only `/proc/PID/stat`, lists (of processes, children, descriptors) and links
//! are read. None of them waits for another process's memory or for a file system.

use std::collections::BTreeSet;
use std::fmt;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpid, getsid};

use crate::log::escape::Escaped;
use crate::options::personality::{Personality, last_part};
use crate::sys::procfs::{self, Path};

pub(crate) mod descendants;
pub(crate) mod pipeline;
pub(crate) mod pipes;

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
    /// Whether it catches standard signals other than an init does: none, those of a terminal's keys
    /// (`-c`), or all.
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
enum Unseen {
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

/// `None` if a process is gone or hidden. Fails only if the look failed.
fn if_visible<T>(look: nix::Result<T>) -> nix::Result<Option<T>> {
    match look.map_err(Unseen::from) {
        Ok(found) => Ok(Some(found)),
        Err(Unseen::Gone | Unseen::Hidden) => Ok(None),
        Err(Unseen::Failed(errno)) => Err(errno),
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
        Self {
            pid,
            parent: getpid(),
            group: getpgid(Some(pid)).unwrap_or(pid),
            session: getsid(Some(pid)).unwrap_or(pid),
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

    /// Reads a process. `None` if it is gone or hidden.
    pub(crate) fn read(pid: Pid) -> nix::Result<Option<Self>> {
        let mut buffer = [0; 1024];
        let text = if_visible(procfs::read_of(pid, "stat", &mut buffer))?;
        // The text cannot be parsed if the process exited while it was read.
        Ok(text.and_then(|text| Self::parse(pid, text)))
    }

    /// Reads a child of ours that we have not reaped, also if /proc does not show it.
    pub(crate) fn read_child(pid: Pid) -> nix::Result<Self> {
        Ok(Self::read(pid)?.unwrap_or_else(|| Self::hidden(pid)))
    }

    fn parse(pid: Pid, text: &[u8]) -> Option<Self> {
        // The name may contain blanks and brackets. The fields after it do not.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let begin = text.iter().position(|&byte| byte == b'(')?.saturating_add(1);
        let mut fields = std::str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace().skip(1);
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

    /// Whether it is no zombie.
    pub(crate) fn is_alive(&self) -> bool {
        self.state != State::Zombie
    }

    /// Whether its PID has not been reused since it was read.
    pub(crate) fn is_still_there(&self) -> nix::Result<bool> {
        Ok(Self::read(self.pid)?.is_some_and(|now| now.started == self.started))
    }

    /// Orders the children of one process from the oldest on. Of two that started in one tick, the older has
    /// the lower PID, but a PID below the parent's was assigned after PIDs had wrapped around.
    pub(crate) fn age(&self) -> impl Ord + Copy {
        (self.started, self.pid < self.parent, self.pid)
    }

    /// The oldest of the children of one process.
    pub(crate) fn oldest<'a>(children: impl Iterator<Item = &'a Self>) -> Option<&'a Self> {
        children.min_by_key(|child| child.age())
    }
}

/// Every process that /proc shows, and our children that it hides. Fails if a single look does, since
/// callers rely on a list without gaps: by ENOENT if /proc is missing or shows another PID namespace.
pub(crate) fn snapshot() -> nix::Result<Vec<Process>> {
    repeated(snapshot_once)
}

fn snapshot_once() -> nix::Result<Vec<Process>> {
    let mut all = Vec::new();
    for pid in procfs::pids()? {
        all.extend(Process::read(pid)?);
    }
    let shown: BTreeSet<Pid> = all.iter().map(|process| process.pid).collect();
    // No process is hidden from itself. If we are, a sandbox hides all processes.
    if !shown.contains(&getpid()) {
        return Err(Errno::EPERM);
    }
    // Not every kernel has this list (CONFIG_PROC_CHILDREN).
    let children = if_visible(procfs::children())?.unwrap_or_default();
    for child in children.into_iter().filter(|child| !shown.contains(child)) {
        // A child that was started since then is not hidden.
        all.push(Process::read_child(child)?);
    }
    Ok(all)
}

/// The PIDs of our children, zombies included. Fails as [`snapshot`] does.
pub(crate) fn children() -> nix::Result<Vec<Pid>> {
    match repeated(procfs::children) {
        // CONFIG_PROC_CHILDREN is off, or the kernel is not Linux (gVisor).
        Err(Errno::ENOENT) => {
            let is_child = |process: &Process| process.parent == getpid();
            Ok(snapshot()?.into_iter().filter(is_child).map(|process| process.pid).collect())
        }
        result => result,
    }
}

/// Looks again if a look failed, since the kernel may have lacked memory or a descriptor only for a moment.
/// If /proc is missing (ENOENT), it stays missing.
fn repeated<T>(look: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
    let is_final = |result: &nix::Result<T>| matches!(result, Ok(_) | Err(Errno::ENOENT));
    (0..2).map(|_| look()).find(is_final).unwrap_or_else(look)
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
/// It has the name that our init gives itself ([`Personality::process_name`]). Without options, its
/// executable has our name, its working directory is `/`, and it catches no standard signal, keys only, or
/// all. If the link is hidden, its name decides. So it does under an emulator, which catches signals itself.
pub(crate) fn is_nested_init(process: &Process) -> bool {
    if Personality::is_init_name(process.name.bytes()) {
        return true;
    }
    let is_at_root = || link_of(process.pid, "cwd").is_ok_and(|path| path == b"/");
    match link_of(process.pid, "exe").map_err(Unseen::from) {
        Ok(path) if process.name.bytes() == OUR_NAME && is_emulator(&path) => is_at_root(),
        Ok(path) => file_name(&path) == OUR_NAME && !process.catches_some && is_at_root(),
        Err(Unseen::Hidden) => process.name.bytes() == OUR_NAME,
        Err(Unseen::Gone | Unseen::Failed(_)) => false,
    }
}

/// Whether a nested init runs our file, or a file with the name of an init: other programs can give
/// themselves the name of our process. If the link is hidden or leads to our emulator, that name decides.
pub(crate) fn is_nested_init_by_file(process: &Process) -> bool {
    let is_an_inits = |path: Vec<u8>| {
        let name = file_name(&path);
        name == OUR_NAME
            || Personality::NAMES.iter().any(|(known, _)| known.as_bytes() == name)
            || own_file().as_ref() == Ok(&path)
    };
    is_nested_init(process) && link_of(process.pid, "exe").map_or(true, is_an_inits)
}

/// The file that we run, or our emulator. qemu-user has its own answer for /proc/self and /proc/PID.
fn own_file() -> nix::Result<Vec<u8>> {
    procfs::link_target(c"/proc/thread-self/exe", &mut [0; 1024]).map(<[u8]>::to_vec)
}

/// Whether this file is the emulator that runs us.
fn is_emulator(file: &[u8]) -> bool {
    own_file().is_ok_and(|own| own == file && link_of(getpid(), "exe") != Ok(own))
}

/// The text of a link in /proc/PID.
fn link_of(pid: Pid, name: &str) -> nix::Result<Vec<u8>> {
    let link = Path::of(pid, name).ok_or(Errno::ENAMETOOLONG)?;
    procfs::link_target(&link, &mut [0; 1024]).map(<[u8]>::to_vec)
}

/// The name of the file to which a link of /proc leads.
fn file_name(path: &[u8]) -> &[u8] {
    last_part(path.strip_suffix(b" (deleted)").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use nix::unistd::getpgrp;

    use super::*;

    #[test]
    fn oldest_child_is_found_when_pids_wrap_around() {
        let child = |pid| Process::for_test(Pid::from_raw(pid), Pid::from_raw(32_766));
        let children = [child(306), child(32_767), child(312)];
        assert_eq!(Process::oldest(children.iter()).map(|child| child.pid.as_raw()), Some(32_767));
        assert_eq!(
            Process::oldest([child(312), child(306)].iter()).map(|child| child.pid.as_raw()),
            Some(306)
        );
    }

    #[test]
    fn stat_with_brackets_in_the_name_is_parsed() {
        let text = b"7 (a) Z 1 (\xff\n) S 3 4 5 0 -1 4194624 1 2 3 4 5 6 7 8 20 0 2 0 4711 1 2 3 4 5 6 7 8 \
                     0 0 0 16384 0";
        let process = Process::parse(Pid::from_raw(7), text).unwrap();
        let numbers = [process.parent, process.group, process.session].map(Pid::as_raw);
        assert_eq!((numbers, process.started, process.state), ([3, 4, 5], 4711, State::Alive));
        assert_eq!((process.name.to_string().as_str(), process.catches_some), ("a) Z 1 (\\xff\\n", true));
        assert!(process.has_not_executed);
        let state_of = |text| Process::parse(Pid::from_raw(7), text).map(|process| process.state);
        let zombie = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711";
        assert_eq!(state_of(zombie), Some(State::Zombie));
        // The first thread has exited, another has not.
        let thread = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4711";
        assert_eq!(state_of(thread), Some(State::Alive));
        assert_eq!(Process::parse(Pid::from_raw(7), b"7 (x) S 3 4"), None);
    }

    #[test]
    fn missing_process_is_gone_and_failed_look_is_an_error() {
        assert_eq!(Process::read(Pid::from_raw(i32::MAX)), Ok(None));
        assert_eq!(if_visible::<()>(Err(Errno::EACCES)), Ok(None));
        assert_eq!(if_visible::<()>(Err(Errno::EMFILE)), Err(Errno::EMFILE));
    }

    #[test]
    fn own_process_is_in_its_group_and_in_the_snapshot() {
        assert!(members_of_group(getpgrp()).any(|pid| pid == getpid()));
        assert!(snapshot().unwrap().iter().any(|process| process.pid == getpid()));
    }
}

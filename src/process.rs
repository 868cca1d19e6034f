//! What does /proc tell of a process?
//!
//! Its place among the others, whether it is an init of ours, what it is called. Read without memory from the heap, since
//! there may be none when PID 1 has to know. What follows from it is decided elsewhere.

use std::cmp::Ordering;
use std::ffi::c_int;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, SysconfVar, getpgid, getpid, getsid, sysconf};

use crate::called_as::{CalledAs, last_part};
use crate::escape::is_harmless;
use crate::sys::procfs::{self, FileId, Path};

/// A process, as it was when it was looked at (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    /// When it began, in the ticks of [`Moment`]. Together with the PID it names one process for all time.
    pub(crate) started: u64,
    pub(crate) state: State,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// By a signal or a tracer.
    Stopped,
    /// It has ended and waits to be reaped.
    Zombie,
    /// It is a child of ours, and that is all that /proc lets us know of it (`hidepid`, proc(5)).
    Hidden,
}

impl Process {
    /// A child of whom /proc tells nothing more. Nobody else can get its PID before we reap it.
    fn hidden(pid: Pid) -> Self {
        let of = |result: nix::Result<Pid>| result.unwrap_or(pid);
        Self {
            pid,
            parent: getpid(),
            group: of(getpgid(Some(pid))),
            session: of(getsid(Some(pid))),
            started: 0,
            state: State::Hidden,
        }
    }

    /// Did it begin before the other?
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        match self.started.cmp(&other.started) {
            Ordering::Less => true,
            Ordering::Equal => is_given_before(self.pid, other.pid),
            Ordering::Greater => false,
        }
    }

    /// The oldest of some.
    pub(crate) fn oldest<'a>(some: impl Iterator<Item = &'a Self>) -> Option<&'a Self> {
        some.reduce(|oldest, other| if other.is_older_than(oldest) { other } else { oldest })
    }

    /// Looks at it. `None` where it is gone.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let mut buffer = [0; 1024];
        Self::parse(pid, procfs::read_of(pid, "stat", &mut buffer)?)
    }

    fn parse(pid: Pid, text: &[u8]) -> Option<Self> {
        // The name may have anything in it, blanks and brackets too; nothing that follows it has.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let mut fields = str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace().skip(1);
        let state = fields.next()?;
        let mut number = || fields.next()?.parse().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        let threads = fields.nth(13)?;
        Some(Self {
            pid,
            parent: Pid::from_raw(parent),
            group: Pid::from_raw(group),
            session: Pid::from_raw(session),
            started: fields.nth(1)?.parse().ok()?,
            state: match state {
                // The first thread may have ended before the others.
                "Z" | "X" if threads == "1" || threads == "0" => State::Zombie,
                "T" | "t" => State::Stopped,
                _ => State::Alive,
            },
        })
    }
}

/// May a process have reaped a child? Those that it has reaped leave behind how often they had to wait for a page; whoever has
/// executed it may have reaped some before.
pub(crate) fn may_have_reaped(pid: Pid) -> bool {
    let mut buffer = [0; 1024];
    let mut faults = || {
        let text = procfs::read_of(pid, "stat", &mut buffer)?;
        let end = text.iter().rposition(|&byte| byte == b')')?;
        // The field cminflt, the 11th, where the state is the third.
        str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace().nth(9)?.parse::<u64>().ok()
    };
    faults().is_none_or(|faults| faults > 0)
}

/// Every process that /proc shows, and our children that it hides, in the order of their PIDs. `None` where it shows those of
/// another PID namespace, or none, or where there is no memory for all of them.
pub(crate) fn snapshot() -> Option<Vec<Process>> {
    let mut all: Vec<Process> = Vec::new();
    for process in procfs::pids()?.filter_map(Process::read) {
        all.try_reserve(1).ok()?;
        all.push(process);
    }
    all.sort_unstable_by_key(|process| process.pid);
    let shown = all.len();
    // Not every kernel has this list (CONFIG_PROC_CHILDREN).
    let children = procfs::read_whole(c"/proc/thread-self/children").unwrap_or_default();
    for child in children.split(|&byte| byte == b' ').filter_map(|number| str::from_utf8(number).ok()?.parse().ok()) {
        let child = Pid::from_raw(child);
        let is_shown =
            all.get(..shown).is_some_and(|all| all.binary_search_by_key(&child, |process| process.pid).is_ok());
        if !is_shown {
            all.try_reserve(1).ok()?;
            // One that we have got since then isn't hidden.
            all.push(Process::read(child).unwrap_or_else(|| Process::hidden(child)));
        }
    }
    all.sort_unstable_by_key(|process| process.pid);
    Some(all)
}

/// The members of a process group that /proc shows. None where there is no /proc.
pub(crate) fn members_of_group(group: Pid) -> impl Iterator<Item = Pid> {
    // ESRCH where a process has ended meanwhile.
    procfs::pids().into_iter().flatten().filter(move |&pid| getpgid(Some(pid)) == Ok(group))
}

/// Of two PIDs that were given in the same tick, is this the first? They are given one after the other, and begin anew at some
/// point, but not within a tick.
fn is_given_before(first: Pid, second: Pid) -> bool {
    const HALF_OF_ALL: i32 = 16_384;
    let distance = second.as_raw().saturating_sub(first.as_raw());
    (distance > 0 && distance < HALF_OF_ALL) || distance < -HALF_OF_ALL
}

/// A point in time, as far as it can be told whether a process began before it or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Ticks since boot, of which there are a hundred in a second.
    pub(crate) ticks: u64,
    /// The youngest process.
    pub(crate) youngest: Option<Pid>,
}

impl Moment {
    pub(crate) fn now() -> Self {
        // The last field of proc_loadavg(5).
        let mut buffer = [0; 128];
        let text = procfs::read(c"/proc/loadavg", &mut buffer);
        let youngest = text.and_then(|text| str::from_utf8(text).ok()?.split_ascii_whitespace().last()?.parse().ok());
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| ticks.try_into().ok());
        let per_second: u64 = per_second.unwrap_or(100);
        let nanoseconds = u64::from(since_boot.subsec_nanos()).saturating_mul(per_second);
        Self {
            ticks: since_boot
                .as_secs()
                .saturating_mul(per_second)
                .saturating_add(nanoseconds.wrapping_div(1_000_000_000)),
            youngest: youngest.filter(|&pid| pid > 0).map(Pid::from_raw),
        }
    }

    /// Did this process begin later?
    pub(crate) fn is_before(&self, process: &Process) -> bool {
        if process.started != self.ticks {
            return process.started > self.ticks;
        }
        self.youngest.is_some_and(|youngest| is_given_before(youngest, process.pid))
    }
}

/// Does this process run an init of ours? Be it the same file, one of the same name, or a copy under the name of another init:
/// what descends from it is its business.
pub(crate) fn is_an_init(pid: Pid) -> bool {
    let Some(exe) = Path::of(pid, "exe") else { return false };
    let mut buffer = [0; 1024];
    match procfs::link_target(&exe, &mut buffer) {
        Some(target) => {
            let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
            let ours = procfs::our_file();
            is_our_name(target)
                || (ours.is_some() && procfs::file_behind(&exe) == ours)
                || (CalledAs::by_name(target) != CalledAs::DumbInit && has_our_options(&exe) == Some(true))
        }
        // Another user's: its command line is all that we may see. In a `#!` line it begins with the interpreter.
        None => procfs::read_of(pid, "cmdline", &mut buffer)
            .and_then(|words| words.split(|&byte| byte == 0).next())
            .is_some_and(is_our_name),
    }
}

/// What no file of the original has in it, nor of any other init.
const VARIABLE: &[u8] = b"DUMB_INIT_DRAIN";

/// Is this the file of an init that has our options? `None` where it can't be read.
pub(crate) fn has_our_options(exe: &Path) -> Option<bool> {
    procfs::contains(exe, VARIABLE)
}

fn is_our_name(path: &[u8]) -> bool {
    last_part(path) == b"dumb-init"
}

/// The pipe that a descriptor of a process leads to, if it is one.
pub(crate) fn pipe_behind(pid: Pid, descriptor: c_int) -> Option<FileId> {
    let mut name = [0; 16];
    let mut rest = name.as_mut_slice();
    write!(rest, "fd/{descriptor}").ok()?;
    let length = 16usize.saturating_sub(rest.len());
    procfs::pipe_behind(&Path::of(pid, str::from_utf8(name.get(..length)?).ok()?)?)
}

/// How a process was called, cut where it is long.
pub(crate) struct CommandLine {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl CommandLine {
    const CAPACITY: usize = 120;

    /// Reads it; its name, where it has no command line.
    pub(crate) fn of(pid: Pid) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        let len = match procfs::read_of(pid, "cmdline", &mut bytes) {
            Some(text) if !text.is_empty() => text.len(),
            _ => procfs::read_of(pid, "comm", &mut bytes).map_or(0, <[u8]>::len),
        };
        Self { bytes, len }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        let end = text.iter().rposition(|&byte| byte != 0 && byte != b'\n').map_or(0, |last| last.saturating_add(1));
        for chunk in text.get(..end).unwrap_or_default().utf8_chunks() {
            for letter in chunk.valid().chars() {
                out.write_char(match letter {
                    '\0' => ' ',
                    letter if !is_harmless(letter) => '?',
                    letter => letter,
                })?;
            }
            if !chunk.invalid().is_empty() {
                out.write_char('?')?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::unistd::{getpgrp, getpid};

    use super::*;

    #[test]
    fn what_stat_tells_is_read_whatever_the_name() {
        let text = b"7 (a) Z 1 (\xff\n) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4711 1 2 3";
        let process = Process::parse(Pid::from_raw(7), text).unwrap();
        let numbers = [process.parent, process.group, process.session].map(Pid::as_raw);
        assert_eq!((numbers, process.started, process.state), ([3, 4, 5], 4711, State::Alive));
        let zombie = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711";
        assert_eq!(Process::parse(Pid::from_raw(7), zombie).unwrap().state, State::Zombie);
        // The first thread has ended, another goes on.
        let thread = b"7 (x) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4711";
        assert_eq!(Process::parse(Pid::from_raw(7), thread).unwrap().state, State::Alive);
        assert_eq!(Process::parse(Pid::from_raw(7), b"7 (x) S 3 4"), None);
    }

    #[test]
    fn we_began_before_now_and_our_child_after() {
        let before = Moment::now();
        assert!(before.youngest.is_some());
        assert!(!before.is_before(&Process::read(getpid()).unwrap()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let process = Process::read(pid).unwrap();
        assert!(before.is_before(&process), "{before:?} {process:?}");
        assert!(!Moment::now().is_before(&process), "{:?} {process:?}", Moment::now());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn of_two_in_the_same_tick_the_higher_number_is_the_younger_unless_they_begin_anew() {
        let moment = |youngest| Moment { ticks: 5, youngest: Some(Pid::from_raw(youngest)) };
        let process = |pid| Process { started: 5, pid: Pid::from_raw(pid), ..Process::read(getpid()).unwrap() };
        for (youngest, pid, expected) in
            [(100, 101, true), (100, 100, false), (100, 99, false), (32_700, 301, true), (301, 32_700, false)]
        {
            assert_eq!(moment(youngest).is_before(&process(pid)), expected, "{youngest} {pid}");
            assert_eq!(process(youngest).is_older_than(&process(pid)), expected, "{youngest} {pid}");
        }
    }

    #[test]
    fn an_init_is_told_by_its_file_or_its_name() {
        assert!(is_an_init(getpid()));
        assert!(is_our_name(b"/usr/bin/dumb-init") && is_our_name(b"dumb-init"));
        assert!(!is_our_name(b"/usr/bin/not-dumb-init"));
        assert!(!is_our_name(b"/usr/bin/dumb-init/x"));
    }

    #[test]
    fn a_process_is_a_member_of_its_group() {
        assert!(members_of_group(getpgrp()).any(|pid| pid == getpid()));
    }

    #[test]
    fn a_pipe_has_the_same_number_at_both_ends() {
        let (reader, writer) = std::io::pipe().unwrap();
        let numbers = [reader.as_raw_fd(), writer.as_raw_fd()].map(|fd| pipe_behind(getpid(), fd));
        assert!(numbers[0].is_some() && numbers[0] == numbers[1], "{numbers:?}");
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(pipe_behind(getpid(), file.as_raw_fd()), None);
        // One with a name, opened twice.
        let path = std::env::temp_dir().join(format!("dumb-init-unit-test-{}", getpid()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = || std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let ends = [open(), open()];
        std::fs::remove_file(&path).unwrap();
        let numbers = ends.each_ref().map(|end| pipe_behind(getpid(), end.as_raw_fd()));
        assert!(numbers[0].is_some() && numbers[0] == numbers[1], "{numbers:?}");
    }
}

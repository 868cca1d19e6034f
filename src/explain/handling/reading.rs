//! How has a process prepared for signals?
//!
//! /proc/PID/status tells what it catches, ignores and blocks (proc_pid_status(5)); where the kernel lets us see more, also
//! what it waits for: a program may block a signal and fetch it by sigwait(3) or from a signalfd(2), as inits do.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use super::super::read;
use super::{Credentials, Handling, Readable, SignalSet};
use crate::sys::capabilities::CAP_KILL;

/// What a thread does while it sleeps.
#[derive(Clone, Copy)]
enum Sleep {
    Awaits(SignalSet),
    /// It isn't for signals.
    Other,
    Hidden,
}

impl Handling {
    /// Reads it. `None` where the process is gone, or hides it.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        let path = format!("/proc/{pid}");
        let status = read(&format!("{path}/status"))?;
        let mut handling = Self::parse(&status)?;
        handling.blocked = handling.blocked_by_first;
        // Most processes have one thread, which is the process in /proc.
        if field(&status, "Threads") == Some("1") {
            handling.add_sleep(sleep_of(pid, &path, &status));
        } else {
            let threads = fs::read_dir(format!("{path}/task")).ok()?.flatten();
            for thread in threads.filter_map(|entry| entry.file_name().into_string().ok()) {
                let path = format!("{path}/task/{thread}");
                // It may have ended meanwhile.
                let Some(status) = read(&format!("{path}/status")) else { continue };
                let Some(of_thread) = Self::parse(&status) else { continue };
                handling.blocked = handling.blocked.only_in(of_thread.blocked_by_first);
                handling.add_sleep(sleep_of(pid, &path, &status));
            }
        }
        if handling.blocked != SignalSet::default() {
            handling.readable = readable(pid).map_or(Readable::Hidden, Readable::Known);
        }
        Some(handling)
    }

    fn add_sleep(&mut self, sleep: Sleep) {
        match sleep {
            Sleep::Awaits(set) => self.awaited = self.awaited.with(set),
            Sleep::Hidden => self.may_await = true,
            Sleep::Other => {}
        }
    }

    fn parse(status: &[u8]) -> Option<Self> {
        let field = |name: &str| field(status, name);
        let set = |name| u64::from_str_radix(field(name)?, 16).ok().map(SignalSet);
        let credentials = || {
            let mut users = field("Uid")?.split_ascii_whitespace().map_while(|user| user.parse().ok());
            let group = field("Gid")?.split_ascii_whitespace().next()?.parse().ok()?;
            let capabilities = u64::from_str_radix(field("CapEff")?, 16).ok()?;
            Some(Credentials {
                real: users.next()?,
                effective: users.next()?,
                saved: users.next()?,
                group,
                signals_everybody: capabilities.wrapping_shr(CAP_KILL) & 1 == 1,
            })
        };
        Some(Self {
            caught: set("SigCgt")?,
            ignored: set("SigIgn")?,
            blocked_by_first: set("SigBlk")?,
            is_pid_1: field("NSpid").or(field("Pid"))?.split_ascii_whitespace().last() == Some("1"),
            credentials: credentials(),
            ..Self::default()
        })
    }
}

/// The value of a line. A name can't look like another line: its newlines are written as `\n`.
fn field<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = status.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    str::from_utf8(value).ok().map(str::trim)
}

/// What a thread waits for. Its masks have those signals as not blocked meanwhile.
fn sleep_of(pid: Pid, thread: &str, status: &[u8]) -> Sleep {
    // Where we are let look into the memory (ptrace(2), `PTRACE_MODE_ATTACH`).
    if let Ok(call) = fs::read_to_string(format!("{thread}/syscall")) {
        let mut words = call.split_ascii_whitespace();
        let is_sigwait =
            words.next().and_then(|number| number.parse().ok()) == Some(libc::SYS_rt_sigtimedwait);
        let set = is_sigwait.then(|| set_at(pid, words.next()?));
        return set.map_or(Sleep::Other, |set| set.map_or(Sleep::Hidden, Sleep::Awaits));
    }
    match fs::read_to_string(format!("{thread}/wchan")).as_deref() {
        Ok(place) if place.contains("sigtimedwait") => Sleep::Hidden,
        // Where a thread sleeps, it sleeps somewhere: we aren't let see where (`PTRACE_MODE_READ`).
        Ok("0") | Err(_) if field(status, "State").is_some_and(|state| state.starts_with('S')) => {
            Sleep::Hidden
        }
        Ok(_) | Err(_) => Sleep::Other,
    }
}

/// The set of signals at an address in a process's memory.
fn set_at(pid: Pid, address: &str) -> Option<SignalSet> {
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let mut set = [0; 8];
    File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut set, address).ok()?;
    Some(SignalSet(u64::from_ne_bytes(set)))
}

/// What can be read from the signalfds that a process has open (proc_pid_fdinfo(5)). `None` where we aren't let see.
fn readable(pid: Pid) -> Option<SignalSet> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let is_signalfd = |path: &std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.as_os_str() == "anon_inode:[signalfd]")
    };
    let sets = descriptors.map(|entry| entry.path()).filter(is_signalfd).filter_map(|path| {
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", path.file_name()?.to_str()?)).ok()?;
        let set = text.lines().find_map(|line| line.strip_prefix("sigmask:"))?;
        u64::from_str_radix(set.trim(), 16).ok()
    });
    Some(sets.map(SignalSet).fold(SignalSet::default(), SignalSet::with))
}

#[cfg(test)]
mod tests {
    use super::super::tests::set;
    use super::*;

    #[test]
    fn status_is_read_whatever_the_name() {
        let text = b"Name:\tSigCgt:\\n (x)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t77\t1\nThreads:\t1\nSigBlk:\t0000000000000001\n\
            SigIgn:\t0000000000004000\nSigCgt:\t8000000000000000\nCapEff:\t0000000000000020\n";
        let handling = Handling::parse(text).unwrap();
        let sets = (handling.blocked_by_first, handling.ignored, handling.caught);
        assert_eq!(sets, (set(&[1]), set(&[libc::SIGTERM]), set(&[64])));
        assert!(handling.is_pid_1);
        let credentials = Credentials { real: 1, effective: 2, saved: 3, group: 5, signals_everybody: true };
        assert_eq!(handling.credentials, Some(credentials));
        assert_eq!(Handling::parse(b"Name:\tx\n"), None);
    }
}

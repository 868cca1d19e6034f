//! Effect of a signal on a process, derived from its signal masks as signal(7) describes it.
//!
//! The masks in /proc/PID/status are not enough: a program may block a signal and fetch it with sigwait(3) or
//! from a signalfd(2), as inits do.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use crate::signal::Signum;
use crate::sys::capabilities::CAP_KILL;

/// A set of signals, in which signal n is bit n - 1.
type Mask = u64;

/// Signal masks and credentials of a process (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Handling {
    caught: Mask,
    ignored: Mask,
    /// Signals that every thread blocks.
    blocked: Mask,
    /// Signals that a thread waits for in sigwait(3).
    awaited: Mask,
    /// Signals that can be read from a signalfd(2).
    readable: Mask,
    /// Whether we may not see `awaited` or `readable` (ptrace(2)).
    hides_waiting: bool,
    /// Whether it is PID 1 of a namespace, which receives only signals that it handles (pid_namespaces(7)).
    pub(super) is_pid_1: bool,
    /// The real, effective and saved user.
    pub(super) users: [u32; 3],
    pub(super) group: u32,
    /// The effective capabilities, in which capability n is bit n.
    capabilities: u64,
}

/// Effect of a signal on a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Catches,
    /// In sigwait(3).
    Waits,
    /// From a signalfd(2).
    Reads,
    Ignores,
    Blocks,
    Terminates,
    Stops,
    Resumes,
    Nothing,
    /// The kernel discards it, since PID 1 of a namespace has no handler for it.
    Discarded,
    /// We may not see how the process handles it.
    Receives,
    /// It is an init.
    Forwards,
    Drops,
    /// It stays pending, since the process is stopped and nothing continues it.
    IsStopped,
    NotSignalled,
    Unknown,
    Zombie,
}

impl Effect {
    /// Whether the signal does not reach the program.
    pub(super) fn is_missed(self) -> bool {
        matches!(self, Self::NotSignalled | Self::Discarded)
    }
}

fn default_action(signum: Signum) -> Effect {
    match signum {
        Signum::STOP | Signum::TSTP | Signum::TTIN | Signum::TTOU => Effect::Stops,
        Signum::CONT => Effect::Resumes,
        Signum::CHLD | Signum::URG | Signum::WINCH => Effect::Nothing,
        _ => Effect::Terminates,
    }
}

impl Handling {
    /// The effect of a signal. For PID 1 of a namespace, SIGKILL and SIGSTOP are those from outside of it.
    pub(super) fn reaction(&self, signum: Signum) -> Effect {
        let bit = Mask::from(signum.number()).saturating_sub(1);
        let is = |mask: Mask| mask >> bit & 1 == 1;
        let unless_hidden = |reaction| if self.hides_waiting { Effect::Receives } else { reaction };
        match signum {
            Signum::KILL | Signum::STOP => default_action(signum),
            _ if is(self.awaited) => Effect::Waits,
            _ if is(self.blocked) && is(self.readable) => Effect::Reads,
            _ if is(self.caught) && !is(self.blocked) => Effect::Catches,
            // It continues a process that ignores or blocks it, too.
            Signum::CONT => Effect::Resumes,
            _ if is(self.blocked) => unless_hidden(Effect::Blocks),
            _ if is(self.ignored) => Effect::Ignores,
            _ if self.is_pid_1 => unless_hidden(Effect::Discarded),
            _ => match default_action(signum) {
                Effect::Terminates => unless_hidden(Effect::Terminates),
                action => action,
            },
        }
    }

    /// Whether a process with these credentials may signal one with those of `other` (kill(2)).
    pub(super) fn may_signal(&self, other: &Self) -> bool {
        let ([real, effective, _], [their_real, _, their_saved]) = (self.users, other.users);
        let ours = [real, effective];
        let has_cap_kill = self.capabilities.wrapping_shr(CAP_KILL) & 1 == 1;
        has_cap_kill || ours.contains(&their_real) || ours.contains(&their_saved)
    }

    /// Whether its file has capabilities, so that its user may not read its environment (ptrace(2)).
    pub(super) fn has_capable_file(&self) -> bool {
        !self.users.contains(&0) && self.capabilities != 0
    }

    /// Reads a process. It may do anything if /proc does not show it.
    pub(super) fn read(pid: Pid) -> Self {
        Self::try_read(pid).unwrap_or(Self { hides_waiting: true, capabilities: !0, ..Self::default() })
    }

    fn try_read(pid: Pid) -> Option<Self> {
        let mut handling = Self::parse(&fs::read(format!("/proc/{pid}/status")).ok()?)?;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let thread = thread.path().display().to_string();
            // It may have exited meanwhile.
            let Ok(status) = fs::read(format!("{thread}/status")) else { continue };
            handling.blocked &= Self::parse(&status)?.blocked;
            handling.add_sleep(pid, &thread, &status);
        }
        if handling.blocked != 0 {
            let readable = readable(pid);
            handling.readable = readable.unwrap_or_default();
            handling.hides_waiting |= readable.is_none();
        }
        Some(handling)
    }

    fn parse(status: &[u8]) -> Option<Self> {
        let mask = |name| Mask::from_str_radix(field(status, name)?, 16).ok();
        let mut users = field(status, "Uid")?.split_ascii_whitespace().map_while(|user| user.parse().ok());
        Some(Self {
            caught: mask("SigCgt")?,
            ignored: mask("SigIgn")?,
            blocked: mask("SigBlk")?,
            is_pid_1: field(status, "NSpid")?.split_ascii_whitespace().last() == Some("1"),
            users: [users.next()?, users.next()?, users.next()?],
            group: field(status, "Gid")?.split_ascii_whitespace().next()?.parse().ok()?,
            capabilities: mask("CapEff")?,
            ..Self::default()
        })
    }

    /// Adds the signals that a thread waits for. Its masks show them as not blocked meanwhile.
    fn add_sleep(&mut self, pid: Pid, thread: &str, status: &[u8]) {
        // Needs PTRACE_MODE_ATTACH.
        if let Ok(call) = fs::read_to_string(format!("{thread}/syscall")) {
            let mut words = call.split_ascii_whitespace();
            let number = words.next().and_then(|number| number.parse().ok());
            let mask = words.next().and_then(|address| mask_at(pid, address));
            if number == Some(libc::SYS_rt_sigtimedwait) {
                self.awaited |= mask.unwrap_or_default();
                self.hides_waiting |= mask.is_none();
            }
            return;
        }
        // Needs PTRACE_MODE_READ. Otherwise it is "0".
        self.hides_waiting |= match fs::read_to_string(format!("{thread}/wchan")).as_deref() {
            Ok("0") | Err(_) => field(status, "State").is_some_and(|state| state.starts_with('S')),
            Ok(function) => function.contains("sigtimedwait"),
        };
    }
}

/// The value of a line. A process name cannot look like a line, since its newlines are escaped.
fn field<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = status.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    std::str::from_utf8(value).ok().map(str::trim)
}

/// The signal set at an address in the memory of a process.
fn mask_at(pid: Pid, address: &str) -> Option<Mask> {
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let mut set = [0; 8];
    File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut set, address).ok()?;
    Some(Mask::from_ne_bytes(set))
}

/// The signals that a process can read from signalfds (proc_pid_fdinfo(5)). `None` if we may not see them.
fn readable(pid: Pid) -> Option<Mask> {
    let masks = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().filter_map(|descriptor| {
        let is_signalfd = fs::read_link(descriptor.path()).ok()?.as_os_str() == "anon_inode:[signalfd]";
        let number = descriptor.file_name().into_string().ok().filter(|_| is_signalfd)?;
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let mask = text.lines().find_map(|line| line.strip_prefix("sigmask:"))?;
        Mask::from_str_radix(mask.trim(), 16).ok()
    });
    Some(masks.fold(0, |all, mask| all | mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaction_depends_on_masks_that_may_be_hidden() {
        let hidden = Handling { hides_waiting: true, ..Handling::default() };
        let all = Handling { ignored: !0, blocked: !0, ..Handling::default() };
        for (handling, signum, expected) in [
            (Handling { blocked: !0, ..hidden }, Signum::TERM, Effect::Receives),
            (hidden, Signum::CHLD, Effect::Nothing),
            (all, Signum::KILL, Effect::Terminates),
            (all, Signum::CONT, Effect::Resumes),
        ] {
            assert_eq!(handling.reaction(signum), expected, "{signum}: {handling:?}");
        }
    }
}

//! Properties of a process, one per line.

use std::ffi::{CStr, OsString};
use std::fmt::Write;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::{env, fs, ptr};

use nix::unistd::{getcwd, getpgrp, getpid, getppid, getsid};

use crate::protocol::Property;

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn numbers(numbers: impl Iterator<Item = i32>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn dispositions() -> String {
    numbers((1..=64).filter(|&number| {
        // SAFETY: zeros are a valid sigaction; the call writes to it alone.
        let action = unsafe {
            let mut action: libc::sigaction = zeroed();
            libc::sigaction(number, ptr::null(), &raw mut action);
            action
        };
        action.sa_sigaction != libc::SIG_DFL
    }))
}

pub(crate) fn blocked() -> String {
    let mut mask = 0u64;
    // SAFETY: writes eight bytes.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, ptr::null::<u8>(), &raw mut mask, 8usize)
    };
    numbers((1..=64).filter(|number| mask & (1 << (number - 1)) != 0))
}

fn environment() -> String {
    let mut entries = Vec::new();
    // SAFETY: environ ends with a null pointer, and each before it is a C string.
    unsafe {
        let mut entry = environ;
        while !(*entry).is_null() {
            entries.push(hex(CStr::from_ptr(*entry).to_bytes()));
            entry = entry.add(1);
        }
    }
    entries.join(" ")
}

/// Inode number of this process's pidfds.
pub(crate) fn pidfd_id() -> String {
    // SAFETY: touches no memory.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
    let status = fs::metadata(format!("/proc/self/fd/{pidfd}"));
    // SAFETY: nothing else has it.
    unsafe { libc::close(i32::try_from(pidfd).unwrap()) };
    status.map(|status| status.ino().to_string()).unwrap_or_default()
}

pub(crate) fn print(words: &[OsString]) -> i32 {
    // SAFETY: reads the flags of a descriptor.
    let descriptors = numbers((0..256).filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0));
    // SAFETY: returns the number of the group, or an error.
    let foreground = unsafe { libc::tcgetpgrp(0) };
    let terminal = fs::File::open("/dev/tty").is_ok();
    let mut lines = String::new();
    for (name, value) in [
        (Property::Pid, getpid().to_string()),
        (Property::Ppid, getppid().to_string()),
        (Property::Pgid, getpgrp().to_string()),
        (Property::Sid, getsid(None).map(|sid| sid.to_string()).unwrap_or_default()),
        (Property::Foreground, (foreground == getpgrp().as_raw()).to_string()),
        (Property::Terminal, terminal.to_string()),
        (Property::Descriptors, descriptors),
        (Property::Dispositions, dispositions()),
        (Property::Blocked, blocked()),
        (Property::Cwd, getcwd().map(|path| hex(path.as_os_str().as_bytes())).unwrap_or_default()),
        (Property::Words, words.iter().map(|word| hex(word.as_bytes())).collect::<Vec<_>>().join(" ")),
        (Property::Environment, environment()),
        (Property::PidfdId, pidfd_id()),
        (Property::ListenPid, env::var("LISTEN_PID").unwrap_or_default()),
    ] {
        let _ = writeln!(lines, "{name}={value}");
    }
    match env::var_os("REPORT_TO") {
        Some(path) => fs::write(path, lines).expect("REPORT_TO"),
        None => crate::say(lines.trim_end()),
    }
    5
}

//! Properties of a process, one per line.

use std::ffi::{CStr, OsString};
use std::fmt::Write;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::{env, fs, ptr};

use nix::unistd::{getcwd, getpgrp, getpid, getppid, getsid};

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

fn dispositions() -> String {
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

fn blocked() -> String {
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
        ("pid", getpid().to_string()),
        ("ppid", getppid().to_string()),
        ("pgid", getpgrp().to_string()),
        ("sid", getsid(None).map(|sid| sid.to_string()).unwrap_or_default()),
        ("foreground", (foreground == getpgrp().as_raw()).to_string()),
        ("terminal", terminal.to_string()),
        ("descriptors", descriptors),
        ("dispositions", dispositions()),
        ("blocked", blocked()),
        ("cwd", getcwd().map(|path| hex(path.as_os_str().as_bytes())).unwrap_or_default()),
        ("words", words.iter().map(|word| hex(word.as_bytes())).collect::<Vec<_>>().join(" ")),
        ("environment", environment()),
        ("pidfd-id", pidfd_id()),
        ("listen-pid", env::var("LISTEN_PID").unwrap_or_default()),
    ] {
        let _ = writeln!(lines, "{name}={value}");
    }
    match env::var_os("REPORT_TO") {
        Some(path) => fs::write(path, lines).expect("REPORT_TO"),
        None => crate::say(lines.trim_end()),
    }
    5
}

//! Roles on a terminal that is their stdin: a shell with job control, `shell PROGRAM ARGS...`, and one that tells the size of its
//! `window`.

use std::ffi::{CString, OsString};
use std::io::stdin;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, execv, fork, getpgrp, getpid, setpgid, tcsetpgrp};

use crate::signals::{ALL, next, set_disposition, set_mask};
use crate::{say, wait_for};

/// Starts a job in the foreground. Each time it stops, says so, brings it back to the foreground and lets it go on.
pub(crate) fn shell(words: &[OsString]) -> i32 {
    let argv: Vec<CString> = words.iter().map(|word| CString::new(word.as_bytes()).unwrap()).collect();
    // As shells do, so as to be able to take the terminal back.
    set_disposition(libc::SIGTTOU, libc::SIG_IGN);
    // SAFETY: a single-threaded program.
    let job = match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            to_foreground(getpid());
            set_disposition(libc::SIGTTOU, libc::SIG_DFL);
            let errno = execv(&argv[0], &argv).unwrap_err();
            panic!("{argv:?}: {errno}");
        }
    };
    let _ = setpgid(job, job);
    loop {
        match wait_for(job) {
            WaitStatus::Stopped(_, signal) => {
                tcsetpgrp(stdin(), getpgrp()).expect("tcsetpgrp");
                say(format_args!("job stopped by {}", signal as i32));
                tcsetpgrp(stdin(), job).expect("tcsetpgrp");
                killpg(job, Signal::SIGCONT).expect("killpg");
            }
            WaitStatus::Continued(_) => say("job goes on"),
            WaitStatus::Exited(_, status) => {
                say(format_args!("job exited with {status}"));
                return status;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn to_foreground(job: Pid) {
    let _ = setpgid(job, job);
    tcsetpgrp(stdin(), job).expect("tcsetpgrp");
}

/// Tells each signal that comes, and the size that the window has then. SIGTERM ends it.
pub(crate) fn window() -> i32 {
    set_mask(ALL);
    say("ready");
    loop {
        let number = next(ALL);
        // SAFETY: zeros are a valid winsize.
        let mut size: libc::winsize = unsafe { zeroed() };
        // SAFETY: writes a winsize.
        let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        say(format_args!("got {number} with {} rows, {} columns", size.ws_row, size.ws_col));
        if number == libc::SIGTERM {
            return 0;
        }
    }
}

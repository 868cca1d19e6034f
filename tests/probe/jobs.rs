//! Roles on the terminal that is their stdin.

use std::ffi::{CString, OsString};
use std::io::stdin;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, execv, fork, getpgrp, getpid, setpgid, tcsetpgrp};

use crate::processes::wait_for;
use crate::protocol::Report;
use crate::say;
use crate::signals::{ALL, next, set_disposition, set_mask};

/// Runs a job in the foreground, as a shell with job control. Resumes it whenever it stops.
pub(crate) fn shell(words: &[OsString]) -> i32 {
    let argv: Vec<CString> = words.iter().map(|word| CString::new(word.as_bytes()).unwrap()).collect();
    // A background process that takes the terminal back receives SIGTTOU.
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
                say(Report::JobStopped(signal as i32));
                tcsetpgrp(stdin(), job).expect("tcsetpgrp");
                killpg(job, Signal::SIGCONT).expect("killpg");
            }
            WaitStatus::Continued(_) => say(Report::JobResumed),
            WaitStatus::Exited(_, status) => {
                say(Report::JobExited(status));
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

/// Reports each signal, and the window's size at that moment. Exits on SIGTERM.
pub(crate) fn window() -> i32 {
    set_mask(ALL);
    say(Report::Ready);
    loop {
        let number = next(ALL);
        // SAFETY: zeros are a valid winsize.
        let mut size: libc::winsize = unsafe { zeroed() };
        // SAFETY: writes a winsize.
        let result = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        say(Report::Got(number));
        say(Report::WindowSize(size.ws_row.into(), size.ws_col.into()));
        if number == libc::SIGTERM {
            return 0;
        }
    }
}

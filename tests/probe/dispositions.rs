//! Programs with different dispositions, which report the signals that they receive.

use std::mem::{size_of, zeroed};
use std::{ptr, thread};

use crate::protocol::{Disposition, Report};
use crate::say;
use crate::signals::{ALL, next, set_disposition, set_mask};

const LAST: i32 = 64;
const ONLY_LAST: u64 = 1 << (LAST - 1);

/// Reports signals until it is killed.
pub(crate) fn run(disposition: Disposition, name: &str) -> ! {
    let report = |signum: i32| say(Report::Got(signum).by(name));
    let ready = || say(Report::ReadyAs(std::process::id(), disposition).by(name));
    set_mask(ALL);
    match disposition {
        Disposition::Catches => {
            catch_all(name);
            set_mask(0);
            ready();
            pause()
        }
        Disposition::CatchesInAThread => {
            catch_all(name);
            let (sender, receiver) = std::sync::mpsc::channel();
            thread::spawn(move || {
                set_mask(0);
                sender.send(()).expect("the first thread");
                pause()
            });
            receiver.recv().expect("the other thread");
            ready();
            pause()
        }
        Disposition::Waits => {
            ready();
            loop {
                report(next(ALL));
            }
        }
        Disposition::Reads => {
            let fd = signalfd(ALL);
            ready();
            loop {
                report(read_signal(fd));
            }
        }
        Disposition::Ignores | Disposition::Blocks | Disposition::Dies => {
            let (disposition, mask) = match disposition {
                Disposition::Ignores => (libc::SIG_IGN, ONLY_LAST),
                Disposition::Blocks => (libc::SIG_DFL, ALL),
                _ => (libc::SIG_DFL, ONLY_LAST),
            };
            (1..LAST)
                .filter(|&number| number != libc::SIGCHLD)
                .for_each(|number| set_disposition(number, disposition));
            set_mask(mask);
            // sigwait(3) on the last would show as a blocked signal that it is waited for.
            let fd = signalfd(ONLY_LAST);
            ready();
            loop {
                report(read_signal(fd));
            }
        }
    }
}

fn pause() -> ! {
    loop {
        nix::unistd::pause();
    }
}

static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Handles all signals one after the other; the kernel delivers the lowest first.
fn catch_all(name: &str) {
    extern "C" fn report(signum: libc::c_int) {
        let line = Report::Got(signum).by(NAME.get().map_or("", String::as_str)) + "\n";
        // The signal may have interrupted a use of std's stdout.
        // SAFETY: reads that many bytes of the line.
        unsafe { libc::write(libc::STDOUT_FILENO, line.as_ptr().cast(), line.len()) };
    }
    NAME.set(name.to_owned()).expect("one name");
    let handler: extern "C" fn(libc::c_int) = report;
    // SIGCHLD comes from children of a random tree.
    for number in (1..=LAST).filter(|&number| number != libc::SIGCHLD) {
        // SAFETY: zeros are a valid sigaction.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` lives through the calls. SIGKILL and SIGSTOP are refused.
        unsafe {
            libc::sigfillset(&raw mut action.sa_mask);
            libc::sigaction(number, &raw const action, ptr::null_mut());
        }
    }
}

fn signalfd(set: u64) -> libc::c_int {
    // SAFETY: reads eight bytes.
    let fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<u64>(), 0) };
    i32::try_from(fd).expect("a descriptor")
}

fn read_signal(fd: libc::c_int) -> i32 {
    loop {
        // SAFETY: zeros are a valid signalfd_siginfo.
        let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: writes that many bytes.
        let count = unsafe { libc::read(fd, (&raw mut info).cast(), size) };
        if count == size.cast_signed() && info.ssi_signo != libc::SIGCHLD.cast_unsigned() {
            return info.ssi_signo.cast_signed();
        }
    }
}

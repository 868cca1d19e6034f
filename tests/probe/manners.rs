//! The roles of programs that are prepared for signals in different manners, and tell what they get.

use std::mem::{size_of, zeroed};
use std::{ptr, thread};

use crate::say;
use crate::signals::{ALL, next, set_disposition, set_mask};

/// How a program is prepared for all signals but the last, by which it can be asked what it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// By a handler.
    Catches,
    /// By sigwait(3).
    Waits,
    /// By a signalfd(2).
    Reads,
    /// By a handler, in a thread that isn't the first, which blocks all.
    CatchesInAThread,
    Ignores,
    Blocks,
    Dies,
}

pub(crate) const MANNERS: [Manner; 7] = [
    Manner::Catches,
    Manner::Waits,
    Manner::Reads,
    Manner::CatchesInAThread,
    Manner::Ignores,
    Manner::Blocks,
    Manner::Dies,
];

const LAST: i32 = 64;
const ONLY_LAST: u64 = 1 << (LAST - 1);

impl Manner {
    pub(crate) fn named(name: &str) -> Self {
        MANNERS.into_iter().find(|manner| format!("{manner:?}") == name).expect("a manner")
    }

    /// Lives on in this manner. The mask is full.
    pub(crate) fn live(self, name: &str) -> ! {
        let tell = |number: i32| say(format_args!("{name} got {number}"));
        let ready = || say(format_args!("{name} ready {} {self:?}", std::process::id()));
        set_mask(ALL);
        match self {
            Self::Catches => {
                catch_all(name);
                set_mask(0);
                ready();
                pause()
            }
            Self::CatchesInAThread => {
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
            Self::Waits => {
                ready();
                loop {
                    tell(next(ALL));
                }
            }
            Self::Reads => {
                let fd = signalfd(ALL);
                ready();
                loop {
                    tell(read_signal(fd));
                }
            }
            Self::Ignores | Self::Blocks | Self::Dies => {
                let (disposition, mask) = match self {
                    Self::Ignores => (libc::SIG_IGN, ONLY_LAST),
                    Self::Blocks => (libc::SIG_DFL, ALL),
                    _ => (libc::SIG_DFL, ONLY_LAST),
                };
                (1..LAST)
                    .filter(|&number| number != libc::SIGCHLD)
                    .for_each(|number| set_disposition(number, disposition));
                set_mask(mask);
                // The last is read, since to wait for it would be to show the others as they are not.
                let fd = signalfd(ONLY_LAST);
                ready();
                loop {
                    tell(read_signal(fd));
                }
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

/// Handles every signal, one after the other: the lowest first, as the kernel delivers them.
fn catch_all(name: &str) {
    extern "C" fn tell(number: libc::c_int) {
        let line = format!("{} got {number}\n", NAME.get().map_or("", String::as_str));
        // std's stdout may be in use by whom the signal has interrupted.
        // SAFETY: reads that many bytes of the line.
        unsafe { libc::write(libc::STDOUT_FILENO, line.as_ptr().cast(), line.len()) };
    }
    NAME.set(name.to_owned()).expect("one name");
    let handler: extern "C" fn(libc::c_int) = tell;
    // SIGCHLD is of children that end, and nobody's business here.
    for number in (1..=LAST).filter(|&number| number != libc::SIGCHLD) {
        // SAFETY: zeros are a valid sigaction.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` lives through the calls; what can't be handled is refused.
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

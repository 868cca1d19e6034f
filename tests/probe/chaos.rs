//! Roles with many processes, for the stress test.

use std::io::{PipeReader, PipeWriter, pipe};

use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::{getpid, setuid};

use crate::processes::{close, fork_and, orphan, wait_for_eof};
use crate::protocol::Report;
use crate::say;
use crate::signals::{ALL, next, set_disposition, set_mask};

/// Makes `size` orphans on each SIGUSR1. Half of them exit at once, the others together before the report.
pub(crate) fn waves(size: u32) -> i32 {
    let usr1 = 1 << (libc::SIGUSR1 - 1);
    set_mask(usr1);
    say(Report::Ready);
    loop {
        next(usr1);
        let (reader, writer) = pipe().expect("a pipe");
        let parent = fork_and(|| {
            close(&writer);
            for number in 0..size {
                fork_and(|| {
                    if number % 2 == 0 {
                        wait_for_eof(&reader);
                    }
                });
            }
        });
        waitpid(parent, None).expect("waitpid");
        drop(writer);
        say(Report::Wave);
    }
}

/// Starts random children while signals arrive. On SIGTERM, exits together with the children that
/// wait for it.
pub(crate) fn run(seed: u64, size: u32, status: i32) -> i32 {
    set_mask(ALL);
    say(Report::Started(getpid().as_raw()));
    let mut random = Rng::with_seed(seed);
    let (reader, writer) = pipe().expect("a pipe");
    for _ in 0..size {
        let kind = random.u8(0..10);
        if kind == 9 {
            stop_under_trace_by_the_init(&mut random);
        } else {
            let mut random = random.fork();
            fork_and(|| child(kind, &mut random, &reader, &writer));
        }
    }
    say(Report::Ready);
    while next(ALL) != libc::SIGTERM {}
    status
}

/// Asks the init to trace it, and stops by a signal that has no effect by default.
fn stop_under_trace_by_the_init(random: &mut Rng) {
    // EPERM if it is still traced: a SIGCONT has discarded the last SIGSTOP.
    assert!(matches!(ptrace::traceme(), Ok(()) | Err(Errno::EPERM)), "PTRACE_TRACEME");
    if random.bool() {
        // Another signal in between would end the trace, and SIGSTOP would stop it for good.
        raise(libc::SIGSTOP);
    } else {
        set_mask(ALL & !(1 << (libc::SIGWINCH - 1)));
        raise(libc::SIGWINCH);
        set_mask(ALL);
    }
}

/// Child of the main process.
fn child(kind: u8, random: &mut Rng, reader: &PipeReader, writer: &PipeWriter) {
    close(writer);
    if random.bool() {
        set_mask(0);
    }
    match kind {
        0 => raise(libc::SIGSTOP),
        1 => {
            // A user namespace without other users refuses it.
            let _ = setuid(random.u32(1000..60000).into());
        }
        2 => orphan(|| {
            ptrace::traceme().expect("PTRACE_TRACEME");
            set_mask(0);
            let numbers = [libc::SIGSTOP, libc::SIGTRAP, libc::SIGWINCH, libc::SIGUSR1, libc::SIGSEGV, 40];
            raise(numbers[random.usize(..numbers.len())]);
            wait_for_eof(reader);
        }),
        3 => return,
        4 => orphan(|| wait_for_eof(reader)),
        5 => set_disposition(libc::SIGTERM, libc::SIG_IGN),
        6 => {
            for _ in 0..random.u8(1..4) {
                if let 1 = random.u8(..2) {
                    fork_and(|| wait_for_eof(reader));
                } else {
                    fork_and(|| {});
                }
            }
        }
        7 => orphan(|| {}),
        _ => {
            set_mask(0);
            raise([libc::SIGKILL, libc::SIGHUP, libc::SIGABRT, 50][random.usize(..4)]);
        }
    }
    wait_for_eof(reader);
}

fn raise(number: i32) {
    // SAFETY: a process may signal itself.
    unsafe { libc::kill(libc::getpid(), number) };
}

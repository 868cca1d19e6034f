//! Roles that have many processes, for the stress test.

use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsRawFd;

use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, setuid};

use crate::say;
use crate::signals::{ALL, next, set_disposition, set_mask};

/// At each SIGUSR1 makes a wave of `size` orphans, every other of which ends at once, and the rest in one moment. Tells when
/// that moment has come.
pub(crate) fn waves(size: u32) -> i32 {
    let usr1 = 1 << (libc::SIGUSR1 - 1);
    set_mask(usr1);
    say("ready");
    loop {
        next(usr1);
        let (reader, writer) = pipe().expect("a pipe");
        let parent = fork_and(|| {
            close(&writer);
            for number in 0..size {
                fork_and(|| {
                    if number % 2 == 0 {
                        wait_for_the_end(&reader);
                    }
                });
            }
        });
        waitpid(parent, None).expect("waitpid");
        drop(writer);
        say("wave");
    }
}

/// Has children of all kinds while signals rain. At a SIGTERM, ends in the same moment as those of them that wait for it.
pub(crate) fn mob(seed: u64, size: u32, status: i32) -> i32 {
    set_mask(ALL);
    say(format_args!("up {}", getpid()));
    let mut random = Rng::with_seed(seed);
    let (reader, writer) = pipe().expect("a pipe");
    for _ in 0..size {
        let kind = random.u8(0..10);
        if kind == 9 {
            stop_under_trace_by_the_init(&mut random);
        } else {
            let mut random = random.fork();
            fork_and(|| member(kind, &mut random, &reader, &writer));
        }
    }
    say("ready");
    while next(ALL) != libc::SIGTERM {}
    status
}

/// Asks for a trace by the init, and stops under it by a signal that leaves no trace when it is acted on.
fn stop_under_trace_by_the_init(random: &mut Rng) {
    // EPERM where it is traced still: a SIGCONT of the rain has discarded the last SIGSTOP before it could act.
    assert!(matches!(ptrace::traceme(), Ok(()) | Err(Errno::EPERM)), "PTRACE_TRACEME");
    if random.bool() {
        // Nothing else may come before: it would end the trace, and the stop would be an ordinary one.
        raise(libc::SIGSTOP);
    } else {
        set_mask(ALL & !(1 << (libc::SIGWINCH - 1)));
        raise(libc::SIGWINCH);
        set_mask(ALL);
    }
}

/// A child of the mob's main process.
fn member(kind: u8, random: &mut Rng, reader: &PipeReader, writer: &PipeWriter) {
    close(writer);
    if random.bool() {
        set_mask(0);
    }
    match kind {
        0 => raise(libc::SIGSTOP),
        1 => {
            // Refused where there is no other user, as in a user namespace.
            let _ = setuid(random.u32(1000..60000).into());
        }
        2 => orphan(|| {
            ptrace::traceme().expect("PTRACE_TRACEME");
            set_mask(0);
            let numbers = [libc::SIGSTOP, libc::SIGTRAP, libc::SIGWINCH, libc::SIGUSR1, libc::SIGSEGV, 40];
            raise(numbers[random.usize(..numbers.len())]);
            wait_for_the_end(reader);
        }),
        3 => return,
        4 => orphan(|| wait_for_the_end(reader)),
        5 => set_disposition(libc::SIGTERM, libc::SIG_IGN),
        6 => {
            for _ in 0..random.u8(1..4) {
                if let 1 = random.u8(..2) {
                    fork_and(|| wait_for_the_end(reader));
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
    wait_for_the_end(reader);
}

/// Runs this in a process whose parent has ended.
fn orphan(run: impl FnOnce()) {
    let parent = fork_and(|| {
        let parent = getpid();
        fork_and(|| {
            while getppid() == parent {
                std::thread::yield_now();
            }
            run();
        });
    });
    waitpid(parent, None).expect("waitpid");
}

/// Runs this in a child, which then ends.
fn fork_and(run: impl FnOnce()) -> Pid {
    // SAFETY: a single-threaded program.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            run();
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => child,
    }
}

/// Waits until every process that has the writing end has ended.
fn wait_for_the_end(reader: &PipeReader) {
    let _ = (&*reader).read(&mut [0]);
}

/// Closes this process's copy of what its parent keeps.
fn close(writer: &PipeWriter) {
    // SAFETY: nothing in this process uses it, and nothing closes it again: it ends by _exit(2).
    unsafe { libc::close(writer.as_raw_fd()) };
}

fn raise(number: i32) {
    // SAFETY: a process may signal itself.
    unsafe { libc::kill(libc::getpid(), number) };
}

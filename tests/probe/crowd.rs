//! Roles that have many processes.

use std::io::{PipeReader, PipeWriter, Read};

use nix::unistd::{ForkResult, fork};

use crate::say;
use crate::signals::{next, set_mask};

/// Has `count` orphans that end at the same moment, when it gets SIGUSR1.
pub(crate) fn orphans_that_wait(count: u32) -> ! {
    let orphans = processes(count, Kin::Orphans);
    wait_for_usr1();
    drop(orphans);
    crate::hang()
}

/// Has `count` orphans that end at the same moment, and as many children that end in the same moment as it does itself.
pub(crate) fn crowd(count: u32, status: i32) -> i32 {
    drop(processes(count, Kin::Orphans));
    let children = processes(count, Kin::Children);
    wait_for_usr1();
    drop(children);
    status
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Children,
    Orphans,
}

/// Starts processes that end when what is returned is dropped.
fn processes(count: u32, kin: Kin) -> PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    for _ in 0..count {
        fork_and(|| {
            // SAFETY: a descriptor that only this process's copy of `writer` has.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&writer)) };
            match kin {
                Kin::Children => wait_for_the_end(&reader),
                Kin::Orphans => fork_and(|| wait_for_the_end(&reader)),
            }
        });
    }
    if kin == Kin::Orphans {
        while nix::sys::wait::wait().is_ok() {}
    }
    writer
}

fn wait_for_usr1() {
    let usr1 = 1 << (libc::SIGUSR1 - 1);
    set_mask(usr1);
    say("ready");
    next(usr1);
}

fn wait_for_the_end(reader: &PipeReader) {
    let _ = (&*reader).read(&mut [0]);
}

/// Runs this in a child, which then ends.
fn fork_and(run: impl FnOnce()) {
    // SAFETY: a single-threaded program.
    if let ForkResult::Child = unsafe { fork() }.expect("fork") {
        run();
        // SAFETY: ends this process and nothing else.
        unsafe { libc::_exit(0) };
    }
}

//! Roles that have many processes.

use std::io::{PipeReader, Read};

use nix::unistd::{ForkResult, fork};

use crate::say;
use crate::signals::{next, set_mask};

/// Has `count` orphans that end at the same moment, and as many children that end in the same moment as it does itself.
pub(crate) fn crowd(count: u32, status: i32) -> i32 {
    let ended_by = |grandchildren: bool| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        for _ in 0..count {
            fork_and(|| {
                // SAFETY: a descriptor that only this process's copy of `writer` has.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&writer)) };
                if grandchildren {
                    fork_and(|| wait_for_the_end(&reader));
                } else {
                    wait_for_the_end(&reader);
                }
            });
        }
        writer
    };
    let orphans = ended_by(true);
    while nix::sys::wait::wait().is_ok() {}
    drop(orphans);
    let children = ended_by(false);
    let usr1 = 1 << (libc::SIGUSR1 - 1);
    set_mask(usr1);
    say("ready");
    next(usr1);
    drop(children);
    status
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

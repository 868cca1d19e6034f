//! Roles whose children exit at the same moment.

use std::io::PipeWriter;

use crate::processes::{close, fork_and, orphan, wait_for_eof};
use crate::protocol::Report;
use crate::signals::{next, set_mask};
use crate::{hang, say};

/// Leaves `count` orphans behind, each of which exits as soon as it is one. Then waits for a signal.
pub(crate) fn orphans(count: u32) -> ! {
    (0..count).for_each(|_| orphan(|| {}));
    hang()
}

/// Has `count` orphans that exit at the same moment, on SIGUSR1.
pub(crate) fn waiting_orphans(count: u32) -> ! {
    let orphans = start(count, Kin::Orphans);
    wait_for_usr1();
    drop(orphans);
    hang()
}

/// Has `count` orphans that exit at the same moment, and as many children that exit together with it.
pub(crate) fn exit_together(count: u32, status: i32) -> i32 {
    drop(start(count, Kin::Orphans));
    let children = start(count, Kin::Children);
    wait_for_usr1();
    drop(children);
    status
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Children,
    Orphans,
}

/// Starts processes that exit when the returned pipe is dropped.
fn start(count: u32, kin: Kin) -> PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    for _ in 0..count {
        fork_and(|| {
            close(&writer);
            match kin {
                Kin::Children => wait_for_eof(&reader),
                Kin::Orphans => drop(fork_and(|| wait_for_eof(&reader))),
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
    say(Report::Ready);
    next(usr1);
}

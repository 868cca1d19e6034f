//! Which child from before our start is none that is waited for?
//!
//! `exec dumb-init ... > >(logger)` gives us a child that isn't the container's but a part of our own plumbing: it reads what
//! we print, or prints what we read. Such a one would never end while we wait for it, and what the others say at their end
//! would be lost if it did. It ends by itself when the last who holds the other end of its pipe has ended, and that is us.

use std::time::{Duration, Instant};

use nix::unistd::{Pid, getpid};

use crate::logging::{self, Line};
use crate::process;
use crate::signal::Signum;
use crate::sys::children::{self, Change, Nothing};
use crate::sys::{fds, signals};

/// How long it may take to pass on what it has, when all others have ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// The children that we have already, before we start the command. Says so where /proc doesn't tell.
pub(crate) fn older_children() -> Vec<Pid> {
    let Some(all) = process::snapshot() else {
        logging::say(Line::NoProc);
        return Vec::new();
    };
    all.iter().filter(|process| process.parent == getpid()).map(|process| process.pid).collect()
}

/// Is this older child a part of our plumbing? To be asked late: at our start it may still be busy with its redirections.
pub(crate) fn has(child: Pid) -> bool {
    is_of(getpid(), child)
}

/// Is this older child of an init a part of that one's plumbing?
pub(crate) fn is_of(init: Pid, child: Pid) -> bool {
    let pipe = |pid, descriptor| process::pipe_behind(pid, descriptor);
    let [our_input, our_output, our_errors] = [0, 1, 2].map(|descriptor| pipe(init, descriptor));
    let (input, output) = (pipe(child, libc::STDIN_FILENO), pipe(child, libc::STDOUT_FILENO));
    (input.is_some() && (input == our_output || input == our_errors)) || (output.is_some() && output == our_input)
}

/// Lets it pass on what it has, when nobody else is left: as PID 1 we would take it with us.
pub(crate) fn await_its_end() {
    let end = Instant::now().checked_add(PATIENCE);
    fds::close_standard_ones();
    loop {
        match children::take() {
            Ok(Change::Ended { .. }) => {}
            Ok(Change::Trapped { pid, signum }) => children::release(pid, signum.and_then(Signum::without_a_tracer)),
            Err(Nothing::Left) => return,
            Err(Nothing::Changed) => {
                let left = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
                // Whatever comes now, there is nobody to get it.
                if left.is_zero() || signals::wait_for(left).is_none() {
                    return;
                }
            }
        }
    }
}

//! Closes our end of the pipes that our children read.
//!
//! In `exec dumb-init ... > >(logger)`, the logger is a child of ours that sees end of file only then.

use std::time::Instant;

use nix::unistd::{Pid, getpid};

use super::Delivery;
use crate::process::pipes::{self, Ends, Pipe};
use crate::process::{self, Process};
use crate::sys::fds;

impl Delivery {
    /// Whether a child with this input reads one of our outputs. A child from before our exec that hides its
    /// descriptors counts, since it may be the logger of another user.
    pub(super) fn reads_our_output(
        &self,
        child: Pid,
        input: Option<Pipe>,
        outputs: [Option<Pipe>; 2],
    ) -> bool {
        let is_reader = input.is_some() && outputs.contains(&input);
        is_reader || (self.older_children.contains(&child) && pipes::may_read(child, outputs))
    }

    /// Closes our end if the command has exited and all children that are left read it.
    pub(super) fn close_our_end_if_alone(&mut self) {
        let outputs = Ends::of_init(getpid()).outputs;
        if self.command.is_some() || outputs == [None; 2] {
            return;
        }
        let mut inputs = Vec::new();
        for child in process::children().unwrap_or_default() {
            let input = pipes::input_of(child);
            if self.reads_our_output(child, input, outputs) {
                inputs.push(input);
            } else if Process::read_child(child).is_ok_and(|process| process.is_alive()) {
                return;
            }
        }
        if inputs.is_empty() {
            return;
        }
        for (descriptor, pipe) in [libc::STDOUT_FILENO, libc::STDERR_FILENO].into_iter().zip(outputs) {
            // A reader that hides its input may read either.
            if pipe.is_some() && (inputs.contains(&pipe) || inputs.contains(&None)) {
                fds::replace_by_null(descriptor);
            }
        }
        self.our_end_closed_at = Some(Instant::now());
    }
}

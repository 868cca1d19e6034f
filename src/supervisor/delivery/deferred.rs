//! Holds signals back from processes that must not receive them yet.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getpid};

use super::{Delivery, target};
use crate::log::ProcessMessage;
use crate::process::Process;
use crate::process::pipeline::{Input, Pipeline};
use crate::process::pipes::{self, Ends, Pipe};
use crate::signal::Signum;

/// The time for a reader to exit after the end of its input.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time for a reader whose writer cannot be seen, since there may be none. A drain signals it at the
/// latest with every remaining descendant.
const PATIENCE_WITH_HIDDEN: Duration = Duration::from_secs(30);

/// The rounds in which a parent may exit before its new child is left to it for good: about a second if
/// children of ours exit meanwhile, and at most four.
const ROUNDS_FOR_PARENT: u32 = 8;

/// A signal that a process receives after an event, or never if it exits before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deferred {
    process: Process,
    signum: Signum,
    wait: Wait,
}

/// The event after which a deferred signal is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// A pipe reader has not exited a second after the end of its input. The state of the input, and the
    /// time of its last change.
    EndOfInput(Input, Instant),
    /// A reader of our output has not exited a second after we closed our end.
    EndOfOurOutput,
    /// The parent of a process that was started during a walk has exited. The number of rounds that are left
    /// to it.
    ParentExit(u32),
}

impl Wait {
    pub(super) const FOR_PARENT: Self = Self::ParentExit(ROUNDS_FOR_PARENT);

    fn for_input(input: Input) -> Self {
        if input == Input::FedBy(getpid()) {
            Self::EndOfOurOutput
        } else {
            Self::EndOfInput(input, Instant::now())
        }
    }
}

/// The decision on a deferred signal in one round.
enum Decision {
    Keep,
    /// The process as it is now receives the signal.
    Send(Process),
    Drop,
}

/// The pipes between all descendants, or the errno of a look that failed.
type Look = nix::Result<Pipeline>;

impl Delivery {
    /// Defers a signal, unless it is deferred already.
    pub(super) fn defer(&mut self, process: &Process, signum: Signum, wait: Wait) {
        let is_same = |other: &Deferred| {
            (other.process.pid, other.process.started, other.signum) == (process.pid, process.started, signum)
        };
        if !self.deferred.iter().any(is_same) {
            self.deferred.push(Deferred { process: *process, signum, wait });
        }
    }

    /// The pipe readers among some processes, each with the event that it waits for. None if the look
    /// failed. The command is no reader, since nothing else would end it.
    pub(super) fn readers(&mut self, processes: &[Process], is_drain: bool) -> BTreeMap<Pid, Wait> {
        let ours = Ends::of_init(getpid());
        let may_feed = |pipe: &Pipe| Some(*pipe) != ours.input;
        // A drain begins right after the start if the command fails at once.
        let is_prepared = |process: &Process| is_drain && process.has_not_executed;
        let mut readers = BTreeMap::new();
        let mut candidates = Vec::new();
        for process in processes.iter().filter(|process| Some(process.pid) != self.command) {
            let input = pipes::input_of(process.pid);
            if self.reads_our_output(process.pid, input, ours.outputs) {
                readers.insert(process.pid, Wait::EndOfOurOutput);
            } else if input.as_ref().is_some_and(may_feed)
                || (is_prepared(process) && pipes::read_by(process.pid).iter().any(may_feed))
            {
                candidates.push(process);
            }
        }
        if candidates.is_empty() {
            return readers;
        }
        let look = self.look().and_then(|tree| Pipeline::read(&tree, getpid()));
        let Ok(pipeline) = look else { return BTreeMap::new() };
        for process in candidates {
            if let Some(input) = pipeline.input(process.pid, is_prepared(process)) {
                readers.insert(process.pid, Wait::for_input(input));
            }
        }
        readers
    }

    /// Sends the deferred signals that are due. `is_fallback` if every remaining descendant receives the
    /// drain's signal in this round.
    pub(super) fn send_deferred(&mut self, is_fallback: bool) {
        let mut look = None;
        for mut deferred in mem::take(&mut self.deferred) {
            match self.decide(&mut deferred, &mut look, is_fallback) {
                Decision::Keep => self.deferred.push(deferred),
                Decision::Send(process) => {
                    let signum = deferred.signum;
                    target::signal(&process, signum, Some(ProcessMessage::Gets(signum)));
                    if signum.asks_to_end() {
                        target::resume(&process);
                    }
                }
                Decision::Drop => {}
            }
        }
    }

    fn decide(&mut self, deferred: &mut Deferred, look: &mut Option<Look>, is_fallback: bool) -> Decision {
        let process = match Process::read(deferred.process.pid) {
            Ok(Some(now)) if now.started == deferred.process.started && now.is_alive() => now,
            Ok(_) => return Decision::Drop,
            Err(_) => return Decision::Keep,
        };
        let is_due = match &mut deferred.wait {
            Wait::ParentExit(_) if process.parent != deferred.process.parent => true,
            Wait::ParentExit(0) => return Decision::Drop,
            Wait::ParentExit(rounds) => {
                *rounds = rounds.saturating_sub(1);
                false
            }
            Wait::EndOfOurOutput => self.our_end_closed_at.is_some_and(|at| at.elapsed() >= PATIENCE),
            Wait::EndOfInput(input, since) => {
                // A stopped process does not read to the end of its input.
                target::resume(&process);
                match self.input_of_reader(&process, *input, *since, look) {
                    Ok(Some(now)) => {
                        if now != *input {
                            (*input, *since) = (now, Instant::now());
                        }
                        match now {
                            Input::FedBy(_) => false,
                            Input::FedByHidden => is_fallback || since.elapsed() >= PATIENCE_WITH_HIDDEN,
                            Input::Ending => since.elapsed() >= PATIENCE,
                        }
                    }
                    // It reads something else by now.
                    Ok(None) => true,
                    // The next round tries again.
                    Err(_) => false,
                }
            }
        };
        if is_due { Decision::Send(process) } else { Decision::Keep }
    }

    /// The state of a pipe reader's input. Looks at all processes only if it may have changed.
    fn input_of_reader(
        &mut self,
        process: &Process,
        before: Input,
        since: Instant,
        look: &mut Option<Look>,
    ) -> nix::Result<Option<Input>> {
        let is_unchanged = match before {
            Input::FedBy(writer) => {
                pipes::input_of(process.pid).is_some_and(|input| pipes::still_writes(writer, input))
            }
            Input::FedByHidden => false,
            Input::Ending => since.elapsed() < PATIENCE,
        };
        if is_unchanged {
            return Ok(Some(before));
        }
        let look = look.get_or_insert_with(|| self.look().and_then(|tree| Pipeline::read(&tree, getpid())));
        look.as_ref().map_err(|&errno| errno).map(|look| look.input(process.pid, process.has_not_executed))
    }
}

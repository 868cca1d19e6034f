//! Holds signals back from processes that must not receive them yet.
//!
//! A pipe reader receives a signal after its writers, unless it exits by end of file. A process that was
//! started while a walk signalled its parent receives the signal if that parent exits soon.

use std::mem;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use super::walk::target_of;
use super::{Delivery, family, living};
use crate::log::{self, Message, ProcessMessage};
use crate::policy::Care;
use crate::process::descendants::{Depth, Tree};
use crate::process::pipes::{self, Ends, Input, Pipe, Pipeline};
use crate::process::{self, Process, State, Unseen, list_with_capacity};
use crate::signal::Signum;

/// The time for a reader to exit by end of file, and for the parent of a newborn process to exit.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time that a reader has if its writer cannot be seen, since there may be none. A drain signals it at the
/// latest with every remaining descendant.
const PATIENCE_WITH_HIDDEN: Duration = Duration::from_secs(30);

/// The time between two looks at all processes for deferred signals, so that their cost does not grow with the
/// number of exits.
const LOOK_GAP: Duration = Duration::from_millis(250);

/// The event after which a deferred signal is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// End of file on its input: the writer seen last, and when the last writer had exited.
    Input { writer: Option<Pid>, ended: Option<Instant> },
    /// End of file on the pipe that we write to.
    OurOutput,
    /// The exit of its parent before this time.
    Parent(Pid, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    process: Process,
    signum: Signum,
    wait: Wait,
    since: Instant,
    /// Whether the process was continued. It may stop again, but this does not go on for ever.
    is_continued: bool,
}

/// The deferred signals.
#[derive(Clone, Debug, Default)]
pub(super) struct Deferred(Vec<Entry>);

impl Deferred {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add_newborn(&mut self, process: &Process, signum: Signum) {
        let until = Instant::now().checked_add(PATIENCE).unwrap_or_else(Instant::now);
        // If there is no memory for it, the process is left to its parent.
        self.add(process, signum, Wait::Parent(process.parent, until));
    }

    /// Adds a signal, unless it is there already. Returns false if there is no memory for it.
    fn add(&mut self, process: &Process, signum: Signum, wait: Wait) -> bool {
        let is_same = |entry: &Entry| {
            (entry.process.pid, entry.process.started, entry.signum) == (process.pid, process.started, signum)
        };
        if self.0.iter().any(is_same) {
            return true;
        }
        let has_room = self.0.try_reserve(1).is_ok();
        if has_room {
            self.0.push(Entry {
                process: *process,
                signum,
                wait,
                since: Instant::now(),
                is_continued: false,
            });
        }
        has_room
    }
}

impl Delivery {
    /// Removes pipe readers from `due`, and defers their signal. The command is never a reader, since
    /// nothing else would end it. If the look for readers fails, no process is deferred.
    pub(super) fn put_readers_aside(
        &mut self,
        due: &mut Vec<Process>,
        signum: Signum,
        care: Care,
        tree: Option<&Tree>,
        is_drain: bool,
    ) {
        let Some(readers) = self.readers(due, tree, is_drain) else { return };
        // They are in the order of `due`, so one pass is enough.
        let mut readers = readers.iter().peekable();
        due.retain(|process| {
            let Some((_, wait)) = readers.next_if(|(reader, _)| reader.pid == process.pid) else {
                return true;
            };
            let is_deferred = self.deferred.add(process, signum, *wait);
            if is_deferred && care.records {
                self.signalled.insert(process);
            }
            !is_deferred
        });
    }

    /// Whether there is a pipe reader among some processes.
    pub(super) fn has_reader(&mut self, processes: &[Process], tree: &Tree) -> bool {
        self.readers(processes, Some(tree), false).is_some()
    }

    /// The pipe readers among some processes, each with the event that it waits for. `None` if there are
    /// none, or if the look failed.
    fn readers(
        &mut self,
        processes: &[Process],
        tree: Option<&Tree>,
        is_drain: bool,
    ) -> Option<Vec<(Process, Wait)>> {
        let ours = Ends::ours();
        let mut readers = Vec::new();
        let mut pipeline: Option<Pipeline> = None;
        // A drain begins right after the start if the command fails at once.
        let may_be_prepared = |process: &Process| is_drain && process.has_not_executed;
        let command = self.command;
        for process in processes.iter().filter(|process| Some(process.pid) != command) {
            let likely = pipes::likely_input_of(process.pid);
            let wait = if self.is_our_reader(process.pid, likely, ours.outputs) {
                Some(Wait::OurOutput)
            } else if (likely.is_some() && likely != ours.input && pipes::input_of(process.pid) == Ok(likely))
                || (may_be_prepared(process) && pipes::reads_any(process.pid, ours.input))
            {
                if pipeline.is_none() {
                    pipeline = match tree {
                        Some(tree) => pipeline_of(tree, ours.input),
                        None => pipeline_of(&self.look().ok()?, ours.input),
                    };
                }
                let pipeline = pipeline.as_ref()?;
                let mut input = pipeline.input(process.pid);
                if may_be_prepared(process) {
                    input = input.or_else(|| pipeline.input_before_exec(process.pid));
                }
                input.map(Wait::of)
            } else {
                None
            };
            if let Some(wait) = wait {
                readers.try_reserve(1).ok()?;
                readers.push((*process, wait));
            }
        }
        (!readers.is_empty()).then_some(readers)
    }

    /// Whether a child reads a pipe that we write to, so that its input ends only when we close our end. A
    /// child from before our exec that hides its descriptors counts, since it may be the logger of another
    /// user.
    fn is_our_reader(&mut self, child: Pid, likely_input: Option<Pipe>, outputs: [Option<Pipe>; 2]) -> bool {
        if self.our_readers.contains(&child) {
            return true;
        }
        let is_likely = likely_input.is_some() && outputs.contains(&likely_input);
        let is_reader = is_likely && pipes::input_of(child) == Ok(likely_input)
            || self.older_children.contains(&child) && pipes::may_read(child, outputs);
        if is_reader && self.our_readers.try_reserve(1).is_ok() {
            self.our_readers.push(child);
        }
        is_reader
    }

    /// Finds the children that read a pipe that we write to, if no walk looks for them.
    pub(super) fn find_our_readers(&mut self) {
        let outputs = Ends::ours().outputs;
        if outputs.iter().any(Option::is_some) {
            for child in process::children().unwrap_or_default() {
                self.is_our_reader(child, pipes::likely_input_of(child), outputs);
            }
        }
    }

    /// Sends the deferred signals that are due. `is_fallback` if every remaining descendant gets the drain's signal.
    pub(super) fn send_deferred(&mut self, is_fallback: bool) {
        if self.deferred.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut entries = mem::take(&mut self.deferred.0);
        let mut pipeline = None;
        let may_look = self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_GAP);
        entries.retain_mut(|entry| {
            let process = match Process::read(entry.process.pid) {
                Ok(process) => process,
                // The next round tries again.
                Err(Unseen::Failed(_)) => return true,
                Err(Unseen::Gone | Unseen::Hidden) => return false,
            };
            if process.started != entry.process.started || process.state == State::Zombie {
                return false;
            }
            // A stopped process does not read to the end of its input. It may have stopped after its signal was
            // deferred.
            if process.state == State::Stopped && !mem::replace(&mut entry.is_continued, true) {
                let _ = target_of(&process).and_then(|target| target.send(Signum::CONT));
                if let Wait::Input { ended, .. } = &mut entry.wait {
                    *ended = None;
                }
                return true;
            }
            let is_due = match &mut entry.wait {
                Wait::Parent(parent, until) if process.parent == *parent => return now < *until,
                Wait::Parent(..) => true,
                Wait::OurOutput => {
                    self.released_at.is_some_and(|at| now.saturating_duration_since(at) >= PATIENCE)
                }
                Wait::Input { writer, ended } => {
                    // A look at all processes is expensive, and no signal is due before this.
                    if ended.is_some_and(|at| now.saturating_duration_since(at) < PATIENCE) {
                        return true;
                    }
                    let input = pipes::input_of(process.pid).ok().flatten();
                    let is_fed =
                        input.zip(*writer).is_some_and(|(input, writer)| pipes::still_writes(writer, input));
                    if is_fed {
                        return true;
                    }
                    if pipeline.is_none() && !may_look {
                        return true;
                    }
                    let pipeline = pipeline.get_or_insert_with(|| {
                        self.looked_at = Some(now);
                        pipeline_of(&self.look().ok()?, Ends::ours().input)
                    });
                    let input = |pipeline: &Pipeline| match pipeline.input(process.pid) {
                        None if process.has_not_executed => pipeline.input_before_exec(process.pid),
                        input => input,
                    };
                    match pipeline.as_ref().map(input) {
                        // Without a look the next round tries again.
                        None => return true,
                        Some(Some(Input::FedBy(other))) => {
                            (*writer, *ended) = (Some(other), None);
                            return true;
                        }
                        Some(Some(Input::FedByHidden)) => {
                            is_fallback || now.saturating_duration_since(entry.since) >= PATIENCE_WITH_HIDDEN
                        }
                        Some(Some(Input::Ending)) => {
                            now.saturating_duration_since(*ended.get_or_insert(now)) >= PATIENCE
                        }
                        Some(None) => true,
                    }
                }
            };
            let send = |signum| {
                let target = target_of(&process)?;
                target.send(signum)?;
                // A stopped process acts on nothing until it is continued.
                if process.state == State::Stopped { target.send(Signum::CONT) } else { Ok(()) }
            };
            if is_due {
                let signum = entry.signum;
                match send(signum) {
                    Ok(()) => log::write_process(process.pid, &process.name, ProcessMessage::Gets(signum)),
                    // ESRCH: it has exited meanwhile.
                    Err(Errno::ESRCH) => {}
                    Err(errno) => log::write(Message::NotDelivered { signum, pid: process.pid, errno }),
                }
            }
            !is_due
        });
        self.deferred.0 = entries;
    }
}

impl Wait {
    fn of(input: Input) -> Self {
        match input {
            Input::FedBy(writer) if writer == getpid() => Self::OurOutput,
            Input::FedBy(writer) => Self::Input { writer: Some(writer), ended: None },
            Input::FedByHidden => Self::Input { writer: None, ended: None },
            Input::Ending => Self::Input { writer: None, ended: Some(Instant::now()) },
        }
    }
}

/// The pipes between us and all our descendants. `None` if there is no memory for them, or a look failed.
fn pipeline_of(tree: &Tree, our_input: Option<Pipe>) -> Option<Pipeline> {
    let family = family(tree, Depth::All).ok()?;
    let mut ends = list_with_capacity(family.len().saturating_add(1)).ok()?;
    ends.push(Ends { input: None, ..Ends::ours() });
    let mut has_hidden = false;
    for process in living(&family) {
        match Ends::read(process.pid) {
            Ok(read) => ends.push(Ends { parent: Some(process.parent), ..read }),
            Err(Unseen::Hidden) => has_hidden = true,
            Err(Unseen::Gone) => {}
            Err(Unseen::Failed(_)) => return None,
        }
    }
    Pipeline::new(ends, our_input, has_hidden).ok()
}

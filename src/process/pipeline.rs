//! Finds the pipe readers among the descendants, which are signalled after their writers.
//!
//! If `app | tee log` receives SIGTERM, `tee` exits at once, and `app` loses its last lines or is killed by
//! SIGPIPE. So a reader is not signalled before its input ends.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::iter;

use nix::unistd::Pid;

use super::Unseen;
use super::descendants::Tree;
use super::pipes::{self, Ends, Pipe};

/// The state of a pipe reader's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// This living process writes to it.
    FedBy(Pid),
    /// Its writer cannot be seen, if there is one.
    FedByHidden,
    /// No living process writes to it: end of file follows.
    Ending,
}

/// The pipes between an init and its descendants at one moment: a graph of processes, with an edge from each
/// writer of a pipe to each of its readers.
pub(crate) struct Pipeline {
    processes: BTreeMap<Pid, Member>,
    /// The processes that have a pipe as standard output or error.
    writers: BTreeMap<Pipe, Vec<Pid>>,
    /// The processes that write to a pipe by any descriptor. Read at the first use, since it takes long.
    holders: OnceCell<BTreeMap<Pipe, Vec<Pid>>>,
    /// The standard input of the init. Its writers are outside of the container, so that we do not see
    /// them.
    outer_input: Option<Pipe>,
    /// Whether a living process hides its pipes.
    has_hidden: bool,
}

/// A process of a pipeline.
#[derive(Clone, Copy)]
struct Member {
    parent: Pid,
    ends: Ends,
}

impl Pipeline {
    /// Reads the pipes of an init and its descendants. Fails if a look failed.
    pub(crate) fn read(tree: &Tree, init: Pid) -> nix::Result<Self> {
        let Ends { input: outer_input, outputs } = Ends::of_init(init);
        let own = Member { parent: init, ends: Ends { input: None, outputs } };
        let mut processes = BTreeMap::from([(init, own)]);
        let mut has_hidden = false;
        for process in tree.descendants(init, |_| false, |_| false) {
            match Ends::read(process.pid) {
                Ok(ends) => _ = processes.insert(process.pid, Member { parent: process.parent, ends }),
                Err(Unseen::Hidden) => has_hidden = true,
                Err(Unseen::Gone) => {}
                Err(Unseen::Failed(errno)) => return Err(errno),
            }
        }
        Ok(Self::new(processes, outer_input, has_hidden))
    }

    fn new(processes: BTreeMap<Pid, Member>, outer_input: Option<Pipe>, has_hidden: bool) -> Self {
        let outputs = |(&pid, member): (&Pid, &Member)| member.ends.outputs.map(|pipe| Some((pipe?, pid)));
        let writers = by_pipe(processes.iter().flat_map(outputs).flatten());
        Self { processes, writers, holders: OnceCell::new(), outer_input, has_hidden }
    }

    /// The state of a process's input if it is a pipe reader. A shell's child that `is_prepared` has not
    /// executed the reader yet, and may have the pipe by another descriptor than standard input.
    pub(crate) fn input(&self, pid: Pid, is_prepared: bool) -> Option<Input> {
        let input = self.input_of(pid).filter(|&pipe| !self.is_in_cycle(pid, pipe));
        let state = input.and_then(|pipe| self.state_of(pipe, pid, false));
        if state.is_some() || !is_prepared {
            return state;
        }
        let mut others = pipes::read_by(pid).into_iter().filter(|&pipe| Some(pipe) != self.outer_input);
        others.find_map(|pipe| self.state_of(pipe, pid, true))
    }

    /// The pipe that a process has as standard input, unless it comes from outside of the container.
    fn input_of(&self, pid: Pid) -> Option<Pipe> {
        self.processes.get(&pid)?.ends.input.filter(|&pipe| Some(pipe) != self.outer_input)
    }

    /// Whether the output of a process comes back to its input (a coprocess), so that waiting for the end
    /// of its input would never end.
    fn is_in_cycle(&self, pid: Pid, input: Pipe) -> bool {
        let Some(reader) = self.processes.get(&pid) else { return false };
        let mut upstream = vec![input];
        let mut next: usize = 0;
        while let Some(&pipe) = upstream.get(next) {
            if reader.ends.writes(pipe) {
                return true;
            }
            for input in processes_with(&self.writers, pipe).filter_map(|writer| self.input_of(writer)) {
                if !upstream.contains(&input) {
                    upstream.push(input);
                }
            }
            next = next.saturating_add(1);
        }
        false
    }

    /// The state of a pipe that `reader` reads.
    ///
    /// `None` if an ancestor writes to it by a descriptor above 2, as a program does that feeds its child.
    /// Any other process has the pipe there only while it redirects its output.
    fn state_of(&self, pipe: Pipe, reader: Pid, is_prepared: bool) -> Option<Input> {
        if let Some(writer) = processes_with(&self.writers, pipe).find(|&writer| writer != reader) {
            return Some(Input::FedBy(writer));
        }
        let holders = self.holders.get_or_init(|| {
            let pipes_of = |&pid| pipes::written_by(pid).into_iter().map(move |pipe| (pipe, pid));
            by_pipe(self.processes.keys().flat_map(pipes_of))
        });
        // A holder that reads a pipe itself could wait for this reader.
        let feeds_child = |holder: Pid| {
            if holder == reader {
                !is_prepared
            } else {
                self.is_ancestor(holder, reader) || self.input_of(holder).is_some()
            }
        };
        if processes_with(holders, pipe).any(feeds_child) {
            return None;
        }
        Some(match processes_with(holders, pipe).find(|&holder| holder != reader) {
            Some(writer) => Input::FedBy(writer),
            None if self.has_hidden => Input::FedByHidden,
            None => Input::Ending,
        })
    }

    fn is_ancestor(&self, ancestor: Pid, pid: Pid) -> bool {
        let parent = |pid: &Pid| self.processes.get(pid).map(|member| member.parent);
        // A list that was made while PIDs were reused could lead in a circle.
        iter::successors(parent(&pid), parent).take(self.processes.len()).any(|pid| pid == ancestor)
    }
}

fn by_pipe(pairs: impl Iterator<Item = (Pipe, Pid)>) -> BTreeMap<Pipe, Vec<Pid>> {
    let mut map: BTreeMap<Pipe, Vec<Pid>> = BTreeMap::new();
    pairs.for_each(|(pipe, pid)| map.entry(pipe).or_default().push(pid));
    map
}

fn processes_with(map: &BTreeMap<Pipe, Vec<Pid>>, pipe: Pipe) -> impl Iterator<Item = Pid> {
    map.get(&pipe).into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    // PIDs above the highest that the kernel gives, so that nothing is read of them.
    const A: Pid = Pid::from_raw(i32::MAX - 3);
    const B: Pid = Pid::from_raw(i32::MAX - 2);
    const C: Pid = Pid::from_raw(i32::MAX - 1);

    /// The state of the input of each pipe reader. A process is given by its input, output and error.
    fn readers(all: &[(Pid, [u64; 3])], outer_input: u64, has_hidden: bool) -> Vec<(Pid, Input)> {
        let pipe = |number: u64| (number > 0).then_some(Pipe(number));
        let member = |&(pid, [input, output, error]): &(Pid, [u64; 3])| {
            let ends = Ends { input: pipe(input), outputs: [pipe(output), pipe(error)] };
            (pid, Member { parent: pid, ends })
        };
        let pipeline = Pipeline::new(all.iter().map(member).collect(), pipe(outer_input), has_hidden);
        all.iter().filter_map(|&(pid, _)| Some((pid, pipeline.input(pid, false)?))).collect()
    }

    #[test]
    fn reader_is_fed_by_the_output_or_error_of_another_process() {
        let all = [(A, [0, 1, 9]), (B, [1, 2, 9]), (C, [2, 9, 9])];
        assert_eq!(readers(&all, 0, false), [(B, Input::FedBy(A)), (C, Input::FedBy(B))]);
        assert_eq!(readers(&all[1..], 0, false), [(B, Input::Ending), (C, Input::FedBy(B))]);
        assert_eq!(readers(&[(A, [0, 9, 1]), all[1]], 0, false), [(B, Input::FedBy(A))]);
    }

    #[test]
    fn process_in_a_cycle_is_no_reader() {
        let all = [(A, [1, 2, 3]), (B, [2, 1, 9]), (C, [3, 9, 9])];
        assert_eq!(readers(&all, 0, false), [(C, Input::FedBy(A))]);
        assert_eq!(readers(&[(A, [1, 1, 9]), (B, [0, 1, 9])], 0, false), []);
    }

    #[test]
    fn process_that_reads_from_outside_is_no_reader() {
        assert_eq!(readers(&[(A, [1, 9, 9]), (B, [1, 9, 9])], 1, false), []);
    }

    #[test]
    fn reader_without_visible_writer_may_have_a_hidden_one() {
        assert_eq!(readers(&[(A, [1, 9, 9])], 0, true), [(A, Input::FedByHidden)]);
    }
}

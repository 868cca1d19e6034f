//! The set of processes that have received a signal.
//!
//! A drain signals no process twice. Neither does a walk over all descendants, which finds the same processes
//! again in its next pass. No input or output.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::Process;

/// Processes that have received a signal. A process that reuses a PID is told apart by its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signalled {
    /// PID and start of each, in the order of the PIDs, each PID once.
    processes: Vec<(Pid, u64)>,
}

impl Signalled {
    /// Makes room for further processes.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn reserve(&mut self, count: usize) -> nix::Result<()> {
        self.processes.try_reserve(count).map_err(|_| Errno::ENOMEM)
    }

    /// Adds a process. If there is no memory for it, it may be signalled twice: see [`Self::reserve`].
    pub(crate) fn insert(&mut self, process: &Process) {
        let entry = (process.pid, process.started);
        match self.index(process.pid) {
            Ok(index) => {
                if let Some(old) = self.processes.get_mut(index) {
                    *old = entry;
                }
            }
            Err(index) if self.processes.try_reserve(1).is_ok() => self.processes.insert(index, entry),
            Err(_) => {}
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Adds a child of ours by its PID alone.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn insert_pid(&mut self, pid: Pid) -> nix::Result<()> {
        if let Err(index) = self.index(pid) {
            self.reserve(1)?;
            self.processes.insert(index, (pid, 0));
        }
        Ok(())
    }

    /// Whether a process has received the signal.
    pub(crate) fn contains(&self, process: &Process) -> bool {
        let entry = self.index(process.pid).ok().and_then(|index| self.processes.get(index));
        entry.is_some_and(|&(_, started)| started == process.started)
    }

    /// Whether a process with this PID has received the signal. For children of ours, which keep their PID
    /// until we reap them.
    pub(crate) fn contains_pid(&self, pid: Pid) -> bool {
        self.index(pid).is_ok()
    }

    /// Removes a process that was reaped.
    pub(crate) fn remove(&mut self, pid: Pid) {
        if let Ok(index) = self.index(pid) {
            self.processes.remove(index);
        }
    }

    /// Removes all processes that are not in `all`, which is in the order of PIDs.
    pub(crate) fn retain_in(&mut self, all: &[Process]) {
        self.processes.retain(|&(pid, started)| {
            let found =
                all.binary_search_by_key(&pid, |process| process.pid).ok().and_then(|index| all.get(index));
            found.is_some_and(|process| process.started == started)
        });
    }

    fn index(&self, pid: Pid) -> Result<usize, usize> {
        self.processes.binary_search_by_key(&pid, |&(pid, _)| pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::descendants::tests::process;

    #[test]
    fn a_reused_pid_is_another_process() {
        let first = process(7, 1, 7);
        let reused = Process { started: 6, ..first };
        let mut set = Signalled::default();
        set.insert(&first);
        assert!(set.contains(&first) && !set.contains(&reused) && set.contains_pid(first.pid));
        set.insert(&reused);
        assert!(!set.contains(&first) && set.contains(&reused));
        set.remove(first.pid);
        assert!(!set.contains(&reused) && !set.contains_pid(first.pid));
    }

    #[test]
    fn processes_that_are_gone_are_removed() {
        let all = [process(7, 1, 7), process(8, 1, 8), process(9, 1, 9)];
        let mut set = Signalled::default();
        for index in [2, 0, 1] {
            set.insert(&all[index]);
        }
        set.retain_in(&[all[0], Process { started: 2, ..all[2] }]);
        assert_eq!(all.map(|process| set.contains(&process)), [true, false, false]);
    }
}

//! Finds the descendants of a process in a snapshot.
//!
//! A process that entered the namespace from outside (`docker exec`) is no descendant, since its parent is
//! not in the namespace.

use nix::unistd::Pid;

use super::Process;

/// All processes at one moment, by their parents.
pub(crate) struct Tree {
    by_parent: Vec<Process>,
}

impl Tree {
    pub(crate) fn new(mut all: Vec<Process>) -> Self {
        all.sort_unstable_by_key(|process| process.parent);
        Self { by_parent: all }
    }

    /// Every process, in the order of their parents.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.by_parent
    }

    pub(crate) fn children(&self, parent: Pid) -> &[Process] {
        let begin = self.by_parent.partition_point(|process| process.parent < parent);
        let end = self.by_parent.partition_point(|process| process.parent <= parent);
        self.by_parent.get(begin..end).unwrap_or_default()
    }

    /// The living descendants of `root`, each after its parent. Excluded processes are left out with their
    /// descendants, and a leaf's descendants are left out.
    pub(crate) fn descendants(
        &self,
        root: Pid,
        is_excluded: impl Fn(Pid) -> bool,
        is_leaf: impl Fn(&Process) -> bool,
    ) -> Vec<Process> {
        let mut found = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for child in self.children(parent) {
                // PIDs that were reused while the processes were read could form a circle.
                let is_circle = child.pid == root || found.len() >= self.by_parent.len();
                if is_circle || is_excluded(child.pid) {
                    continue;
                }
                found.push(*child);
                if !self.children(child.pid).is_empty() && !is_leaf(child) {
                    parents.push(child.pid);
                }
            }
        }
        // A process that exited meanwhile may still be the parent of living ones.
        found.retain(Process::is_alive);
        found
    }

    /// The processes that a nested init signals by default: its command, and the group that the command
    /// leads. Its command is its oldest child; the others are orphans that it has adopted.
    ///
    /// With helpers (`--with`), the oldest child is one. It cannot be seen how many there are, and an orphan
    /// that is taken for one would never be signalled. Unless its drain is off, such an init waits for all of
    /// them.
    pub(crate) fn reached_by_init(&self, init: Pid) -> impl Iterator<Item = &Process> {
        let command = Process::oldest(self.children(init).iter()).map(|child| child.pid);
        self.by_parent
            .iter()
            .filter(move |process| command == Some(process.pid) || command == Some(process.group))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A process that is alive.
    pub(crate) fn process(pid: i32, parent: i32, session: i32) -> Process {
        let [pid, parent, session] = [pid, parent, session].map(Pid::from_raw);
        Process { group: session, session, started: 1, ..Process::for_test(pid, parent) }
    }

    /// The descendants of PID 1, in the order of their PIDs.
    fn find(all: &[Process], excluded: i32, leaf: i32) -> Vec<i32> {
        let (excluded, leaf) = (Pid::from_raw(excluded), Pid::from_raw(leaf));
        let found = Tree::new(all.to_vec()).descendants(
            Pid::from_raw(1),
            |pid| pid == excluded,
            |process| process.pid == leaf,
        );
        for (index, process) in found.iter().enumerate() {
            let is_before = found[..index].iter().any(|other| other.pid == process.parent);
            assert!(process.parent.as_raw() == 1 || is_before, "{process:?}");
        }
        let mut pids: Vec<i32> = found.iter().map(|process| process.pid.as_raw()).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn descendants_end_at_leaves_and_excluded_processes() {
        // 1 - 7 - 8 - 9, 1 - 10, and 20 from outside with its child.
        let pairs = [(9, 8), (21, 20), (8, 7), (20, 0), (10, 1), (7, 1), (1, 0)];
        let all = pairs.map(|(pid, parent)| process(pid, parent, pid));
        assert_eq!(find(&all, 0, 0), [7, 8, 9, 10]);
        assert_eq!(find(&all, 10, 0), [7, 8, 9]);
        assert_eq!(find(&all, 7, 0), [10]);
        assert_eq!(find(&all, 10, 7), [7]);
        assert_eq!(find(&all, 10, 8), [7, 8]);
        assert_eq!(find(&all, 10, 1), [7, 8, 9]);
    }

    #[test]
    fn search_ends_if_parents_form_a_circle() {
        let circle = [process(1, 8, 1), process(7, 1, 1), process(8, 7, 1), process(7, 8, 1)];
        assert!(find(&circle, 0, 0).len() <= circle.len());
    }

    #[test]
    fn init_reaches_its_command_and_the_commands_group() {
        let adopted = Process { started: 2, ..process(11, 7, 11) };
        let job = process(12, 8, 12);
        let reached = |processes: &[Process], init: i32| -> Vec<i32> {
            let tree = Tree::new(processes.to_vec());
            tree.reached_by_init(Pid::from_raw(init)).map(|process| process.pid.as_raw()).collect()
        };
        let all = [process(7, 1, 7), process(8, 7, 8), process(9, 8, 8), process(10, 9, 10), adopted, job];
        assert_eq!(reached(&all, 7), [8, 9]);
        assert_eq!(reached(&all, 10), []);
        // With -c, the command is in the init's own group.
        assert_eq!(reached(&[process(7, 1, 7), process(8, 7, 7), process(9, 8, 7), adopted], 7), [8]);
    }
}

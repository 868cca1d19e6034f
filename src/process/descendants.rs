//! Finds the descendants of a process in a snapshot.
//!
//! Parents come before their children. A process that entered the namespace from outside (`docker exec`) is
//! no descendant, since its parent is not in the namespace. No input or output.

use nix::unistd::Pid;

use super::Process;

/// How far down to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The descendants of a nested init are left to it.
    DownToInits,
    /// All descendants.
    All,
}

/// All processes at one moment, by their parents.
pub(crate) struct Tree {
    by_parent: Vec<Process>,
}

impl Tree {
    pub(crate) fn new(mut all: Vec<Process>) -> Self {
        all.sort_unstable_by_key(|process| process.parent);
        Self { by_parent: all }
    }

    /// Every process, in no order that matters.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.by_parent
    }

    pub(crate) fn children(&self, parent: Pid) -> &[Process] {
        let begin = self.by_parent.partition_point(|process| process.parent < parent);
        let end = self.by_parent.partition_point(|process| process.parent <= parent);
        self.by_parent.get(begin..end).unwrap_or_default()
    }

    /// The descendants of `root`, zombies included. Strangers and their descendants are left out. `None` if
    /// there is no memory for the list.
    pub(crate) fn descendants(
        &self,
        root: Pid,
        is_stranger: impl Fn(Pid) -> bool,
        depth: Depth,
        is_an_init: impl Fn(&Process) -> bool,
    ) -> Option<Vec<Process>> {
        let mut found: Vec<Process> = Vec::new();
        // No more are found than there are processes.
        found.try_reserve(self.by_parent.len()).ok()?;
        let mut parent: Option<Process> = None;
        let mut next: usize = 0;
        loop {
            let pid = parent.map_or(root, |parent| parent.pid);
            let children = self.children(pid);
            let forwards_itself = |parent: Process| depth == Depth::DownToInits && is_an_init(&parent);
            if children.is_empty() || !parent.is_some_and(forwards_itself) {
                let ours = children.iter().filter(|child| child.pid != root && !is_stranger(child.pid));
                // A snapshot that was taken while PIDs were reused could lead in a circle.
                let free = self.by_parent.len().saturating_sub(found.len());
                found.extend(ours.take(free));
            }
            let Some(&process) = found.get(next) else { return Some(found) };
            parent = Some(process);
            next = next.saturating_add(1);
        }
    }

    /// The processes that a nested init signals by default: its command, and the group that the command
    /// leads. Its command is its oldest child; the others are orphans that it has adopted.
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

    fn pids<'a>(found: impl IntoIterator<Item = &'a Process>) -> Vec<i32> {
        found.into_iter().map(|process| process.pid.as_raw()).collect()
    }

    fn find(all: &[Process], strangers: &[i32], depth: Depth, init: i32) -> Vec<i32> {
        let tree = Tree::new(all.to_vec());
        let is_stranger = |pid: Pid| strangers.contains(&pid.as_raw());
        let found = tree
            .descendants(Pid::from_raw(1), is_stranger, depth, |process| process.pid.as_raw() == init)
            .unwrap();
        for (index, process) in found.iter().enumerate() {
            let is_before = found[..index].iter().any(|other| other.pid == process.parent);
            assert!(process.parent.as_raw() == 1 || is_before, "{process:?}");
        }
        pids(&found)
    }

    /// 1 - 7 - 8 - 9, 1 - 10, and 20 from outside with its child.
    fn world() -> Vec<Process> {
        vec![
            process(9, 8, 8),
            process(21, 20, 20),
            process(8, 7, 7),
            process(20, 0, 20),
            process(10, 1, 10),
            process(7, 1, 7),
            process(1, 0, 1),
        ]
    }

    #[test]
    fn parents_come_first_and_nobody_from_outside() {
        let found = find(&world(), &[], Depth::All, 0);
        assert!(found == [10, 7, 8, 9] || found == [7, 10, 8, 9], "{found:?}");
        assert_eq!(find(&world(), &[10], Depth::All, 0), [7, 8, 9]);
        assert_eq!(find(&world(), &[7], Depth::All, 0), [10]);
        assert_eq!(find(&[], &[], Depth::All, 0), []);
    }

    #[test]
    fn what_is_beneath_an_init_is_its_business_unless_all_is_ours() {
        assert_eq!(find(&world(), &[10], Depth::DownToInits, 7), [7]);
        assert_eq!(find(&world(), &[10], Depth::DownToInits, 8), [7, 8]);
        assert_eq!(find(&world(), &[10], Depth::All, 7), [7, 8, 9]);
        // We are one, too.
        assert_eq!(find(&world(), &[10], Depth::DownToInits, 1), [7, 8, 9]);
    }

    #[test]
    fn a_circle_has_an_end() {
        let circle = [process(1, 8, 1), process(7, 1, 1), process(8, 7, 1), process(7, 8, 1)];
        assert!(find(&circle, &[], Depth::All, 0).len() <= circle.len());
    }

    #[test]
    fn an_init_reaches_its_command_and_the_group_that_this_leads() {
        let adopted = Process { started: 2, ..process(11, 7, 11) };
        let job = Process { group: Pid::from_raw(12), ..process(12, 8, 8) };
        let tree = Tree::new(vec![
            process(7, 1, 7),
            process(8, 7, 8),
            process(9, 8, 8),
            process(10, 9, 10),
            adopted,
            job,
        ]);
        assert_eq!(pids(tree.reached_by_init(Pid::from_raw(7))), [8, 9]);
        assert_eq!(pids(tree.reached_by_init(Pid::from_raw(10))), []);
        // With -c, the command is in the init's own group.
        let tree = Tree::new(vec![process(7, 1, 7), process(8, 7, 7), process(9, 8, 7), adopted]);
        assert_eq!(pids(tree.reached_by_init(Pid::from_raw(7))), [8]);
    }
}

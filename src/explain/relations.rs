//! Relations between the processes of a snapshot: descendants and process groups.
//!
//! Built once per snapshot, so that no question about one process looks at all others.

use std::collections::{BTreeMap, BTreeSet};

use nix::unistd::Pid;

use crate::process::descendants::Tree;
use crate::process::{Process, State};

/// The descendants of all `roots`. A root is among them only if it descends from another one.
pub(super) fn descendants_of(tree: &Tree, roots: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
    let mut next: Vec<Pid> = roots.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(parent) = next.pop() {
        next.extend(tree.children(parent).iter().map(|child| child.pid).filter(|&child| found.insert(child)));
    }
    found
}

/// The process groups of a snapshot.
pub(super) struct Groups {
    by_member: BTreeMap<Pid, Pid>,
    members: BTreeMap<Pid, Vec<Pid>>,
    /// Groups that have a living member with a parent in another group of its session.
    not_orphaned: BTreeSet<Pid>,
}

impl Groups {
    pub(super) fn of(tree: &Tree) -> Self {
        let by_pid: BTreeMap<Pid, &Process> =
            tree.processes().iter().map(|process| (process.pid, process)).collect();
        let has_parent_elsewhere = |child: &&Process| {
            let parent = by_pid.get(&child.parent);
            child.state != State::Zombie
                && parent.is_some_and(|parent| parent.session == child.session && parent.group != child.group)
        };
        let mut members: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
        for process in tree.processes() {
            members.entry(process.group).or_default().push(process.pid);
        }
        Self {
            not_orphaned: by_pid
                .values()
                .copied()
                .filter(has_parent_elsewhere)
                .map(|child| child.group)
                .collect(),
            by_member: by_pid.into_iter().map(|(pid, process)| (pid, process.group)).collect(),
            members,
        }
    }

    pub(super) fn group_of(&self, pid: Pid) -> Option<Pid> {
        self.by_member.get(&pid).copied()
    }

    fn members(&self, group: Pid) -> &[Pid] {
        self.members.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Whether a group is an orphaned process group (setpgid(2)), in which TSTP, TTIN and TTOU stop no process.
    pub(super) fn is_orphaned(&self, group: Pid) -> bool {
        !self.not_orphaned.contains(&group)
    }

    /// Adds the members of the same groups and their descendants, until there are no more. The group `except` adds none.
    pub(super) fn with_members(&self, tree: &Tree, mut all: BTreeSet<Pid>, except: Pid) -> BTreeSet<Pid> {
        let mut next: Vec<Pid> = all.iter().copied().collect();
        let mut seen = BTreeSet::from([except]);
        while let Some(pid) = next.pop() {
            let is_new = |pid: &Pid| all.insert(*pid);
            let group = self.group_of(pid).filter(|&group| seen.insert(group));
            let members = group.map_or(&[][..], |group| self.members(group)).iter().copied();
            next.extend(members.chain(tree.children(pid).iter().map(|child| child.pid)).filter(is_new));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::descendants::tests::process;

    fn pids(pids: impl IntoIterator<Item = Pid>) -> Vec<i32> {
        pids.into_iter().map(Pid::as_raw).collect()
    }

    fn in_group(group: i32, process: Process) -> Process {
        Process { group: Pid::from_raw(group), ..process }
    }

    /// 1 - 7 - 8 - 9; 20 with its child 21 comes from outside, 9 shares a group with 20 and 8 one with 1.
    fn tree() -> Tree {
        Tree::new(vec![
            process(1, 0, 1),
            process(7, 1, 7),
            in_group(1, process(8, 7, 7)),
            in_group(20, process(9, 8, 7)),
            process(20, 0, 20),
            in_group(21, process(21, 20, 20)),
            process(30, 0, 1),
        ])
    }

    #[test]
    fn descendants_of_several_roots_are_found_once() {
        let found = |roots: &[i32]| pids(descendants_of(&tree(), roots.iter().copied().map(Pid::from_raw)));
        assert_eq!(found(&[7]), [8, 9]);
        assert_eq!(found(&[1, 8, 20]), [7, 8, 9, 21]);
        assert_eq!(found(&[]), []);
    }

    #[test]
    fn members_of_shared_groups_are_added_with_their_descendants() {
        let tree = tree();
        let with_members = |except| {
            let family = [1, 7, 8, 9].map(Pid::from_raw).into();
            pids(Groups::of(&tree).with_members(&tree, family, Pid::from_raw(except)))
        };
        assert_eq!(with_members(1), [1, 7, 8, 9, 20, 21]);
        assert_eq!(with_members(20), [1, 7, 8, 9, 30]);
    }

    #[test]
    fn group_is_orphaned_unless_a_member_has_its_parent_elsewhere() {
        let groups = Groups::of(&tree());
        let orphaned = [1, 7, 20, 21].map(|group| groups.is_orphaned(Pid::from_raw(group)));
        assert_eq!(orphaned, [false, true, false, false]);
        // In the same session only; and a zombie has no say.
        let zombie = Process { state: State::Zombie, ..in_group(9, process(9, 7, 7)) };
        let groups = Groups::of(&Tree::new(vec![process(1, 0, 1), process(7, 1, 7), zombie]));
        assert!([1, 7, 9].iter().all(|&group| groups.is_orphaned(Pid::from_raw(group))));
    }
}

//! What would the tree look like?
//!
//! When some have ended, and when the command had been started in a session of its own. No input or output.

use std::collections::{BTreeMap, BTreeSet};

use nix::unistd::Pid;

use super::relations::descendants_of;
use crate::descendants::Tree;
use crate::process::Process;

/// The tree when those in `gone` have ended: what they leave behind goes to the next above that adopts orphans.
pub(crate) fn without(tree: &Tree, gone: &BTreeSet<Pid>, adopts: impl Fn(Pid) -> bool) -> Tree {
    let parents: BTreeMap<Pid, Pid> = tree.processes().iter().map(|process| (process.pid, process.parent)).collect();
    let adopts = |pid: Pid| !gone.contains(&pid) && adopts(pid);
    let reaper_of = |process: &Process| {
        let mut parent = process.parent;
        if gone.contains(&parent) {
            // No further up than there are processes.
            for _ in 0..parents.len() {
                if adopts(parent) {
                    break;
                }
                parent = parents.get(&parent).copied().unwrap_or(Pid::from_raw(0));
            }
        }
        parent
    };
    let left = tree.processes().iter().filter(|process| !gone.contains(&process.pid));
    Tree::new(left.map(|process| Process { parent: reaper_of(process), ..*process }).collect())
}

/// The tree if the command, `main`, led a session: what is in the init's group now would be in its.
pub(crate) fn with_a_session(tree: &Tree, init: &Process, main: Pid) -> Tree {
    let family = descendants_of(tree, [init.pid]);
    let joins = |process: &Process| process.group == init.group && family.contains(&process.pid);
    let moved = |process: &Process| Process { group: if joins(process) { main } else { process.group }, ..*process };
    Tree::new(tree.processes().iter().map(moved).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants::tests::process;

    fn pids(processes: &[Process]) -> Vec<i32> {
        processes.iter().map(|process| process.pid.as_raw()).collect()
    }

    #[test]
    fn orphans_go_to_the_next_above_that_adopts_them() {
        // 1 - 7 - 8 - 9 - 10
        let all = [(1, 0), (7, 1), (8, 7), (9, 8), (10, 9)].map(|(pid, parent)| process(pid, parent, pid));
        let tree = Tree::new(all.to_vec());
        let [one, seven] = [1, 7].map(Pid::from_raw);
        let gone = [9, 8].map(Pid::from_raw).into();
        let after = without(&tree, &gone, |pid| pid == one);
        assert_eq!((pids(after.children(one)), pids(after.children(seven))), (vec![7, 10], vec![]));
        let after = without(&tree, &gone, |pid| pid == one || pid == seven);
        assert_eq!((pids(after.children(one)), pids(after.children(seven))), (vec![7], vec![10]));
        // Nobody adopts them: they leave.
        assert_eq!(pids(without(&tree, &gone, |_| false).children(Pid::from_raw(0))), [1, 10]);
    }

    #[test]
    fn in_a_session_of_its_own_the_command_leads_those_that_shared_the_inits_group() {
        let all = [process(5, 1, 5), process(7, 5, 5), process(8, 7, 5), process(9, 7, 9), process(6, 1, 5)];
        let tree = with_a_session(&Tree::new(all.to_vec()), &all[0], Pid::from_raw(7));
        let led = tree.processes().iter().filter(|process| process.group.as_raw() == 7);
        let mut led: Vec<i32> = led.map(|process| process.pid.as_raw()).collect();
        led.sort_unstable();
        assert_eq!(led, [7, 8]);
    }
}

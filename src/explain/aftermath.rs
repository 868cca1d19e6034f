//! The process tree if the command had been started in a session of its own. No input or output.

use nix::unistd::Pid;

use super::relations::descendants_of;
use crate::process::Process;
use crate::process::descendants::Tree;

/// The tree if the command, `main`, led a session: what is in the init's group now would be in its.
pub(crate) fn with_a_session(tree: &Tree, init: &Process, main: Pid) -> Tree {
    let family = descendants_of(tree, [init.pid]);
    let joins = |process: &Process| process.group == init.group && family.contains(&process.pid);
    let moved =
        |process: &Process| Process { group: if joins(process) { main } else { process.group }, ..*process };
    Tree::new(tree.processes().iter().map(moved).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::descendants::tests::process;

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

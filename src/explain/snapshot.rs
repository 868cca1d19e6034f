//! Everything that is read from /proc: the init, its descendants, and the processes that share their groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use nix::unistd::{Pid, getegid, getgroups, getpid};

use super::facts::Facts;
use super::inits::Role;
use super::programs::{NO_PROGRAMS, Programs};
use crate::process::descendants::Tree;
use crate::process::pipeline::Pipeline;
use crate::process::{self, Process, State};
use crate::sys::capabilities;

/// The processes of one moment.
pub(super) struct Snapshot {
    pub(super) time: Instant,
    /// The init that is explained.
    pub(super) init: Pid,
    /// The programs that each init has started.
    programs: BTreeMap<Pid, Programs>,
    /// The living processes.
    pub(super) tree: Tree,
    /// The init and its descendants, and all processes that could receive a signal with them.
    pub(super) facts: BTreeMap<Pid, Facts>,
    /// Pairs of an init and a pipe reader below it, which it signals after the writers.
    pub(super) pipe_readers: BTreeSet<(Pid, Pid)>,
    /// Whether /proc may hide processes.
    pub(super) hides_processes: bool,
}

impl Snapshot {
    /// Looks again if something has changed during the look. `None` if /proc does not show the init.
    pub(super) fn read(init: Pid) -> Option<Self> {
        for _ in 1..10 {
            let before = look(init)?;
            let snapshot = Self::new(init, &before)?;
            if look(init)? == before {
                return Some(snapshot);
            }
        }
        Self::new(init, &look(init)?)
    }

    fn new(init: Pid, look: &[(Process, bool)]) -> Option<Self> {
        let parents: BTreeSet<Pid> = look.iter().map(|(process, _)| process.parent).collect();
        let read = |&(process, is_group_orphaned): &(Process, bool)| {
            let may_be_init = process.pid == init || parents.contains(&process.pid);
            Some((process.pid, Facts::read(process, is_group_orphaned, may_be_init)?))
        };
        let facts: BTreeMap<Pid, Facts> = look.iter().filter_map(read).collect();
        facts.get(&init)?;
        let living =
            facts.values().map(|facts| facts.process).filter(|process| process.state != State::Zombie);
        let mut snapshot = Self {
            time: Instant::now(),
            init,
            programs: BTreeMap::new(),
            tree: Tree::new(living.collect()),
            facts,
            pipe_readers: BTreeSet::new(),
            hides_processes: hides_processes(),
        };
        let has_programs = |facts: &&Facts| facts.process.pid == init || facts.init().is_some();
        let programs = snapshot.facts.values().filter(has_programs);
        let find = |init: &Facts| {
            let children = snapshot.tree.children(init.process.pid).iter();
            let children = children.filter_map(|child| snapshot.get(child.pid)).collect();
            (init.process.pid, Programs::find(init, children))
        };
        snapshot.programs = programs.map(find).collect();
        for facts in snapshot.facts.values().filter(|facts| facts.init().is_some()) {
            let init = facts.process.pid;
            let Ok(pipeline) = Pipeline::read(&snapshot.tree, init) else { continue };
            let family = snapshot.tree.descendants(init, |_| false, |_| false);
            let is_reader =
                |process: &&Process| pipeline.input(process.pid, process.has_not_executed).is_some();
            let readers = family.iter().filter(is_reader).map(|process| (init, process.pid));
            snapshot.pipe_readers.extend(readers);
        }
        Some(snapshot)
    }

    pub(super) fn get(&self, pid: Pid) -> Option<&Facts> {
        self.facts.get(&pid)
    }

    pub(super) fn parent_of(&self, pid: Pid) -> Option<Pid> {
        self.get(pid).map(|facts| facts.process.parent)
    }

    /// All processes but the init.
    pub(super) fn others(&self) -> impl Iterator<Item = &Facts> {
        self.facts.values().filter(|facts| facts.process.pid != self.init)
    }

    /// Whether something that could change the result is hidden, or the init does nothing now.
    pub(super) fn is_uncertain(&self) -> bool {
        let is_stopped = self.get(self.init).is_some_and(Facts::is_stopped);
        self.hides_processes || is_stopped || self.facts.values().any(Facts::hides_variables)
    }

    /// Whether a process adopts the orphans below it.
    pub(super) fn adopts(&self, pid: Pid) -> bool {
        let adopts =
            |facts: &Facts| facts.handling.is_pid_1 || facts.init().is_some_and(|init| init.config.subreaper);
        pid == self.init || self.get(pid).is_some_and(adopts)
    }

    /// The programs that an init has started. None for another process.
    pub(super) fn programs_of(&self, init: Pid) -> &Programs {
        self.programs.get(&init).unwrap_or(&NO_PROGRAMS)
    }

    /// The parents of zombies, and the number of each. An init reaps its zombies.
    pub(super) fn parents_of_zombies(&self) -> BTreeMap<Pid, usize> {
        let mut parents = BTreeMap::new();
        for zombie in self.facts.values().filter(|facts| facts.process.state == State::Zombie) {
            let parent = zombie.process.parent;
            if self.get(parent).is_some_and(|facts| matches!(facts.role, Role::Shell | Role::Program)) {
                let count: &mut usize = parents.entry(parent).or_default();
                *count = count.saturating_add(1);
            }
        }
        parents
    }
}

/// The init and its descendants, the members of their groups (except the init's own), and so on.
/// Each comes with whether its group is orphaned: no member has its parent in another group of the session.
fn look(init: Pid) -> Option<Vec<(Process, bool)>> {
    let mut processes = process::snapshot().ok()?;
    processes.retain(|process| process.pid != getpid());
    let by_pid: BTreeMap<Pid, Process> = processes.iter().map(|process| (process.pid, *process)).collect();
    let own_group = by_pid.get(&init)?.group;
    let (mut pids, mut groups) = (BTreeSet::from([init]), BTreeSet::new());
    let mut count = 0;
    while count < pids.len() {
        count = pids.len();
        for process in &processes {
            if pids.contains(&process.parent) || groups.contains(&process.group) {
                pids.insert(process.pid);
                groups.extend(Some(process.group).filter(|&group| group != own_group));
            }
        }
    }
    let has_parent_in_other_group = |child: &&Process| {
        let parent = by_pid.get(&child.parent);
        child.state != State::Zombie
            && parent.is_some_and(|parent| parent.session == child.session && parent.group != child.group)
    };
    let not_orphaned: BTreeSet<Pid> =
        processes.iter().filter(has_parent_in_other_group).map(|child| child.group).collect();
    processes.retain(|process| pids.contains(&process.pid));
    Some(processes.iter().map(|process| (*process, !not_orphaned.contains(&process.group))).collect())
}

/// Whether /proc hides other users' processes from us (proc(5), hidepid). Members of one group see all.
fn hides_processes() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let groups = getgroups().unwrap_or_default();
    let is_member = |group: u32| groups.iter().chain(&[getegid()]).any(|member| member.as_raw() == group);
    let hides = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, "/proc", _, options, ..] = fields.as_slice() else { return false };
        let value = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name));
        let group = value("gid=").and_then(|group| group.parse().ok()).unwrap_or(0);
        value("hidepid=").is_some_and(|mode| !["0", "off"].contains(&mode)) && !is_member(group)
    };
    !capabilities::may_trace_everybody() && mounts.lines().any(hides)
}

//! Everything that is read from /proc: the init, its descendants, and the processes that share their groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use nix::unistd::{Pid, getegid, getgroups, getpid};

use super::handling::{Effect, Handling};
use super::inits::{Init, Role, command_line, stat_field};
use super::programs::{NO_PROGRAMS, Programs};
use crate::log::escape::Escaped;
use crate::options::personality::last_part;
use crate::process::descendants::Tree;
use crate::process::pipeline::Pipeline;
use crate::process::{self, Process, State};
use crate::signal::Signum;
use crate::sys::arguments::Arg;
use crate::sys::capabilities;

/// A process and everything that was read about it.
pub(super) struct Facts {
    pub(super) process: Process,
    pub(super) handling: Handling,
    pub(super) role: Role,
    /// Whether inits above leave its descendants to it.
    pub(super) is_nested_init: bool,
    /// Whether it has reaped a child with page faults (the field `cminflt` in /proc/PID/stat).
    pub(super) may_have_reaped: bool,
    /// Whether SIGTSTP, SIGTTIN and SIGTTOU stop no process in its group (setpgid(2)).
    is_group_orphaned: bool,
    pub(super) arguments: Vec<Arg>,
    executable: Option<PathBuf>,
}

impl Facts {
    /// `None` if the process has exited meanwhile.
    fn read(process: Process, is_group_orphaned: bool, may_be_init: bool) -> Option<Self> {
        let pid = process.pid;
        let facts = Self {
            process,
            handling: Handling::read(pid),
            role: if may_be_init { Role::read(&process) } else { Role::Program },
            is_nested_init: may_be_init && process::is_nested_init(&process),
            may_have_reaped: may_be_init && stat_field(pid, 11) != Some(0),
            is_group_orphaned,
            arguments: command_line(pid),
            executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
        };
        (process.is_still_there() == Ok(true)).then_some(facts)
    }

    /// The effect of a signal on the process itself.
    pub(super) fn reaction(&self, signum: Signum) -> Effect {
        let is_our_pid_1 = self.process.pid == Pid::from_raw(1);
        match self.handling.reaction(signum) {
            // Only a process outside of the namespace can kill or stop its PID 1.
            _ if matches!(signum, Signum::KILL | Signum::STOP) && is_our_pid_1 => Effect::Discarded,
            Effect::Stops if self.is_group_orphaned && signum.suspends_a_job() => Effect::Nothing,
            reaction => reaction,
        }
    }

    pub(super) fn init(&self) -> Option<&Init> {
        if let Role::Init(init) = &self.role { Some(init) } else { None }
    }

    pub(super) fn is_shell(&self) -> bool {
        matches!(self.role, Role::Shell)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.process.state == State::Stopped
    }

    pub(super) fn hides_variables(&self) -> bool {
        self.init().is_some_and(|init| init.hides_variables)
    }

    pub(super) fn may_signal(&self, other: &Self, signum: Signum) -> bool {
        let is_same_session = self.process.session == other.process.session;
        signum == Signum::CONT && is_same_session || self.handling.may_signal(&other.handling)
    }

    /// Whether both have the same executable or title, as a master and its worker.
    pub(super) fn resembles(&self, other: &Self) -> bool {
        self.executable.is_some() && self.executable == other.executable || self.title() == other.title()
    }

    /// `nginx` of `/usr/sbin/nginx` and of `nginx: worker process`.
    fn title(&self) -> &[u8] {
        let first = self.arguments.first().map(|word| word.to_bytes()).unwrap_or_default();
        last_part(first.split(|&byte| byte == b' ' || byte == b':').next().unwrap_or_default())
    }

    /// The command line, or the name of a process without one.
    pub(super) fn line(&self) -> String {
        if self.arguments.is_empty() { self.process.name.to_string() } else { line_of(&self.arguments) }
    }

    pub(super) fn program(&self) -> String {
        let title = self.title();
        let name = if title.is_empty() { self.line() } else { Escaped(title).to_string() };
        cut(name.trim_start_matches('-'), LONGEST_NAME)
    }
}

/// Longer names are cut in a sentence.
pub(super) const LONGEST_NAME: usize = 40;

/// Arguments as one line of harmless text.
pub(super) fn line_of(arguments: &[Arg]) -> String {
    let words: Vec<String> = arguments.iter().map(|word| Escaped(word.to_bytes()).to_string()).collect();
    words.join(" ")
}

/// The line, or its beginning and `...` if it is too long.
pub(super) fn cut(line: &str, longest: usize) -> String {
    if line.chars().count() <= longest {
        return line.to_owned();
    }
    let beginning: String = line.chars().take(longest.saturating_sub(3)).collect();
    format!("{beginning}...")
}

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
        snapshot.programs =
            programs.map(|facts| (facts.process.pid, Programs::find(&snapshot, facts))).collect();
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

    /// The living children of a process.
    pub(super) fn children(&self, parent: Pid) -> impl Iterator<Item = &Facts> {
        self.tree.children(parent).iter().filter_map(|child| self.get(child.pid))
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

//! What is to be known of the processes?
//!
//! All of it is read here: what is made of it needs no /proc. It is read again where it changes meanwhile, so that nobody is
//! told of a tree that there never was.

use std::collections::BTreeSet;
use std::fs;

use nix::unistd::{Gid, Pid, getegid, getgroups, getpid};

use super::facts::Facts;
use super::inits::command_line;
use super::relations::{Groups, descendants_of};
use crate::process::descendants::Tree;
use crate::process::pipeline::Pipeline;
use crate::process::pipes::{self, Ends};
use crate::process::{self, Process, State};
use crate::sys::capabilities;

/// The process that runs the command of an init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Main {
    Is(Pid),
    /// Or it has ended, and this is an orphan that looks like it.
    MayBe(Pid),
    HasEnded,
}

/// All that is known.
pub(crate) struct Evidence {
    /// The init that is asked about.
    pub(crate) init: Pid,
    pub(crate) tree: Tree,
    /// Of the init and of all who could have to do with it, in the order of their PIDs.
    facts: Vec<Facts>,
    /// The init and its descendants.
    family: BTreeSet<Pid>,
    /// Children of the init that only pass on what it prints or reads.
    plumbing: BTreeSet<Pid>,
    /// Inits of ours with the pipe readers among their descendants.
    readers: BTreeSet<(Pid, Pid)>,
    /// May there be processes that /proc doesn't show us?
    pub(crate) is_partial: bool,
}

impl Evidence {
    /// Looks at everything. `None` where /proc doesn't show this init, or none.
    pub(crate) fn gather(init: Pid) -> Option<Self> {
        for _ in 1..MOST_LOOKS {
            let evidence = Self::look(init)?;
            if evidence.is_current() {
                return Some(evidence);
            }
        }
        // Whoever starts processes all the time is never the same.
        Self::look(init)
    }

    fn look(init: Pid) -> Option<Self> {
        let Snapshot { tree, groups, family, concerned } = Snapshot::take(init)?;
        let is_concerned = |process: &&Process| concerned.contains(&process.pid);
        let mut facts: Vec<Facts> = tree
            .processes()
            .iter()
            .filter(is_concerned)
            .filter_map(|process| Facts::read(*process, &tree, &groups, init))
            .collect();
        facts.sort_unstable_by_key(|facts| facts.process.pid);
        for facts in &mut facts {
            facts.infer_mode(&tree);
        }
        let (plumbing, readers) = (BTreeSet::new(), BTreeSet::new());
        let mut evidence = Self { init, tree, facts, family, plumbing, readers, is_partial: is_partial() };
        evidence.facts(init)?;
        evidence.plumbing = evidence.find_plumbing();
        evidence.readers = evidence.find_readers();
        // Those that have ended meanwhile were never there.
        let there: Vec<Process> = evidence
            .tree
            .processes()
            .iter()
            .filter(|process| !is_concerned(process) || evidence.facts(process.pid).is_some())
            .copied()
            .collect();
        Some(Self { tree: Tree::new(there), ..evidence })
    }

    /// Is it still so?
    fn is_current(&self) -> bool {
        let Some(Snapshot { tree, concerned, .. }) = Snapshot::take(self.init) else { return false };
        let place = |process: &Process| (process.started, process.parent, process.group, process.session);
        let is_known = |process: &Process| {
            self.facts(process.pid).is_some_and(|facts| place(&facts.process) == place(process))
        };
        concerned.len() == self.facts.len()
            && tree.processes().iter().filter(|process| concerned.contains(&process.pid)).all(is_known)
    }

    /// What is known of this process, if it is of concern.
    pub(crate) fn facts(&self, pid: Pid) -> Option<&Facts> {
        let index = self.facts.binary_search_by_key(&pid, |facts| facts.process.pid).ok()?;
        self.facts.get(index)
    }

    /// Is there something that we may not see and that could change the answer, or does the init do nothing at all?
    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_partial || self.with_hidden_variables().next().is_some() || self.is_init_stopped()
    }

    /// The inits whose variables we may not see.
    pub(crate) fn with_hidden_variables(&self) -> impl Iterator<Item = Pid> {
        self.facts.iter().filter(|facts| facts.hides_variables()).map(|facts| facts.process.pid)
    }

    /// Why it can't be an init, if it can't.
    pub(crate) fn no_init(&self) -> Option<&'static str> {
        let init = self.facts(self.init)?;
        if init.process.state == State::Zombie {
            return Some("has ended, and waits to be reaped");
        }
        // Those of the kernel have no memory of their own, so that they have no command line either.
        let is_of_the_kernel =
            command_line(self.init).is_none() && fs::read_link(format!("/proc/{}/exe", self.init)).is_err();
        is_of_the_kernel.then_some("is no program: it is the kernel's")
    }

    pub(crate) fn is_init_stopped(&self) -> bool {
        self.facts(self.init).is_some_and(Facts::is_stopped)
    }

    /// The processes of concern but the init.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Facts> {
        self.facts.iter().filter(|facts| facts.process.pid != self.init)
    }

    /// Does it descend from the init?
    pub(crate) fn is_family(&self, pid: Pid) -> bool {
        self.family.contains(&pid)
    }

    /// Does it only pass on what the init prints or reads?
    pub(crate) fn is_plumbing(&self, pid: Pid) -> bool {
        self.plumbing.contains(&pid)
    }

    /// Is it a pipe reader to this init, which signals its writers before it?
    pub(crate) fn is_reader(&self, init: Pid, pid: Pid) -> bool {
        self.readers.contains(&(init, pid))
    }

    /// Does this process adopt the orphans below it?
    pub(crate) fn adopts(&self, pid: Pid) -> bool {
        let is_subreaper = |facts: &Facts| facts.ours().is_some_and(|ours| ours.config.subreaper);
        pid == self.init || self.facts(pid).is_some_and(|facts| facts.is_pid_1() || is_subreaper(facts))
    }

    /// The descendants of an init, as far down as it forwards signals itself: to inits that are not over.
    pub(crate) fn family(&self, tree: &Tree, init: Pid, is_over: impl Fn(Pid) -> bool) -> Vec<Process> {
        let is_an_init = |process: &Process| {
            self.facts(process.pid).is_some_and(Facts::counts_as_ours) && !is_over(process.pid)
        };
        tree.descendants(init, |pid| self.is_plumbing(pid), is_an_init)
    }

    /// The process that runs the command of an init, as far as it is there.
    pub(crate) fn main_of(&self, init: Pid) -> Option<Pid> {
        match self.main(init) {
            Main::Is(main) | Main::MayBe(main) => Some(main),
            Main::HasEnded => None,
        }
    }

    /// The process that runs the command of an init.
    pub(crate) fn main(&self, init: Pid) -> Main {
        let Some(facts) = self.facts(init) else { return Main::HasEnded };
        let command = facts.ours().map_or(&[][..], |ours| &ours.command);
        let is_candidate = |child: &&Process| {
            child.state != State::Zombie && !self.is_plumbing(child.pid) && facts.starts_as(child)
        };
        let candidates = || self.tree.children(init).iter().filter(is_candidate);
        // Whoever executed the init may have left older children behind; and the command may have executed another.
        let runs_it =
            |child: &&Process| self.facts(child.pid).is_some_and(|facts| facts.command.ends_with(command));
        let by_command =
            if command.is_empty() { None } else { Process::oldest(candidates().filter(runs_it)) };
        match (by_command, Process::oldest(candidates())) {
            (Some(main), _) => Main::Is(main.pid),
            (None, Some(oldest)) if facts.may_outlive_command() && facts.may_have_reaped => {
                Main::MayBe(oldest.pid)
            }
            (None, Some(oldest)) => Main::Is(oldest.pid),
            (None, None) => Main::HasEnded,
        }
    }

    fn find_plumbing(&self) -> BTreeSet<Pid> {
        let needs_descendants = self
            .facts(self.init)
            .and_then(Facts::ours)
            .is_some_and(|ours| ours.config.settings.needs_descendants());
        let Some(main) = self.main_of(self.init).and_then(|main| self.facts(main)) else {
            return BTreeSet::new();
        };
        let is_older = |child: &&Process| child.is_older_than(&main.process);
        let older = self.tree.children(self.init).iter().filter(is_older).map(|child| child.pid);
        let Ends { outputs, .. } = Ends::of_init(self.init);
        older.filter(|&child| needs_descendants && pipes::may_read(child, outputs)).collect()
    }

    fn find_readers(&self) -> BTreeSet<(Pid, Pid)> {
        let is_of_ours = |facts: &&Facts| facts.process.pid == self.init || facts.ours().is_some();
        let inits = self.facts.iter().filter(is_of_ours).map(|facts| facts.process.pid);
        inits
            .flat_map(|init| self.readers_below(init).into_iter().map(move |reader| (init, reader)))
            .collect()
    }

    /// As the init itself finds them. None if that fails.
    fn readers_below(&self, init: Pid) -> Vec<Pid> {
        let Ok(pipeline) = Pipeline::read(&self.tree, init) else { return Vec::new() };
        let mut family = self.tree.descendants(init, |_| false, |_| false);
        family.retain(|process| pipeline.input(process.pid, process.has_not_executed).is_some());
        family.into_iter().map(|process| process.pid).collect()
    }
}

/// So often everything is looked at, until it stays the same meanwhile.
const MOST_LOOKS: usize = 10;

/// The processes of one moment, but for this one.
struct Snapshot {
    tree: Tree,
    groups: Groups,
    /// The init and its descendants.
    family: BTreeSet<Pid>,
    /// The family, and every process that may receive a signal with one of its members.
    concerned: BTreeSet<Pid>,
}

impl Snapshot {
    fn take(init: Pid) -> Option<Self> {
        let mut all = process::snapshot().ok()?;
        all.retain(|process| process.pid != getpid());
        let tree = Tree::new(all);
        let groups = Groups::of(&tree);
        let group = groups.group_of(init)?;
        let mut family = descendants_of(&tree, [init]);
        family.insert(init);
        let concerned = groups.with_members(&tree, family.clone(), group);
        Some(Self { tree, groups, family, concerned })
    }
}

/// Are other users' processes hidden from us (proc(5), hidepid)? Not from the members of one group, that of root if nothing
/// else is said.
fn is_partial() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_member = |group: u32| {
        let group = Gid::from_raw(group);
        getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group))
    };
    let hides = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (place, options) = (words.next(), words.nth(1).unwrap_or_default());
        let value =
            |name: &str| options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        let is_hiding = value("hidepid").is_some_and(|mode| !matches!(mode, "0" | "off"));
        place == Some("/proc")
            && is_hiding
            && !is_member(value("gid").and_then(|group| group.parse().ok()).unwrap_or(0))
    };
    !capabilities::may_trace_everybody() && mounts.lines().any(hides)
}

//! Finds the command and the helpers of an init among its children.

use nix::unistd::Pid;

use super::facts::Facts;
use super::inits::Init;
use crate::options::personality::{Isolation, last_part};
use crate::options::settings;
use crate::policy::Helper;
use crate::sys::arguments::Arg;

/// The programs of a process that is no init.
pub(super) static NO_PROGRAMS: Programs = Programs { command: None, is_certain: true, helpers: Vec::new() };

/// The programs that an init has started.
pub(super) struct Programs {
    /// The process that runs the command. `None` if the command has exited.
    pub(super) command: Option<Pid>,
    /// Whether the command cannot have exited, so that `command` is no orphan.
    pub(super) is_certain: bool,
    /// The helper of each `--with`. `None` if it is not found.
    pub(super) helpers: Vec<Option<Pid>>,
}

impl Programs {
    /// Finds the programs among the children of an init. Helpers are older than the command, and orphans are
    /// younger. The init may have older children from before its exec.
    pub(super) fn find(init: &Facts, mut children: Vec<&Facts>) -> Self {
        let config = init.init().map(|init| &init.config);
        let named = config.map(|config| &*config.helpers).unwrap_or_default();
        children.sort_by_key(|child| child.process.age());

        let (mut helpers, mut command, mut others) = (vec![None; named.len()], None, Vec::new());
        for child in children {
            let is_it = |(found, helper): (&Option<_>, &settings::Helper)| {
                found.is_none() && leads_session(child) && runs(child, &helper.argv)
            };
            let helper = helpers.iter().zip(named).position(is_it).and_then(|index| helpers.get_mut(index));
            if let Some(found) = helper {
                *found = Some(child);
            } else if can_be_command(init, child) && runs_command_of(init, child) {
                command = Some(child);
                break;
            } else {
                others.push(child);
            }
        }
        let unnamed = helpers.iter().zip(named).filter(|(found, _)| found.is_none());
        let (unnamed, missing) =
            (unnamed.clone().count(), unnamed.filter(|(_, helper)| !helper.is_optional).count());
        let may_outlive = config.is_some_and(|config| config.settings.may_outlive_command());
        let may_have_exited = may_outlive && init.may_have_reaped || missing > 0;
        let is_certain = command.is_some() || !may_have_exited;

        // A program may change its command line. So other session leaders that are older than the command are
        // helpers. If the command has changed it, one of them may be the command.
        let leaders = others.iter().filter(|child| leads_session(child)).count();
        let is_one_command = command.is_none() && leaders == others.len();
        let free = leaders.saturating_sub(is_one_command.into());
        for (found, helper) in helpers.iter_mut().zip(named).filter(|(found, _)| found.is_none()) {
            let is_there =
                if helper.is_optional { command.is_some() && free >= unnamed } else { free >= missing };
            let leader = others.iter().position(|child| is_there && leads_session(child));
            *found = leader.map(|index| others.remove(index));
        }
        let required = helpers.iter().zip(named).filter(|(_, helper)| !helper.is_optional);
        let begin = required.filter_map(|(found, _)| Some((*found)?.process.age())).max();
        let command = command.or_else(|| {
            let mut later = others.iter().filter(|child| Some(child.process.age()) > begin);
            later.find(|child| can_be_command(init, child)).copied()
        });
        let is_older =
            |helper: &&Facts| command.is_none_or(|command| helper.process.age() < command.process.age());
        let pid = |facts: &Facts| facts.process.pid;
        Self {
            command: command.map(pid),
            is_certain: is_certain || command.is_none(),
            helpers: helpers.into_iter().map(|helper| helper.filter(is_older).map(pid)).collect(),
        }
    }

    /// The helpers that run.
    pub(super) fn running(&self, init: &Init) -> Vec<Helper> {
        let helpers = self.helpers.iter().zip(&init.config.helpers);
        let running = helpers.filter_map(|(pid, helper)| Some((pid.as_ref()?, helper)));
        running.map(|(&pid, helper)| Helper { pid, is_optional: helper.is_optional }).collect()
    }

    pub(super) fn includes(&self, pid: Pid) -> bool {
        self.command == Some(pid) || self.helpers.contains(&Some(pid))
    }
}

fn leads_session(child: &Facts) -> bool {
    child.process.session == child.process.pid
}

/// Whether a child can be the command by its session and group.
fn can_be_command(init: &Facts, child: &Facts) -> bool {
    match init.init().map(|init| init.config.settings.isolation()) {
        Some(Isolation::Session) => leads_session(child),
        Some(Isolation::Group) => child.process.group == child.process.pid,
        Some(Isolation::None) | None => true,
    }
}

/// Whether it has the command's words, perhaps after the interpreter of a script.
fn runs_command_of(init: &Facts, child: &Facts) -> bool {
    init.init().is_some_and(|init| child.arguments.ends_with(&init.command))
}

/// The same for a helper. A script that was found by PATH has its path as the first word.
fn runs(child: &Facts, argv: &[Arg]) -> bool {
    let begin = child.arguments.len().checked_sub(argv.len());
    let last = begin.and_then(|begin| child.arguments.get(begin..)).unwrap_or_default();
    let names = last.first().zip(argv.first());
    names.is_some_and(|(name, expected)| last_part(name.to_bytes()) == last_part(expected.to_bytes()))
        && last.get(1..) == argv.get(1..)
}

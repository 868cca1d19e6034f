//! What is the smallest change by which it would be as it should be?
//!
//! Changes of settings are tried out, one after the other, on the processes that were seen: the first that helps is the one
//! that is given. What is advised beside them is what such trees are often in for. No input or output.

use std::time::Duration;

use super::aftermath;
use super::evidence::Evidence;
use super::facts::Facts;
use super::forecast::{Command, Remedy, Scenario};
use super::handling::Reaction;
use super::inits::{Edition, Ours, Rules};
use super::verdict::{Fate, Verdict};
use super::wording::{command_of, line_of, name_of};
use crate::options::config::{SETSID, Source};
use crate::options::duration::Limit;
use crate::options::forward::Forward;
use crate::options::personality::Isolation;
use crate::options::{DASH_C, DASH_G};
use crate::process::State;
use crate::signal::rewrite::Outcome;
use crate::signal::{Name, Signum};

/// How long a drain is to take that is suggested: as long as `docker stop` waits until it kills.
const DRAIN: Limit = Limit::After(Duration::from_secs(10));
const DRAIN_VARIABLE: &str = "DUMB_INIT_DRAIN=10s";

/// What to try, if anything is wrong that can be helped.
pub(crate) fn advice(scenario: Scenario<'_>, verdict: &Verdict, signum: Signum) -> Vec<String> {
    let evidence = scenario.evidence;
    let Some(init) = evidence.facts(evidence.init) else { return Vec::new() };
    if init.hides_variables() {
        // NoChild is certain, and what would be advised may be there already.
        return init.user_and_group().map(as_its_user).into_iter().collect();
    }
    // NoChild helps against what can't be forwarded.
    if verdict.is_good() || !signum.can_be_forwarded() {
        return Vec::new();
    }
    match &init.rules {
        Some(Rules::Ours(ours)) => of_ours(scenario, ours, signum),
        Some(Rules::Known(known)) => {
            let remedy = remedy(scenario, known.forward, None, signum).unwrap_or_default();
            let variables = [forward_variable(remedy), remedy.drain.map(|_| DRAIN_VARIABLE.to_owned())];
            let variables = variables.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let with = if variables.is_empty() { String::new() } else { format!(", with {variables}") };
            vec![format!("dumb-init in place of {}{with}", name_of(init))]
        }
        Some(Rules::Shell | Rules::Unknown) => of_no_init(evidence, init, verdict, signum),
        Some(Rules::Unreadable(_) | Rules::Pausing) | None => Vec::new(),
    }
}

/// Root can't do without CAP_SYS_PTRACE either, which containers don't have, and the group has to be the same, too
/// (proc_pid_environ(5), ptrace(2)).
fn as_its_user((user, group): (u32, u32)) -> String {
    format!("--explain as its own user, who can read its environment: docker exec --user {user}:{group}")
}

fn of_ours(scenario: Scenario<'_>, ours: &Ours, signum: Signum) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(word) = ours.misplaced.filter(|_| ours.edition == Edition::Ours) {
        let (word, command) = (line_of(&[word]), command_of(ours.command.get(..1).unwrap_or_default()));
        lines.push(format!("{word} before {command}, if it was meant for dumb-init"));
    }
    lines.extend(exec(scenario.evidence, signum));
    let settings = &ours.config.settings;
    let dropped = Some(signum).filter(|&signum| settings.rewrites.get(signum) == Some(Outcome::Dropped));
    if let Some(remedy) = remedy(scenario, settings.forward, dropped, signum) {
        lines.push(in_words(remedy, ours));
    }
    let said_so = ours.config.forward_source == Source::Option(DASH_C);
    if said_so && !ours.has_dashes {
        lines.push(format!("-- before {DASH_C}, if that was not meant for dumb-init"));
    }
    lines
}

/// The smallest change of settings that helps.
fn remedy(
    scenario: Scenario<'_>,
    forward: Forward,
    forwarded: Option<Signum>,
    signum: Signum,
) -> Option<Remedy> {
    let forwards: &[Option<Forward>] = match forward {
        Forward::Child => &[Some(Forward::Group), Some(Forward::Tree)],
        Forward::Group => &[None, Some(Forward::Tree)],
        Forward::Tree => &[None],
    };
    let remedies = |&forward| [None, Some(DRAIN)].map(|drain| Remedy { forward, drain, forwarded });
    let mut all: Vec<Remedy> = forwards.iter().flat_map(remedies).collect();
    all.sort_by_key(|remedy| {
        usize::from(remedy.forward.is_some()).saturating_add(usize::from(remedy.drain.is_some()))
    });
    // A master that stops its workers gets the signal alone.
    let is_new =
        forward != Forward::Child || scenario.evidence.facts(scenario.evidence.init)?.ours().is_none();
    all.extend(remedies(&is_new.then_some(Forward::Child)));
    all.into_iter().find(|&remedy| helps(scenario, remedy, signum) == Some(true))
}

/// Would everything be as it should be?
fn helps(scenario: Scenario<'_>, remedy: Remedy, signum: Signum) -> Option<bool> {
    let evidence = scenario.evidence;
    let init = evidence.facts(evidence.init)?;
    let place = init.ours().map(|ours| ours.config.settings.isolation());
    let moved = match (place, remedy.forward) {
        (Some(Isolation::None), Some(Forward::Group | Forward::Tree)) => {
            Some(aftermath::with_a_session(scenario.tree, &init.process, evidence.main_of(evidence.init)?))
        }
        // It leads a group already.
        (Some(Isolation::None | Isolation::Group | Isolation::Session) | None, _) => None,
    };
    let tree = moved.as_ref().unwrap_or(scenario.tree);
    Some(
        Verdict::of(Scenario { tree, remedy: Some(remedy), command: Command::AsSeen, ..scenario }, signum)
            .is_good(),
    )
}

fn forward_variable(remedy: Remedy) -> Option<String> {
    remedy.forward.map(|forward| format!("DUMB_INIT_FORWARD={}", forward.name()))
}

fn in_words(remedy: Remedy, ours: &Ours) -> String {
    let is_by_option = matches!(ours.config.forward_source, Source::Option(_));
    let needs_more_than_the_original = remedy.drain.is_some() || remedy.forward == Some(Forward::Tree);
    // An option beats the variable.
    let forward = match (remedy.forward, ours.config.forward_source, ours.edition) {
        (None, ..) => None,
        (Some(_), Source::Variable(SETSID), Edition::Original) if !needs_more_than_the_original => {
            Some(format!("{SETSID}=1"))
        }
        (Some(_), Source::Option(_), Edition::Original) if !needs_more_than_the_original => {
            Some(format!("no {DASH_C}"))
        }
        (Some(forward), Source::Option(DASH_C), _) => {
            Some(format!("--forward {} in place of {DASH_C}", forward.name()))
        }
        (Some(forward), Source::Option(DASH_G), _) => {
            Some(format!("DUMB_INIT_FORWARD={} and no {DASH_G}", forward.name()))
        }
        (Some(forward), Source::Option(_), _) => Some(format!("--forward {}", forward.name())),
        (Some(_), Source::Default | Source::Variable(_), _) => forward_variable(remedy),
    };
    let rewrite = remedy.forwarded.map(|signum| {
        let source = match ours.config.rewrites_source {
            Source::Variable(name) | Source::Option(name) => name,
            Source::Default => "the rewrites",
        };
        format!("{source} without {}:0", Name(signum).to_string().trim_start_matches("SIG"))
    });
    let separator = if is_by_option && forward.is_some() || rewrite.is_some() { ", " } else { " " };
    let parts = [rewrite, forward, remedy.drain.map(|_| DRAIN_VARIABLE.to_owned())];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(separator);
    match ours.edition {
        Edition::Original | Edition::Unknown if needs_more_than_the_original => {
            format!("dumb-init 1.3 or later, with {text}")
        }
        Edition::Original | Edition::Unknown | Edition::Ours => text,
    }
}

/// Where the command is a shell that does nothing but wait for one program, that could take its place.
fn exec(evidence: &Evidence, signum: Signum) -> Option<String> {
    let shell = evidence.facts(evidence.main_of(evidence.init)?)?;
    let is_other =
        |facts: &&Facts| facts.process.pid != shell.process.pid && facts.process.state != State::Zombie;
    let mut others = evidence.others().filter(is_other);
    let (only, none) = (others.next()?, others.next());
    let is_its_child = only.process.parent == shell.process.pid;
    // One with the same words is a part of the script that it runs beside itself.
    let is_program = only.command != shell.command;
    let has_no_trap = shell.reaction(signum) == Reaction::Dies;
    if !matches!(shell.rules, Some(Rules::Shell))
        || !has_no_trap
        || !is_its_child
        || !is_program
        || none.is_some()
    {
        return None;
    }
    let script = shell.command.get(1).filter(|word| !word.to_bytes().starts_with(b"-"));
    let place = script.map_or_else(|| "the shell's command".to_owned(), |script| command_of(&[*script]));
    Some(format!("exec before {} in {place}", name_of(only)))
}

/// The init is a shell, or the service itself.
fn of_no_init(evidence: &Evidence, init: &Facts, verdict: &Verdict, signum: Signum) -> Vec<String> {
    let entrypoint = format!("an entrypoint of dumb-init with {DRAIN_VARIABLE}");
    let is_shell = matches!(init.rules, Some(Rules::Shell));
    let is_child =
        |facts: &&Facts| facts.process.parent == evidence.init && facts.process.state != State::Zombie;
    let children: Vec<&Facts> = evidence.others().filter(is_child).collect();
    if let ([only], true) = (children.as_slice(), is_shell) {
        let name = name_of(only);
        return match only.rules {
            Some(Rules::Ours(_) | Rules::Unreadable(_) | Rules::Known(_)) => {
                vec![format!(
                    "the exec form, ENTRYPOINT [\"{name}\", ...], or exec before {name}: it is to be PID {}",
                    evidence.init
                )]
            }
            Some(Rules::Shell | Rules::Unknown) | None if only.handles(signum) => {
                vec![format!("exec before {name}"), entrypoint]
            }
            Some(Rules::Pausing | Rules::Shell | Rules::Unknown) | None => vec![entrypoint],
        };
    }
    let is_dropped = |(pid, fate): &(_, Fate)| *pid == evidence.init && fate.is_never();
    if is_shell || verdict.fates.iter().any(is_dropped) { vec![entrypoint] } else { Vec::new() }
}

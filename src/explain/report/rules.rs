//! Who forwards what to whom, and why?

use super::super::evidence::{Evidence, Main};
use super::super::facts::Facts;
use super::super::forecast::Conduct;
use super::super::inits::{Edition, Ours, Rules};
use super::super::verdict::Verdict;
use super::super::wording::name_of;
use crate::options::config::{SETSID, Source};
use crate::options::forward::Forward;
use crate::options::{DASH_C, DASH_G, TINI_GROUP};
use crate::signal::{Name, Signum};

/// In sentences, a line each.
pub(super) fn told(evidence: &Evidence, verdict: &Verdict, signum: Signum) -> String {
    let Some(init) = evidence.facts(evidence.init) else { return String::new() };
    let mut lines = vec![to_whom(evidence, init)];
    if evidence.is_init_stopped() {
        lines.push("It is stopped, and does nothing of this until it is continued.".to_owned());
    }
    if evidence.with_hidden_variables().any(|pid| pid == evidence.init) {
        lines.push("Its environment can't be read: it may have variables that change this.".to_owned());
    }
    lines.extend(as_what(init, verdict, signum));
    lines.join("\n") + "\n"
}

fn to_whom(evidence: &Evidence, init: &Facts) -> String {
    let name = format!("{} (PID {})", name_of(init), evidence.init);
    match &init.rules {
        Some(Rules::Ours(ours)) => {
            let edition = match ours.edition {
                Edition::Ours | Edition::Unknown => "",
                Edition::Original => ", the original,",
            };
            format!("{name}{edition} forwards to {}", recipients_of(ours, evidence.main(evidence.init)))
        }
        Some(Rules::Known(known)) => {
            let to = match known.forward {
                Forward::Child => "its direct child alone",
                Forward::Group | Forward::Tree => "the process group of its child",
            };
            format!("{name} forwards to {to}")
        }
        Some(Rules::Unreadable(reason)) => {
            format!("{name} is a dumb-init whose settings can't be read: {reason}")
        }
        Some(Rules::Pausing) => {
            format!("{name} runs no command, and forwards nothing: SIGTERM and SIGINT end it")
        }
        Some(Rules::Shell | Rules::Unknown) | None if evidence.others().next().is_none() => {
            format!("{name} runs without an init")
        }
        Some(Rules::Shell) => {
            format!("{name} is a shell: it forwards no signal, unless a trap of the script's does")
        }
        Some(Rules::Unknown) | None => {
            format!("{name} is no init that is known here: whether it forwards signals can't be told")
        }
    }
}

fn recipients_of(ours: &Ours, main: Main) -> String {
    let settings = &ours.config.settings;
    let by = of_source(ours.config.forward_source, settings.forward);
    match (settings.linger, main, settings.forward) {
        (true, ..) => "every descendant, since it lingers".to_owned(),
        // Other than at the start, before there is one, that is so only where it waits for others.
        (false, Main::HasEnded, _) if settings.drain.is_some() => {
            "every descendant, since its command has ended".to_owned()
        }
        (false, _, Forward::Child) => format!("its direct child alone{by}"),
        (false, _, Forward::Group) => format!("the process group of its child{by}"),
        (false, _, Forward::Tree) => format!("every descendant{by}"),
    }
}

/// `: DUMB_INIT_SETSID=0 in its environment`
fn of_source(source: Source, forward: Forward) -> String {
    match source {
        Source::Default => String::new(),
        Source::Option(name @ (DASH_C | DASH_G)) => format!(": {name} on its command line"),
        Source::Option(name) => format!(": {name} {} on its command line", forward.name()),
        Source::Variable(SETSID) => format!(": {SETSID}=0 in its environment"),
        Source::Variable(TINI_GROUP) => format!(": {TINI_GROUP} in its environment"),
        Source::Variable(name) => format!(": {name}={} in its environment", forward.name()),
    }
}

fn as_what(init: &Facts, verdict: &Verdict, signum: Signum) -> Option<String> {
    let signal = Name(signum);
    let because = init.ours().map(|ours| of_rewrite(ours, signum)).unwrap_or_default();
    Some(match (verdict.forecast.conduct, signum) {
        (Conduct::Forwards(to), _) => {
            let held = verdict
                .forecast
                .held
                .map_or(String::new(), |duration| format!("held for {duration:?}, then "));
            let because = if to == signum { String::new() } else { because };
            format!("{signal} is {held}forwarded as {}{because}", Name(to))
        }
        (Conduct::Drops, _) => format!("{signal} is not forwarded{because}"),
        (Conduct::Keeps, Signum::KILL) if init.is_pid_1() => {
            format!(
                "{signal} can't be forwarded: from outside of the container it ends everything, from inside it does nothing"
            )
        }
        (Conduct::Keeps, Signum::KILL | Signum::STOP) => {
            format!("{signal} can't be forwarded: no program ever sees it")
        }
        (Conduct::Keeps, Signum::CHLD) => {
            format!("{signal} is not forwarded: it tells of the init's own children")
        }
        (Conduct::Keeps, _) => format!("{signal} is not forwarded"),
        (Conduct::OnlyActs | Conduct::Unknown, _) => return None,
    })
}

fn of_rewrite(ours: &Ours, signum: Signum) -> String {
    match (ours.config.settings.rewrites.get(signum), ours.config.rewrites_source) {
        (None, _) if ours.config.settings.personality.dropped_signals().contains(&signum) => {
            ": no init of that name forwards it".to_owned()
        }
        // The stop of a job is rewritten unasked.
        (None, _) => ": in a session of its own, only that stops its child".to_owned(),
        (Some(_), Source::Default) => String::new(),
        (Some(_), Source::Option(name)) => format!(": {name} on its command line"),
        (Some(_), Source::Variable(name)) => format!(": {name} in its environment"),
    }
}

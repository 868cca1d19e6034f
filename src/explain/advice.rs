//! Advice: the smallest change of settings after which the same prediction is good. No input or output.

use std::time::Duration;

use super::facts::Facts;
use super::handling::{Effect, Handling};
use super::inits::{Edition, Init, Role};
use super::predict::{Change, Prediction};
use super::snapshot::Snapshot;
use crate::options::settings::{Forward, Limit, Source};
use crate::signal::Signum;

/// As long as `docker stop` waits.
const DRAIN: Limit = Limit::After(Duration::from_secs(10));
const DRAIN_VARIABLE: &str = "DUMB_INIT_DRAIN=10s";

/// Recipients and drains in the order in which they are tried.
const CHANGES: [(Forward, Option<Limit>); 6] = [
    (Forward::Group, None),
    (Forward::Tree, None),
    (Forward::Group, Some(DRAIN)),
    (Forward::Tree, Some(DRAIN)),
    (Forward::Child, None),
    (Forward::Child, Some(DRAIN)),
];

/// A suggestion. `None` if the prediction is good, or nothing helps.
pub(super) fn advise(prediction: &Prediction<'_>) -> Option<String> {
    let Prediction { snapshot, signum, .. } = *prediction;
    let facts = snapshot.get(snapshot.init)?;
    if facts.hides_variables() {
        if facts.handling.has_capable_file() {
            let user = "root with CAP_SYS_PTRACE, since the file of the init has capabilities";
            return Some(format!("--explain as {user}: docker exec --privileged --user 0"));
        }
        // The user and the group must be the same (proc_pid_environ(5), ptrace(2)).
        let Handling { users: [real, ..], group, .. } = facts.handling;
        let user = format!("docker exec --user {real}:{group}");
        return Some(format!("--explain as the user of the init, to read its environment: {user}"));
    }
    if prediction.is_good() || !signum.can_be_forwarded() {
        return None;
    }
    let Role::Init(init) = &facts.role else { return without_init(snapshot, facts, signum) };
    let change = find_change(prediction, init).map(|change| in_words(change, init));
    match init.edition {
        Edition::Ours => change,
        Edition::Original => change.map(|change| format!("dumb-init 1.3 or later, with {change}")),
        Edition::Peer => {
            let with = change.map(|change| format!(", with {change}")).unwrap_or_default();
            Some(format!("dumb-init in place of {}{with}", facts.program()))
        }
    }
}

/// The first change after which the prediction is good.
fn find_change(prediction: &Prediction<'_>, init: &Init) -> Option<Change> {
    let current = init.config.settings.forward;
    let is_detour = |forward| current == Forward::Tree && forward == Forward::Group;
    let changes = CHANGES.into_iter().filter(|(forward, _)| !is_detour(*forward));
    let mut changes = changes
        .map(|(forward, drain)| Change { forward: Some(forward).filter(|&new| new != current), drain });
    changes.find(|&change| Prediction::new(prediction.snapshot, prediction.signum, change).is_good())
}

fn in_words(change: Change, init: &Init) -> String {
    // An option overrides the variable.
    let forward = change.forward.map(|forward| match (forward.name(), init.config.forward_source) {
        (name, Source::Option("-c")) => format!("--forward {name} in place of -c"),
        (name, Source::Option("-g")) => format!("DUMB_INIT_FORWARD={name} in place of -g"),
        (name, Source::Option(_)) => format!("--forward {name}"),
        (name, Source::Default | Source::Variable(_)) => format!("DUMB_INIT_FORWARD={name}"),
    });
    let separator = if forward.as_ref().is_some_and(|forward| forward.contains(' ')) { ", " } else { " " };
    let drain = change.drain.map(|_| DRAIN_VARIABLE.to_owned());
    [forward, drain].into_iter().flatten().collect::<Vec<_>>().join(separator)
}

/// PID 1 is a shell or the service itself. An init below a shell is to take its place.
fn without_init(snapshot: &Snapshot, facts: &Facts, signum: Signum) -> Option<String> {
    let mut inits = snapshot.others().filter(|other| other.init().is_some());
    if let Some(init) = inits.find(|init| facts.is_shell() && init.process.parent == snapshot.init) {
        let name = init.program();
        return Some(format!(
            "the exec form, ENTRYPOINT [\"{name}\", ...], so that {name} is PID {}",
            snapshot.init
        ));
    }
    let is_helpful = facts.is_shell() || facts.reaction(signum) == Effect::Discarded;
    is_helpful.then(|| format!("an entrypoint of dumb-init with {DRAIN_VARIABLE}"))
}

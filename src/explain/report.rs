//! The text of the report: sentences, and a table for a terminal or tab-separated lines for a program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::unistd::Pid;

use super::answer::Deadline;
use super::facts::{Facts, LONGEST_NAME, cut, line_of};
use super::handling::Effect;
use super::inits::{Edition, Init, Role};
use super::predict::{Fate, Prediction, When};
use crate::options::settings::{Forward, Limit, Source};
use crate::process::Process;
use crate::signal::{Name, Signum};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";

pub(super) struct Report<'a> {
    pub(super) init: &'a Facts,
    pub(super) prediction: &'a Prediction<'a>,
}

/// The cells of a row, and the colour of the fifth one.
type Row = ([String; 6], &'static str);

impl Report<'_> {
    /// The table for a terminal of this width. It draws the process tree by indentation.
    pub(super) fn table(&self, width: usize, has_colours: bool) -> String {
        let (fates, depths): (Vec<Fate>, Vec<usize>) = self.tree().into_iter().unzip();
        let rows = self.rows(&fates);
        let mut widths = [5, 4, 4, 4, 15, 0];
        for (cells, _) in &rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        let [pid, parent, group, session, signal, _] = widths;
        let line =
            |(([own, of_parent, of_group, of_session, fate, command], colour), depth): (&Row, usize)| {
                let numbers =
                    format!("{own:>pid$}  {of_parent:>parent$}  {of_group:>group$}  {of_session:>session$}");
                let used = [numbers.len(), signal, 4].iter().sum();
                let left = width.saturating_sub(used).max(8);
                // Half of the column is left for the names.
                let indentation = depth.saturating_mul(2).min(left / 2);
                let command = cut(&format!("{:indentation$}{command}", ""), left);
                let (on, off) =
                    if has_colours && !colour.is_empty() { (*colour, "\x1b[0m") } else { ("", "") };
                let line = format!("{numbers}  {on}{fate:<signal$}{off}  {command}");
                line.trim_end().to_owned() + "\n"
            };
        rows.iter().zip(std::iter::once(0).chain(depths)).map(line).collect()
    }

    /// The same for programs, in the order of PIDs.
    pub(super) fn lines(&self) -> String {
        self.rows(&self.prediction.fates).iter().map(|(cells, _)| cells.join("\t") + "\n").collect()
    }

    /// Each process after its parent, with its depth in the tree.
    fn tree(&self) -> Vec<(Fate, usize)> {
        let fates = &self.prediction.fates;
        let shown: BTreeSet<Pid> = fates.iter().map(|fate| fate.pid).collect();
        let mut children: BTreeMap<Option<Pid>, Vec<Fate>> = BTreeMap::new();
        for fate in fates.iter().rev() {
            let parent = self.prediction.snapshot.parent_of(fate.pid).filter(|pid| shown.contains(pid));
            children.entry(parent).or_default().push(*fate);
        }
        let mut next: Vec<(Fate, usize)> = Vec::new();
        let mut below =
            |parent, depth| children.remove(&parent).into_iter().flatten().map(move |fate| (fate, depth));
        next.extend(below(None, 0));
        let mut found = Vec::new();
        while let Some((fate, depth)) = next.pop() {
            found.push((fate, depth));
            next.extend(below(Some(fate.pid), depth.saturating_add(1)));
        }
        found
    }

    fn rows(&self, fates: &[Fate]) -> Vec<Row> {
        let header = ["PID", "PPID", "PGID", "SID", &Name(self.prediction.signum).to_string(), "COMMAND"];
        let row = |fate: &Fate| {
            let facts = self.prediction.snapshot.get(fate.pid)?;
            let Process { pid, parent, group, session, .. } = facts.process;
            let [pid, parent, group, session] = [pid, parent, group, session].map(|id| id.to_string());
            let (text, colour) = fate_in_words(*fate);
            Some(([pid, parent, group, session, text, facts.line()], colour))
        };
        let rows = fates.iter().filter_map(row);
        std::iter::once((header.map(str::to_owned), "")).chain(rows).collect()
    }

    /// The rules of the init, and the use that it makes of the signal.
    pub(super) fn rules(&self) -> String {
        let name = format!("{} (PID {})", self.init.program(), self.prediction.snapshot.init);
        let mut lines = vec![match &self.init.role {
            Role::Init(init) => {
                let edition = if init.edition == Edition::Original { ", the original," } else { "" };
                format!("{name}{edition} forwards to {}", recipients(init))
            }
            Role::Pausing => {
                format!("{name} runs no command, and forwards nothing: SIGTERM and SIGINT end it")
            }
            _ if self.prediction.snapshot.others().next().is_none() => format!("{name} runs without an init"),
            Role::Shell => {
                format!("{name} is a shell: it forwards no signal, unless a trap in its script does")
            }
            Role::Program => format!("{name} is no known init: it may or may not forward signals"),
        }];
        if self.init.is_stopped() {
            lines.push("It is stopped: nothing of this happens before it is continued.".into());
        }
        if self.init.hides_variables() {
            lines.push("Its environment cannot be read: variables in it may change this.".into());
        }
        if let Some(init) = self.init.init() {
            lines.extend(self.helpers(init));
            lines.push(self.conduct(init));
        }
        lines.join("\n") + "\n"
    }

    fn helpers(&self, init: &Init) -> impl Iterator<Item = String> {
        let snapshot = self.prediction.snapshot;
        let helpers = init.config.helpers.iter().zip(&snapshot.programs_of(snapshot.init).helpers);
        helpers.map(|(helper, pid)| {
            let name = cut(&line_of(&helper.argv), LONGEST_NAME);
            let consequence =
                if helper.is_optional { "it may exit" } else { "if it exits, everything is shut down" };
            match pid {
                Some(pid) => format!("Helper {name} (PID {pid}): {consequence}"),
                None => format!("Helper {name}: not running; {consequence}"),
            }
        })
    }

    fn conduct(&self, init: &Init) -> String {
        let signal = Name(self.prediction.signum);
        let rewrite = init.config.settings.rewrites.get(self.prediction.signum);
        let source = source_in_words(init.config.rewrites_source, |_| String::new());
        if let Some(to) = self.prediction.forwarded {
            let held = match (self.prediction.held_by_hook, self.prediction.held) {
                (Some(longest), delay) => {
                    let hook = cut(&line_of(&init.config.hook), LONGEST_NAME);
                    let delay = delay.map(|time| format!(" and {time:?} have passed")).unwrap_or_default();
                    let longest = match longest {
                        Limit::After(time) => format!(", at most {time:?}"),
                        Limit::Never => String::new(),
                    };
                    Some(format!("held until the pre-stop hook {hook} has exited{delay}{longest}, then "))
                }
                (None, delay) => delay.map(|time| format!("held for {time:?}, then ")),
            };
            let reason = match rewrite {
                _ if to == self.prediction.signum => "",
                Some(_) => &source,
                None => ": in a session of its own, only SIGSTOP stops its child",
            };
            return format!("{signal} is {}forwarded as {}{reason}", held.unwrap_or_default(), Name(to));
        }
        let reason = match self.prediction.signum {
            Signum::CHLD => "it reports that a child of the init has exited",
            Signum::KILL | Signum::STOP => "no program can catch it",
            _ if rewrite.is_none() || source.is_empty() => "no init of that name does",
            _ => return format!("{signal} is not forwarded{source}"),
        };
        format!("{signal} is not forwarded: {reason}")
    }

    /// The consequences and the advice.
    pub(super) fn conclusion(&self, advice: Option<String>) -> String {
        let summary = self.prediction.signum.can_be_forwarded().then(|| self.summary());
        let advice = advice.map(|advice| format!("Try: {advice}"));
        let lines = summary.into_iter().chain(self.notes()).chain(advice);
        lines.map(|line| line + "\n").collect()
    }

    fn summary(&self) -> String {
        let expected = self.prediction.expected();
        let count = |is_it: fn(&&Fate) -> bool| expected.iter().filter(is_it).count();
        let missed = count(|fate| fate.effect.is_missed());
        let unknown = count(|fate| fate.effect == Effect::Unknown);
        let late = count(|fate| fate.when != When::AtOnce);
        let total = expected.len();
        let mut sentences = match (missed, unknown, late) {
            _ if total == 0 => return "There is no process to receive the signal.".into(),
            (0, 0, 0) => vec!["Every process receives the signal.".to_owned()],
            (0, 0, _) => vec![format!("Every process receives the signal, {late} of {total} later.")],
            (_, 0, _) => vec![format!("Not signalled: {missed} of {total} processes.")],
            (0, ..) => vec![format!("Unknown: {unknown} of {total} processes.")],
            _ => vec![format!("Not signalled: {missed} of {total} processes. Unknown: {unknown}.")],
        };
        let deadline = self.prediction.deadline.map(|deadline| match deadline {
            Deadline::AfterSignal(time) => format!("{time:?} after the signal"),
            Deadline::AfterCommand(time) => format!("{time:?} after {} exits", self.command()),
        });
        if self.prediction.waits {
            let kills = deadline.map(|time| format!(", and kills the remaining ones {time}"));
            sentences.push(format!("dumb-init waits for the last process{}.", kills.unwrap_or_default()));
            return sentences.join(" ");
        }
        sentences.extend(deadline.map(|time| format!("Remaining processes are killed {time}.")));
        if !self.prediction.is_complete() {
            let verb = if self.init.handling.is_pid_1 { "killed" } else { "left behind" };
            let (first, reason) = match self.init.init() {
                Some(init) if init.edition == Edition::Ours => (self.command(), ", since --drain is off"),
                Some(_) => (self.command(), ""),
                None => (self.init.program(), ""),
            };
            sentences.push(format!("Remaining processes are {verb} when {first} exits{reason}."));
        }
        sentences.join(" ")
    }

    fn command(&self) -> String {
        let snapshot = self.prediction.snapshot;
        let command = snapshot.programs_of(snapshot.init).command;
        match (self.init.init(), command.and_then(|command| snapshot.get(command))) {
            (Some(init), _) => cut(&line_of(&init.command), LONGEST_NAME),
            (None, Some(process)) => process.program(),
            (None, None) => "the command".into(),
        }
    }

    /// Processes that need a remark, and everything that could make the prediction wrong.
    fn notes(&self) -> Vec<String> {
        let (prediction, snapshot) = (self.prediction, self.prediction.snapshot);
        let with = |effect| prediction.with(|fate| fate.effect == effect);
        let is_refused =
            |fate: &Fate| fate.effect == Effect::NotSignalled && prediction.refused.contains(&fate.pid);
        let hidden = snapshot.others().filter(|facts| facts.hides_variables());
        let lists = [
            ("Ignored by", with(Effect::Ignores)),
            ("Blocked, so that it stays pending, by", with(Effect::Blocks)),
            ("Discarded by the kernel, since a PID 1 has no handler for it", with(Effect::Discarded)),
            ("Stopped, so that it has no effect before SIGCONT", with(Effect::IsStopped)),
            ("Not permitted, since the init lacks CAP_KILL", prediction.with(is_refused)),
            ("With variables that cannot be read", hidden.map(|facts| facts.process.pid).collect()),
            ("Signalled together with their master, which stops them itself", prediction.workers()),
        ];
        let list = |(label, pids): (&str, Vec<Pid>)| {
            let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
            (!pids.is_empty()).then(|| format!("{label}: PID {}.", pids.join(", ")))
        };
        let mut lines: Vec<String> = lists.into_iter().filter_map(list).collect();
        let programs = snapshot.programs_of(snapshot.init);
        if let Some(pid) = programs.command.filter(|_| !programs.is_certain) {
            lines.push(format!("PID {pid} seems to be the command, which may have exited before."));
        }
        lines.extend(snapshot.parents_of_zombies().iter().map(|(&pid, count)| {
            let name = snapshot.get(pid).map(Facts::program).unwrap_or_default();
            let (noun, reason) =
                if *count == 1 { ("zombie", "its parent") } else { ("zombies", "their parent") };
            if pid == snapshot.init && self.init.handling.is_pid_1 && self.init.init().is_none() {
                return format!("{count} {noun} of {name} (PID {pid}), which does not reap. An init would.");
            }
            format!(
                "{count} {noun} of {name} (PID {pid}): only {reason} can reap {}.",
                if *count == 1 { "it" } else { "them" }
            )
        }));
        lines.extend(self.time());
        if snapshot.hides_processes {
            lines.push("There may be more: /proc hides other users' processes (hidepid).".into());
        }
        lines
    }

    /// The time until the container ends, since an engine kills all processes after a while.
    fn time(&self) -> Option<String> {
        let Prediction { forwarded, held, held_by_hook, deadline, .. } = *self.prediction;
        if !self.prediction.signum.shuts_down() || forwarded.is_none() || !self.init.handling.is_pid_1 {
            return None;
        }
        let (time, more) = match deadline {
            Some(Deadline::AfterSignal(time)) => (time, String::new()),
            Some(Deadline::AfterCommand(time)) => (time, format!(" after {} has exited", self.command())),
            None if self.prediction.waits => (Duration::ZERO, " until the last process has exited".into()),
            None => (Duration::ZERO, format!(" until {} has exited", self.command())),
        };
        let engine = "docker stop kills everything after 10s unless -t is longer";
        let held = match held_by_hook {
            Some(Limit::After(time)) => time,
            Some(Limit::Never) => {
                return Some(format!("The shutdown may take as long as the pre-stop hook: {engine}."));
            }
            None => held.unwrap_or_default(),
        };
        let time = held.checked_add(time).filter(|time| !time.is_zero())?;
        Some(format!("The shutdown may take {time:?}{more}: {engine}."))
    }
}

/// The recipients of signals, and the option or variable that sets them.
fn recipients(init: &Init) -> String {
    let settings = &init.config.settings;
    if settings.linger {
        return "every descendant, since it lingers".into();
    }
    let recipients = match (settings.forward, init.config.helpers.is_empty()) {
        (Forward::Child, true) => "its direct child alone",
        (Forward::Child, false) => "its direct child and its helpers alone",
        (Forward::Group, true) => "the process group of its child",
        (Forward::Group, false) => "the process groups of its child and its helpers",
        (Forward::Tree, _) => "every descendant",
    };
    let value = settings.forward.name();
    let source = source_in_words(init.config.forward_source, |name| match name {
        "--forward" => format!(" {value}"),
        "DUMB_INIT_FORWARD" => format!("={value}"),
        "DUMB_INIT_SETSID" => "=0".into(),
        _ => String::new(),
    });
    format!("{recipients}{source}")
}

/// The option or variable that a setting comes from, with its value.
fn source_in_words(source: Source, value: impl Fn(&str) -> String) -> String {
    match source {
        Source::Default => String::new(),
        Source::Option(name) => format!(": {name}{} on its command line", value(name)),
        Source::Variable(name) => format!(": {name}{} in its environment", value(name)),
    }
}

/// The cell for a process, and its colour.
fn fate_in_words(fate: Fate) -> (String, &'static str) {
    let (effect, colour) = match fate.effect {
        Effect::Catches => ("catches it", GREEN),
        Effect::Waits => ("waits for it", GREEN),
        Effect::Reads => ("reads it", GREEN),
        Effect::Ignores => ("ignores it", YELLOW),
        Effect::Blocks => ("blocks it", YELLOW),
        Effect::Terminates => ("terminates", GREEN),
        Effect::Stops => ("stops", GREEN),
        Effect::Resumes => ("resumes", GREEN),
        Effect::Nothing => ("no effect", GREEN),
        Effect::Discarded => ("discarded", RED),
        Effect::Receives => ("receives it", YELLOW),
        Effect::Forwards => ("forwards it", GREEN),
        Effect::Drops => ("drops it", YELLOW),
        Effect::IsStopped => ("is stopped", YELLOW),
        Effect::NotSignalled => ("not signalled", RED),
        Effect::Unknown => ("unknown", YELLOW),
        Effect::Zombie => ("zombie", ""),
    };
    let when = match fate.when {
        When::AtOnce => "",
        When::AfterCommand => ", later",
        When::AfterParent => ", when its parent exits",
        When::AfterWriters => ", after its writers",
    };
    (format!("{effect}{when}"), colour)
}

//! How is it told?
//!
//! To a person on a terminal as a table with sentences around it; to a program as lines of tab-separated fields, the
//! sentences apart from them on stderr. Both say the same.

use std::fmt::Write as _;

use nix::unistd::Pid;

use super::evidence::Evidence;
use super::forecast::{Conduct, When};
use super::handling::Reaction;
use super::verdict::{Fate, Verdict};
use super::wording::{cut, line_of};
use crate::signal::{Name, Signum};

mod conclusion;
mod rules;

/// How many cells a row has.
const COLUMNS: usize = 6;

/// What is told.
pub(crate) struct Report {
    /// Who forwards what to whom.
    pub(crate) rules: String,
    header: [String; COLUMNS],
    rows: Vec<Row>,
    /// What follows from it, and what to try.
    pub(crate) conclusion: String,
}

struct Row {
    cells: [String; COLUMNS],
    colour: Colour,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    None,
    Green,
    Yellow,
    Red,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
        }
    }
}

const NO_COLOUR: &str = "\x1b[0m";

/// May the table have colours?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    Colours,
    Plain,
}

impl Report {
    /// Tells what would come of the signal, and what to try.
    pub(crate) fn new(evidence: &Evidence, verdict: &Verdict, advice: &[String], signum: Signum) -> Self {
        let signal = Name(signum).to_string();
        let row = |&(pid, fate): &(Pid, Fate)| {
            let facts = evidence.facts(pid)?;
            let process = facts.process;
            let [parent, group, session] = [process.parent, process.group, process.session];
            let (text, colour) = in_words(fate, verdict);
            let numbers = [pid, parent, group, session].map(|number| number.to_string());
            let [pid, parent, group, session] = numbers;
            Some(Row { cells: [pid, parent, group, session, text, line_of(&facts.command)], colour })
        };
        let header = ["PID", "PPID", "PGID", "SID", &signal, "COMMAND"].map(str::to_owned);
        Self {
            rules: rules::told(evidence, verdict, signum),
            header,
            rows: verdict.fates.iter().filter_map(row).collect(),
            conclusion: conclusion::told(evidence, verdict, signum, advice),
        }
    }

    /// The table for a terminal of that width.
    pub(crate) fn table(&self, width: usize, palette: Palette) -> String {
        let all = || std::iter::once(&self.header).chain(self.rows.iter().map(|row| &row.cells));
        let width_of = |column: usize| {
            all().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let [pid, parent, group, session, signal] =
            [(0, 5), (1, 4), (2, 4), (3, 4), (4, 15)].map(|(column, least)| width_of(column).max(least));
        let mut text = String::new();
        let mut add = |cells: &[String; COLUMNS], colour: Colour| {
            let [own, of_parent, of_group, of_session, fate, command] = cells;
            let numbers =
                format!("{own:>pid$}  {of_parent:>parent$}  {of_group:>group$}  {of_session:>session$}  ");
            let begins = numbers.len().saturating_add(signal).saturating_add(2);
            let command = cut(command, width.saturating_sub(begins).max(8));
            let (on, off) = match (palette, colour) {
                (Palette::Plain, _) | (Palette::Colours, Colour::None) => ("", ""),
                (Palette::Colours, Colour::Green | Colour::Yellow | Colour::Red) => {
                    (colour.code(), NO_COLOUR)
                }
            };
            let padding = " ".repeat(signal.saturating_sub(fate.chars().count()));
            let line = format!("{numbers}{on}{fate}{off}{padding}  {command}");
            // It fails only without memory.
            let _ = writeln!(text, "{}", line.trim_end());
        };
        add(&self.header, Colour::None);
        self.rows.iter().for_each(|row| add(&row.cells, row.colour));
        text
    }

    /// The same for programs.
    pub(crate) fn lines(&self) -> String {
        let all = std::iter::once(&self.header).chain(self.rows.iter().map(|row| &row.cells));
        all.map(|cells| cells.join("\t") + "\n").collect()
    }
}

/// What becomes of a process.
fn in_words(fate: Fate, verdict: &Verdict) -> (String, Colour) {
    let late = |when| match when {
        When::AtOnce => "",
        When::AfterMain => ", later",
        When::AfterParent => ", when its parent exits",
        When::AfterWriters => ", after its writers",
    };
    let text = match fate {
        Fate::Init(Conduct::Forwards(_), _) if verdict.forecast.held.is_some() => "holds it".to_owned(),
        Fate::Init(Conduct::Forwards(_), _) => "forwards it".to_owned(),
        Fate::Init(Conduct::Drops, _) => "drops it".to_owned(),
        Fate::Init(Conduct::Keeps, reaction @ (Reaction::Dies | Reaction::Stops | Reaction::Drops))
        | Fate::Init(Conduct::OnlyActs | Conduct::Unknown, reaction) => {
            reaction_in_words(reaction).to_owned()
        }
        Fate::Init(Conduct::Keeps, _) => "keeps it".to_owned(),
        Fate::Forwards(when) => format!("forwards it{}", late(when)),
        Fate::Gets(reaction, when) => format!("{}{}", reaction_in_words(reaction), late(when)),
        Fate::GetsStopped(reaction, when) => {
            format!("{}{}, is stopped", reaction_in_words(reaction), late(when))
        }
        Fate::Never => "never gets it".to_owned(),
        Fate::Unknown => "not known".to_owned(),
        Fate::Zombie => "has ended".to_owned(),
        Fate::Plumbing => "left alone".to_owned(),
    };
    let colour = match fate {
        Fate::Init(..) | Fate::Zombie | Fate::Plumbing if !fate.is_never() => Colour::None,
        Fate::Forwards(_) => Colour::Green,
        Fate::GetsStopped(..) | Fate::Unknown => Colour::Yellow,
        Fate::Gets(reaction, _) => match reaction {
            Reaction::Drops => Colour::Red,
            Reaction::Ignores | Reaction::Blocks | Reaction::BlocksOrReads | Reaction::Unknown => {
                Colour::Yellow
            }
            Reaction::Catches
            | Reaction::Awaits
            | Reaction::Reads
            | Reaction::Dies
            | Reaction::Stops
            | Reaction::GoesOn
            | Reaction::DoesNothing
            | Reaction::AwaitsOrDies => Colour::Green,
        },
        Fate::Init(..) | Fate::Never | Fate::Zombie | Fate::Plumbing => Colour::Red,
    };
    (text, colour)
}

fn reaction_in_words(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Catches => "catches it",
        Reaction::Awaits => "waits for it",
        Reaction::Reads => "reads it",
        Reaction::Ignores => "ignores it",
        Reaction::Blocks => "blocks it",
        Reaction::BlocksOrReads => "blocks or reads",
        Reaction::Dies => "dies (default)",
        Reaction::Stops => "stops (default)",
        Reaction::GoesOn => "goes on (default)",
        Reaction::DoesNothing => "nothing (default)",
        Reaction::Drops => "drops it (PID 1)",
        Reaction::AwaitsOrDies => "waits or dies",
        Reaction::Unknown => "gets it",
    }
}

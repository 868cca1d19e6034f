//! The formats of a report.

use std::fmt::Display;
use std::time::Instant;

use super::memory::Memory;
use crate::options::settings::Format;
use crate::signal::{Name, Signum};

/// The size of the largest report. Kubernetes keeps as much of a termination message, and a pipe takes as
/// much by one write (PIPE_BUF).
pub(super) const MOST_BYTES: usize = 4096;
/// The number of events at the beginning that are never left out.
pub(super) const FIRST_EVENTS: usize = 6;

pub(super) struct Content {
    pub(super) verdict: Verdict,
    pub(super) status: u8,
    /// The time from which the times of the events count.
    pub(super) start: Option<Instant>,
    pub(super) events: Vec<(Instant, String)>,
    /// The number of events that are left out after the first ones.
    pub(super) left_out: usize,
    pub(super) memory: Option<Memory>,
    /// The parents of zombies, each with their number.
    pub(super) zombies: Vec<(usize, String)>,
}

pub(super) struct Verdict {
    pub(super) words: &'static str,
    /// Empty if there is nothing to add.
    pub(super) detail: String,
    pub(super) signal: Option<Signum>,
    pub(super) sender: Option<String>,
}

impl Content {
    /// Renders the report, with as many events left out as necessary.
    pub(super) fn fit(mut self, render: impl Fn(&Self) -> String) -> String {
        loop {
            let report = render(&self);
            if report.len() <= MOST_BYTES || self.events.len() <= FIRST_EVENTS {
                return report;
            }
            self.events.remove(FIRST_EVENTS);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    pub(super) fn in_format(&self, format: Format) -> String {
        match format {
            Format::Text => self.text(""),
            Format::Json => self.json(),
        }
    }

    /// Renders lines that begin with a prefix.
    pub(super) fn text(&self, prefix: &str) -> String {
        let Verdict { words, detail, .. } = &self.verdict;
        let colon = if detail.is_empty() { "" } else { ": " };
        let mut lines = vec![format!("{words}{colon}{detail}; exit status {}", self.status)];
        lines.extend(self.timed_events().map(|(time, event)| format!("{time:>8} s  {event}")));
        if self.left_out > 0 {
            let plural = if self.left_out == 1 { "" } else { "s" };
            let place = lines.len().min(FIRST_EVENTS + 1);
            lines.insert(place, format!("... {} line{plural} left out", self.left_out));
        }
        lines.extend(self.memory.map(|memory| format!("memory: {memory}")));
        let zombies = self.zombies.iter();
        lines.extend(zombies.map(|(count, parent)| format!("unreaped zombies: {count}, parent {parent}")));
        format!("{prefix}{}\n", lines.join(&format!("\n{prefix}")))
    }

    /// Renders a JSON object (RFC 8259). docs/report.md lists its keys.
    fn json(&self) -> String {
        let Verdict { words, detail, signal, sender } = &self.verdict;
        let null = || "null".to_owned();
        let number = |number: Option<u64>| number.map_or_else(null, |number| number.to_string());
        let memory = self.memory.map_or_else(null, |Memory { peak, limit, kills }| {
            let [peak, limit, kills] = [peak, limit, kills].map(number);
            format!("{{\"peak\":{peak},\"limit\":{limit},\"oom_kills\":{kills}}}")
        });
        let events = self.timed_events();
        let events = events.map(|(time, event)| format!("{{\"time\":{time},\"text\":{}}}", string(event)));
        let zombies = self.zombies.iter();
        let zombies =
            zombies.map(|(count, parent)| format!("{{\"count\":{count},\"parent\":{}}}", string(parent)));
        let fields = [
            ("verdict", string(words)),
            ("detail", string(detail)),
            ("signal", signal.map_or_else(null, |signum| string(Name(signum)))),
            ("sender", sender.as_ref().map_or_else(null, string)),
            ("exit_status", self.status.to_string()),
            ("events", format!("[{}]", events.collect::<Vec<_>>().join(","))),
            ("left_out", self.left_out.to_string()),
            ("memory", memory),
            ("zombies", format!("[{}]", zombies.collect::<Vec<_>>().join(","))),
        ];
        let fields = fields.map(|(key, value)| format!("\"{key}\":{value}"));
        format!("{{{}}}\n", fields.join(","))
    }

    /// The events, each with its time in seconds. It is negative before the shutdown.
    fn timed_events(&self) -> impl Iterator<Item = (String, &String)> {
        let start = self.start.or(self.events.first().map(|(at, _)| *at));
        self.events.iter().map(move |(at, event)| {
            let start = start.unwrap_or(*at);
            let (before, after) = (start.saturating_duration_since(*at), at.saturating_duration_since(start));
            let sign = if before.as_millis() > 0 { "-" } else { "" };
            let time = before.max(after);
            (format!("{sign}{}.{:03}", time.as_secs(), time.subsec_millis()), event)
        })
    }
}

/// A JSON string. Control characters in names are escaped already.
fn string(text: impl Display) -> String {
    format!("\"{}\"", text.to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

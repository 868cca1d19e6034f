//! `--report`: the reason of the exit, with real processes.

mod containers;
mod files;
mod refusals;
mod verdicts;

use std::os::fd::OwnedFd;

use crate::support::{Outcome, Running, Start, without_pids};

/// A report on stderr.
struct Report {
    verdict: String,
    /// The time in seconds and the text of each event.
    events: Vec<(f64, String)>,
    /// The lines after the events, without the memory. It depends on the machine.
    end: Vec<String>,
}

impl Report {
    /// Reads the last lines of stderr.
    #[track_caller]
    fn of(outcome: &Outcome) -> Self {
        let text = outcome.stderr();
        let lines =
            text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] ")).map(|(_, text)| text);
        let mut lines = lines.skip_while(|line| !line.contains("; exit status "));
        let verdict = lines.next().unwrap_or_else(|| panic!("no verdict\n{outcome}")).to_owned();
        let (mut events, mut end) = (Vec::new(), Vec::new());
        for line in lines {
            match line.split_once(" s  ") {
                Some((time, event)) => {
                    let decimals = time.split_once('.').map(|(_, decimals)| decimals.len());
                    assert!(time.len() >= 8 && decimals == Some(3), "{line:?}\n{outcome}");
                    events.push((time.trim_start().parse().expect("a time"), event.to_owned()));
                }
                None if line.starts_with("memory: ") => {}
                None => end.push(line.to_owned()),
            }
        }
        Self { verdict, events, end }
    }

    /// The texts of the events, with N for each PID.
    fn texts(&self) -> Vec<String> {
        self.events.iter().map(|(_, event)| without_pids(event)).collect()
    }
}

/// The verdict on stderr, with N for each PID.
#[track_caller]
fn verdict(outcome: &Outcome) -> String {
    without_pids(&Report::of(outcome).verdict)
}

/// Runs a shell script that waits for a line of its input, which never comes.
fn start_waiting(start: Start, text: &str) -> (Running, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    (start.stdin(OwnedFd::from(reader)).words(["sh", "-c", text]).start(), writer)
}

/// The command's PID, as the init sees it.
fn command_of(running: &Running) -> String {
    if running.is_in_namespace() { "2".to_owned() } else { running.command_pid().to_string() }
}

/// The test as the sender of a signal, as the init sees it.
fn sender(running: &Running) -> String {
    if running.is_in_namespace() {
        return "outside the container".to_owned();
    }
    let name = std::fs::read_to_string("/proc/self/comm").expect("our name");
    format!("PID {} ({})", std::process::id(), name.trim_end())
}

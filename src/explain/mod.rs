//! Who would get a signal, what would each do with it, and why?
//!
//! `--explain`, run by a person beside a running init: `evidence` reads what /proc tells, `forecast` asks the policy who would
//! be reached, `verdict` says whether that is as it should be, `advice` what would help, and `report` tells it all. Nobody
//! is sent anything.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Instant;

use nix::unistd::{Pid, getpid};

use crate::options::Question;
use crate::signal::exit_status::ExitStatus;
use crate::sys::{output, tty};
use advice::advice;
use evidence::Evidence;
use forecast::Scenario;
use report::{Palette, Report};
use verdict::Verdict;

mod advice;
mod aftermath;
mod evidence;
mod facts;
mod forecast;
mod handling;
mod inits;
mod relations;
mod report;
mod verdict;
mod wording;

/// Every process gets the signal, and the container waits for all of them.
const GOOD: ExitStatus = ExitStatus::SUCCESS;
const NOT_GOOD: ExitStatus = ExitStatus::Exited(1);
/// It can't be told.
const UNREADABLE: ExitStatus = ExitStatus::Exited(2);

/// The width of a table where the terminal doesn't tell its own.
const USUAL_WIDTH: usize = 80;

/// Answers the question, on stdout.
pub(crate) fn explain(question: &Question) -> ExitStatus {
    let init = question.init.unwrap_or(Pid::from_raw(1));
    let complain = |text: &str| {
        output::write_to_stderr([b"dumb-init: ".as_slice(), text.as_bytes(), b"\n"]);
        UNREADABLE
    };
    if init == getpid() {
        return complain(
            "nothing runs here that could be explained: run --explain beside the init, by docker exec",
        );
    }
    let Some(evidence) = Evidence::gather(init) else {
        return complain(&format!("unable to find PID {init}: /proc does not show it"));
    };
    if let Some(reason) = evidence.no_init() {
        return complain(&format!("PID {init} {reason}"));
    }
    let now = Instant::now();
    let scenario = Scenario {
        evidence: &evidence,
        tree: &evidence.tree,
        now,
        remedy: None,
        command: forecast::Command::AsSeen,
    };
    let verdict = Verdict::of(scenario, question.signum);
    let advice = advice(scenario, &verdict, question.signum);
    let report = Report::new(&evidence, &verdict, &advice, question.signum);
    if let Err(error) = tell(&report) {
        return complain(&format!("unable to write: {error}"));
    }
    if verdict.is_good() && !evidence.is_uncertain() { GOOD } else { NOT_GOOD }
}

/// Reads a file in /proc with few system calls: std begins with 32 bytes.
fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn tell(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        // https://no-color.org
        let is_plain = is_set("NO_COLOR") || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let palette = if is_plain { Palette::Plain } else { Palette::Colours };
        let table = report.table(tty::width().unwrap_or(USUAL_WIDTH), palette);
        write!(stdout, "{}\n{table}\n{}", report.rules, report.conclusion)?;
    } else {
        stdout.write_all(report.lines().as_bytes())?;
        output::write_to_stderr([report.rules.as_bytes(), report.conclusion.as_bytes()]);
    }
    stdout.flush()
}

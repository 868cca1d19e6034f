//! `--explain`: a report on the effect of a signal, without sending it.
//!
//! `snapshot` reads /proc, `programs` finds the command and the helpers, `answer` asks the policy, `predict`
//! finds the consequences, `advice` tries changes, `report` writes the text.

use std::env;
use std::io::{self, IsTerminal, Write};

use nix::unistd::{Pid, getpid};

use crate::options::Question;
use crate::process::State;
use crate::signal::exit_status::ExitStatus;
use crate::sys::{output, tty};
use predict::{Change, Prediction};
use report::Report;
use snapshot::Snapshot;

mod advice;
mod answer;
mod facts;
mod handling;
mod inits;
mod predict;
mod programs;
mod report;
mod snapshot;

/// Writes the report. Succeeds if every process receives the signal, the container waits for all of them, and
/// there is no zombie.
pub(crate) fn explain(question: &Question) -> ExitStatus {
    let pid = question.init.unwrap_or(Pid::from_raw(1));
    let fail = |text: &str| {
        output::write_to_stderr([b"dumb-init: ".as_slice(), text.as_bytes(), b"\n"]);
        ExitStatus::Exited(2)
    };
    if pid == getpid() {
        return fail("no init to explain: run --explain beside the init, by docker exec");
    }
    let Some(snapshot) = Snapshot::read(pid) else {
        return fail(&format!("unable to find PID {pid}: /proc does not show it"));
    };
    let Some(init) = snapshot.get(pid).filter(|init| init.process.state != State::Zombie) else {
        return fail(&format!("PID {pid} is a zombie: it has exited"));
    };
    if init.arguments.is_empty() && std::fs::read_link(format!("/proc/{pid}/exe")).is_err() {
        return fail(&format!("PID {pid} is a thread of the kernel"));
    }
    let prediction = Prediction::new(&snapshot, question.signum, Change::default());
    let report = Report { init, prediction: &prediction };
    if let Err(error) = write(&report, advice::advise(&prediction)) {
        return fail(&format!("unable to write: {error}"));
    }
    let has_zombies = !snapshot.parents_of_zombies().is_empty();
    let is_good = prediction.is_good() && !snapshot.is_uncertain() && !has_zombies;
    if is_good { ExitStatus::SUCCESS } else { ExitStatus::Exited(1) }
}

fn write(report: &Report<'_>, advice: Option<String>) -> io::Result<()> {
    let (rules, conclusion) = (report.rules(), report.conclusion(advice));
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        // https://no-color.org
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let table = report.table(tty::width().unwrap_or(80), !is_plain);
        write!(stdout, "{rules}\n{table}\n{conclusion}")?;
    } else {
        stdout.write_all(report.lines().as_bytes())?;
        output::write_to_stderr([rules.as_bytes(), conclusion.as_bytes()]);
    }
    stdout.flush()
}

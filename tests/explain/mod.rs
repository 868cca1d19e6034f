//! `--explain`: what is said, against what then truly happens.

mod command_line;
mod endings;
mod inits;
mod output;
mod processes;
mod programs;
mod roots;
mod scale;
mod start_script;
mod trees;

use std::fmt;
use std::path::Path;

use nix::unistd::Pid;

use crate::support::{Outcome, Running, Start, built_init, namespace_of, procfs};

/// What `--explain` has told to a program.
struct Told {
    outcome: Outcome,
    /// The init's PID.
    init: Option<i32>,
    rows: Vec<Row>,
}

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// As the init's namespace has it.
    pid: i32,
    parent: i32,
    fate: String,
    command: String,
}

impl Told {
    fn of(outcome: Outcome) -> Self {
        let rows = outcome.stdout().lines().skip(1).map(Row::parse).collect();
        let init =
            outcome.stderr().split("(PID ").nth(1).and_then(|rest| rest.split(')').next()?.parse().ok());
        Self { outcome, init, rows }
    }

    fn row(&self, pid: i32) -> Option<&Row> {
        self.rows.iter().find(|row| row.pid == pid)
    }

    /// The one with this in its command line, the init aside, which has the others' words in its own.
    #[track_caller]
    fn with(&self, part: &str) -> &Row {
        let is_it = |row: &&Row| Some(row.pid) != self.init && row.command.contains(part);
        let mut found = self.rows.iter().filter(is_it);
        let (Some(row), None) = (found.next(), found.next()) else {
            panic!("not one row with {part:?}\n{self}")
        };
        row
    }

    #[track_caller]
    fn expect(&self, part: &str, fate: &str) -> &Self {
        assert_eq!(self.with(part).fate, fate, "{part}\n{self}");
        self
    }

    #[track_caller]
    fn expect_code(&self, code: i32) -> &Self {
        self.outcome.expect_code(code);
        self
    }

    /// A whole line on stderr, where the sentences are.
    #[track_caller]
    fn expect_line(&self, line: &str) -> &Self {
        assert!(self.outcome.stderr().lines().any(|candidate| candidate == line), "no line {line:?}\n{self}");
        self
    }

    /// Part of a line on stderr.
    #[track_caller]
    fn expect_part(&self, part: &str) -> &Self {
        assert!(self.outcome.stderr().contains(part), "no {part:?}\n{self}");
        self
    }

    #[track_caller]
    fn expect_no_advice(&self) -> &Self {
        assert!(!self.outcome.stderr().contains("Try:"), "{self}");
        self
    }
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(out)
    }
}

const BY_PARENT: &str = ", when its parent exits";
const BY_WRITERS: &str = ", after its writers";
const TIMES: [&str; 3] = [", later", BY_PARENT, BY_WRITERS];

impl Row {
    fn is_late(&self) -> bool {
        self.fate != self.fate_at_once()
    }

    /// The fate without the time at which the signal comes.
    fn fate_at_once(&self) -> String {
        TIMES.iter().fold(self.fate.clone(), |fate, time| fate.replace(time, ""))
    }

    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [pid, parent, group, session, fate, command] = fields[..] else {
            panic!("not six fields: {line:?}")
        };
        let [pid, parent, ..] =
            [pid, parent, group, session].map(|number| number.parse::<i32>().expect(line));
        Self { pid, parent, fate: fate.into(), command: command.into() }
    }
}

/// `--explain` beside a running program, in its namespace if it has one. Waits for shells that are forking, and
/// for inits on their way to `/`: their children may be ready before them.
fn explainer(running: &Running) -> Start {
    let link = |pid: Pid, name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let runs = |pid: Pid, names: &[&str]| names.iter().any(|name| link(pid, "exe").ends_with(name));
    let is_shell = |pid: Pid| runs(pid, &["dash", "bash", "sh"]);
    let is_starting = |pid: &Pid| {
        let is_stopped = procfs::state(*pid) == Some('T');
        runs(*pid, &["dumb-init"]) && !is_stopped && link(*pid, "cwd") != Path::new("/")
    };
    procfs::wait_until("all inits have started their commands", || {
        !running.descendants().iter().chain([&running.pid()]).any(is_starting)
    });
    let is_blocked = |pid| procfs::status_field(pid, "SigBlk").is_some_and(|mask| mask == BLOCKED_BY_GLIBC);
    let is_amid_a_fork = |&pid: &Pid| is_shell(pid) && is_blocked(pid);
    procfs::wait_until("nobody is amid a fork", || !running.descendants().iter().any(is_amid_a_fork));
    let beside = if running.is_in_namespace() {
        Start::program("nsenter").words(namespace_of(running.pid())).word(built_init())
    } else {
        Start::init(&built_init())
    };
    if running.is_in_namespace() { beside } else { beside.words(["--pid", &running.pid().to_string()]) }
}

/// What glibc blocks, all but the two that it keeps for itself, until a child that shares the memory of its parent has executed
/// something.
const BLOCKED_BY_GLIBC: &str = "fffffffe7ffbfeff";

/// Has it explained, for a program that reads it.
fn explain(running: &Running, option: &str) -> Told {
    Told::of(explainer(running).word(option).run())
}

/// The same when nothing changes any more: a daemon is an orphan only when its parent has ended.
fn explain_when_settled(running: &Running, option: &str) -> Told {
    let mut last = explain(running, option);
    procfs::wait_until("nothing changes any more", || {
        let now = explain(running, option);
        let is_settled = now.rows == last.rows;
        last = now;
        is_settled
    });
    last
}

/// A script that runs two programs, and stays.
const TWO: [&str; 3] = ["sh", "-c", "sleep 600 & sleep 600; :"];

/// Waits until both are executed.
fn wait_for_two(running: &Running) {
    let is_sleep = |pid: &Pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.starts_with(b"sleep\0"))
    };
    procfs::wait_until("both sleep", || {
        running.descendants().iter().filter(|pid| is_sleep(pid)).count() == 2
    });
}

/// Does it sleep in sigtimedwait(2), with nothing left to fetch?
fn waits_for_signals(pid: Pid) -> bool {
    let place = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    place.contains("sigtimedwait") && procfs::waits_without_a_signal(pid)
}

/// A process's PID in the namespace that it is in.
fn own_pid(pid: Pid) -> Option<i32> {
    procfs::status_field(pid, "NSpid")?.split_whitespace().last()?.parse().ok()
}

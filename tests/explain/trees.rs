//! In random trees, who is said to get the signal gets it, and who is said not to does not.
//!
//! Groups, sessions, orphans, inits below with options of their own; programs that catch, await, read, ignore and block
//! signals, or die; any mode, with rewrites and drains; as PID 1 and as a plain process. A failure names its SEED.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use nix::unistd::Pid;

use super::{BY_WRITERS, Row, Told, explain_when_settled, own_pid, waits_for_signals};
use crate::shutdown::in_both_settings;
use crate::support::{
    Disposition, Order, Report, Running, Start, cases, init_beyond, init_under_test, probe, procfs, seed,
    send,
};

const TREES: u32 = 60;
const SIZE: usize = 12;
const LAST: i32 = 64;

#[test]
fn prediction_holds_in_random_trees() {
    let begin = seed();
    let (all, not_known) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for seed in (0..cases(TREES)).map(|tree| begin.wrapping_add(tree.into())) {
        in_both_settings(|start| {
            let (some, unknown) = try_tree(start, seed);
            all.fetch_add(some, Ordering::Relaxed);
            not_known.fetch_add(unknown, Ordering::Relaxed);
        });
    }
    // It isn't known only where processes race.
    let [all, not_known] = [all, not_known].map(AtomicUsize::into_inner);
    assert!(not_known * 10 <= all, "of {not_known} among {all} it was said that it isn't known");
}

/// Words and a variable that say who gets a signal.
type Mode = (&'static [&'static str], Option<(&'static str, &'static str)>);

const MODES: [Mode; 8] = [
    (&[], None),
    (&["-c"], None),
    (&["--forward", "child"], None),
    (&["--forward", "tree"], None),
    (&["--linger"], None),
    (&[], Some(("DUMB_INIT_SETSID", "0"))),
    (&[], Some(("DUMB_INIT_FORWARD", "tree"))),
    (&["-c", "--forward", "group"], Some(("DUMB_INIT_SETSID", "0"))),
];
const REWRITES: [&[&str]; 5] =
    [&[], &[], &["-r", "TERM:USR1"], &["-r", "USR1:TERM", "-r", "HUP:0"], &["-r", "INT:TERM"]];
const SIGNALS: [i32; 9] = [
    libc::SIGTERM,
    libc::SIGTERM,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    37,
    libc::SIGWINCH,
];

/// A helper, and perhaps its child, which is in its group.
#[derive(Debug)]
struct Helper {
    is_optional: bool,
    disposition: Disposition,
    disposition_of_child: Option<Disposition>,
}

impl Helper {
    fn of(rng: &mut Rng) -> Self {
        let has_child = rng.bool();
        let mut disposition = || *rng.choice(&Disposition::ALL).expect("a disposition");
        let (disposition, of_child) = (disposition(), disposition());
        Self { is_optional: rng.bool(), disposition, disposition_of_child: has_child.then_some(of_child) }
    }

    /// The value of `--with`. A helper with a child has other words than this when it runs.
    fn option(&self, index: usize) -> String {
        let prefix = if self.is_optional { "-" } else { "" };
        let program = |disposition, name: String| {
            format!("{} {}", probe().display(), Order::Dispose(disposition, name.leak()))
        };
        let helper = program(self.disposition, format!("helper-{index}"));
        match self.disposition_of_child {
            Some(of_child) => {
                format!("{prefix}sh -c '{} & exec {helper}'", program(of_child, format!("child-{index}")))
            }
            None => format!("{prefix}{helper}"),
        }
    }
}

/// A tree, and the signal that it is to get.
#[derive(Debug)]
struct Case {
    seed: u64,
    mode: Mode,
    rewrites: &'static [&'static str],
    drains: bool,
    helpers: Vec<Helper>,
    /// A member that is stopped.
    stops: Option<usize>,
    signal: i32,
}

impl Case {
    fn of(seed: u64) -> Self {
        let (mut rng, mut rng_of_helpers) = (Rng::with_seed(seed), Rng::with_seed(!seed));
        let helpers = rng_of_helpers.usize(0..5).saturating_sub(2);
        Self {
            seed,
            helpers: (0..helpers).map(|_| Helper::of(&mut rng_of_helpers)).collect(),
            mode: *rng.choice(&MODES).expect("a mode"),
            rewrites: rng.choice(&REWRITES).expect("rewrites"),
            drains: rng.bool(),
            signal: *rng.choice(&SIGNALS).expect("a signal"),
            stops: (rng.u8(0..4) == 0).then(|| rng.usize(1..SIZE)),
        }
    }

    /// Starts it, with variables that beat its own, and waits until everybody is ready.
    fn start(&self, start: Start, variables: &[(&str, &str)]) -> Running {
        let (words, variable) = self.mode;
        // Helpers imply a drain that is too short for a busy machine.
        let variables = [("DUMB_INIT_DRAIN", "0")].iter().chain(variable.iter()).chain(variables);
        let start = variables.fold(start, |start, (name, value)| start.variable(name, value));
        let start = if self.drains { start.words(["--drain", "60s"]) } else { start };
        let helpers = self.helpers.iter().enumerate();
        let start =
            helpers.fold(start, |start, (index, helper)| start.words(["--with", &helper.option(index)]));
        let init = init_under_test().display().to_string().leak();
        let running = start
            .words(words)
            .words(self.rewrites)
            .probe(Order::RecordingTree(self.seed, SIZE, init, 0))
            .start();
        let of_helper = |helper: &Helper| 1 + usize::from(helper.disposition_of_child.is_some());
        let size = SIZE + self.helpers.iter().map(of_helper).sum::<usize>();
        running.wait_for_stdout("everybody who is ready", |text| text.matches(" ready-as ").count() == size);
        running
    }

    /// Whether the signal is taken for a request to end. A SIGHUP is not.
    fn asks_to_end(&self) -> bool {
        let is_rewritten = self.signal == libc::SIGUSR1 && self.rewrites.contains(&"USR1:TERM");
        is_rewritten || [libc::SIGTERM, libc::SIGINT].contains(&self.signal)
    }

    fn explain(&self, running: &Running) -> Told {
        explain_when_settled(running, &format!("--explain={}", self.signal))
    }
}

/// Returns how many processes there were, and of how many nothing was said.
fn try_tree(start: Start, seed: u64) -> (usize, usize) {
    let case = Case::of(seed);
    let running = case.start(start, &[]);
    let crew = Crew::of(&running);
    let stopped = case.stops.filter(|_| case.signal != libc::SIGHUP).and_then(|index| {
        let has_helpers = !case.helpers.is_empty();
        let name = if has_helpers && index <= 3 { "helper-0".into() } else { format!("member-{index}") };
        let is_it = |member: &&Member| member.name == name && member.tells_what_it_has_got();
        crew.members.iter().find(is_it)
    });
    if let Some(member) = stopped {
        send(member.seen, libc::SIGSTOP);
        procfs::wait_for_state(member.seen, 'T');
    }
    let told = case.explain(&running);
    running.signal(case.signal);
    crew.settle();
    if stopped.is_some_and(|member| member.is_hung_up(&running)) {
        // The end of another has made its group an orphaned one, all of which the kernel sends SIGHUP and SIGCONT then
        // (setpgid(2)).
        return (0, 0);
    }
    let mut wrong = String::new();
    for member in &crew.members {
        let row = told.row(member.pid);
        // Who is to get it later may get it sooner, when the one above it dies at once.
        if !row.is_some_and(Row::is_late) {
            member.compare(&running, row, &mut wrong);
        } else if member.has_got_more_than_sigcont(&running) && crew.waits_for_writers(&told, member.pid) {
            let _ = writeln!(wrong, "{} got it before its writers ended", member.name);
        }
    }
    if wrong.is_empty() && told.rows.iter().any(Row::is_late) {
        // As PID 1, it would take everybody with it.
        let may_end = case.drains || case.mode.0.contains(&"--linger") || !running.is_in_namespace();
        crew.end_those_that_are_asked_to(
            &running,
            &told,
            case.asks_to_end(),
            if may_end { "" } else { "member-0" },
        );
        crew.settle();
        let is_never = |row: &Row| row.fate == "not signalled";
        for member in &crew.members {
            if let Some(row) = told.row(member.pid).filter(|row| is_never(row)) {
                member.look(&running, Some(row), &mut wrong);
            }
        }
    }
    assert_eq!(wrong, "", "SEED={seed} {case:?}\n{told}\n{running}");
    // Elsewhere, orphans go to others, and are no more seen than reached; and so they may with inits below that have a
    // drain, too.
    let all_is_seen = running.is_in_namespace() && crew.inits.len() == 1;
    if all_is_seen && stopped.is_none() && [libc::SIGTERM, libc::SIGINT].contains(&case.signal) {
        try_advice(&case, &told);
    }
    let unknown = told.rows.iter().filter(|row| row.fate == "unknown").count();
    (told.rows.len(), unknown)
}

/// With what is advised, the same tree is as it should be.
fn try_advice(case: &Case, told: &Told) {
    let stderr = told.outcome.stderr();
    let advice: Vec<&str> =
        stderr.lines().find_map(|line| line.strip_prefix("Try: ")).unwrap_or_default().split(' ').collect();
    let variables: Vec<(&str, &str)> = advice.iter().filter_map(|word| word.split_once('=')).collect();
    if variables.len() < advice.len() {
        return;
    }
    let Some(start) = init_beyond() else { return };
    let running = case.start(start.in_namespace(), &variables);
    let cured = case.explain(&running);
    assert_eq!(cured.outcome.code(), 0, "{case:?}\nbefore:\n{told}\nwith what was advised:\n{cured}");
}

/// The members, and the inits among them.
struct Crew {
    members: Vec<Member>,
    inits: Vec<Pid>,
    /// By the PIDs of their namespace.
    seen: BTreeMap<i32, Pid>,
}

struct Member {
    name: String,
    manner: String,
    /// As its namespace has it.
    pid: i32,
    /// As we have it.
    seen: Pid,
}

impl Crew {
    fn of(running: &Running) -> Self {
        let seen: BTreeMap<i32, Pid> =
            running.descendants().into_iter().filter_map(|pid| Some((own_pid(pid)?, pid))).collect();
        let text = running.stdout();
        let member = |line: &str| {
            let (name, report) = line.split_once(' ')?;
            let Ok(Report::ReadyAs(pid, disposition)) = report.parse() else { return None };
            let pid = pid.cast_signed();
            let seen = *seen.get(&pid).expect(line);
            Some(Member { name: name.into(), manner: disposition.to_string(), pid, seen })
        };
        let members: Vec<Member> = text.lines().filter_map(member).collect();
        for member in members.iter().filter(|member| member.manner == "Waits") {
            procfs::wait_until("it waits, after it has said so", || waits_for_signals(member.seen));
        }
        let file = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let outer = file(running.pid());
        let inits = seen.values().filter(|pid| outer.is_some() && file(**pid) == outer).copied().collect();
        Self { members, inits, seen }
    }

    /// Whether a process, or one above it, is said to wait for the end of its input and one lives that writes to it.
    fn waits_for_writers(&self, told: &Told, pid: i32) -> bool {
        let link =
            |pid: Pid, descriptor: i32| std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok();
        let is_fed = |reader: Pid| {
            let input = link(reader, 0);
            let mut others = self.seen.values().filter(|&&pid| pid != reader);
            input.is_some() && others.any(|&pid| link(pid, 1) == input || link(pid, 2) == input)
        };
        let is_row_fed = |row: &Row| {
            row.fate.contains(BY_WRITERS) && self.seen.get(&row.pid).is_some_and(|&pid| is_fed(pid))
        };
        let above = std::iter::successors(told.row(pid), |row| told.row(row.parent));
        above.into_iter().any(is_row_fed)
    }

    /// Waits until every init has forwarded what it has got: the outer one wakes the inner ones, and so on.
    fn settle(&self) {
        for _ in 0..=self.inits.len() {
            for &init in &self.inits {
                procfs::wait_until(&format!("{init} has forwarded everything"), || {
                    matches!(procfs::state(init), None | Some('Z')) || waits_for_signals(init)
                });
            }
        }
    }

    /// Lets those end, as they may when they have got the signal, until everything has come of it that was
    /// said to.
    fn end_those_that_are_asked_to(&self, running: &Running, told: &Told, asks_to_end: bool, but: &str) {
        let is_patient =
            |member: &Member| matches!(&*member.manner, "Ignores" | "Blocks") || member.is_stopped();
        let is_asked = |member: &&Member| {
            member.name != but
                && !is_patient(member)
                && told.row(member.pid).is_some()
                && member.has_got(running)
                && (asks_to_end || member.got(running).contains(&libc::SIGTERM))
        };
        let is_patient_row = |row: &Row| row.fate.contains(BY_WRITERS);
        let is_to_come = |row: &&Row| row.is_late() && !row.fate.starts_with("is stopped");
        // Patient ancestors that are ended without a look at what they get.
        let ended = RefCell::new(BTreeSet::new());
        let missing = || {
            let mut missing = String::new();
            for member in self.members.iter().filter(|member| !ended.borrow().contains(&member.pid)) {
                let is_fed = self.waits_for_writers(told, member.pid);
                if let Some(row) = told.row(member.pid).filter(is_to_come).filter(|_| !is_fed) {
                    let before = missing.len();
                    member.look(running, Some(row), &mut missing);
                    let is_missing = missing.len() > before && !row.fate.contains(", later");
                    // The parent may be an init that waits for its own parent.
                    let mut above = told.row(row.parent).filter(|_| is_missing);
                    let is_inner_init =
                        |row: &Row| row.fate.starts_with("forwards it") && Some(row.pid) != told.init;
                    while let Some(parent) = above {
                        let waits = is_patient_row(parent);
                        let is_it =
                            |member: &&Member| member.pid == parent.pid && (waits || is_patient(member));
                        // An init below ends with its command.
                        let ends_init = told.row(parent.parent).is_some_and(is_inner_init);
                        let ended_now = self.members.iter().filter(|_| !ends_init).find(is_it);
                        ended.borrow_mut().extend(ended_now.map(|member| member.pid));
                        above = told.row(parent.parent);
                    }
                }
            }
            missing
        };
        let all_has_come = || {
            self.members.iter().filter(is_asked).for_each(|member| send(member.seen, libc::SIGKILL));
            let is_missing = !missing().is_empty();
            let is_ended = |member: &&Member| ended.borrow().contains(&member.pid);
            self.members.iter().filter(is_ended).for_each(|member| send(member.seen, libc::SIGKILL));
            !is_missing
        };
        procfs::wait_or_tell(all_has_come, || format!("it was true: {}{told}\n{running}", missing()));
    }
}

impl Member {
    /// The signals that it has told.
    fn got(&self, running: &Running) -> Vec<i32> {
        let prefix = format!("{} got ", self.name);
        running.stdout().lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect()
    }

    /// Has it got one that it was not asked by, nor told of a child's end?
    fn has_got(&self, running: &Running) -> bool {
        self.got(running).iter().any(|&number| number != LAST && number != libc::SIGCHLD)
    }

    /// Whether it has received more than the SIGCONT with which all stopped processes are continued.
    fn has_got_more_than_sigcont(&self, running: &Running) -> bool {
        self.got(running).iter().any(|number| ![LAST, libc::SIGCHLD, libc::SIGCONT].contains(number))
    }

    /// Can it be seen what it has got, if it isn't stopped?
    fn tells_what_it_has_got(&self) -> bool {
        !matches!(&*self.manner, "Ignores" | "Dies")
    }

    fn is_hung_up(&self, running: &Running) -> bool {
        self.got(running).contains(&libc::SIGHUP) || self.pending() & 1 << (libc::SIGHUP - 1) != 0
    }

    fn is_stopped(&self) -> bool {
        procfs::state(self.seen) == Some('T')
    }

    fn is_gone(&self) -> bool {
        matches!(procfs::state(self.seen), None | Some('Z' | 'X'))
    }

    /// The signals that are pending for it, but for the deaths of its children.
    fn pending(&self) -> u64 {
        let pending = procfs::status_field(self.seen, "ShdPnd").unwrap_or_default();
        u64::from_str_radix(&pending, 16).unwrap_or(0) & !(1 << (libc::SIGCHLD - 1))
    }

    /// Asks it what it has got, and compares.
    fn compare(&self, running: &Running, row: Option<&Row>, wrong: &mut String) {
        let fate = row.map_or("not signalled".to_owned(), Row::fate_at_once);
        if self.is_stopped() {
            // It tells nothing.
        } else if fate == "terminates" {
            procfs::wait_until(&format!("the end of {}, who {fate}\n{running}", self.name), || {
                self.is_gone()
            });
        } else if !self.is_gone() && self.manner != "Blocks" {
            let answers = || self.got(running).iter().filter(|&&number| number == LAST).count();
            let before = answers();
            send(self.seen, LAST);
            let has_answered = || self.is_gone() || answers() > before;
            procfs::wait_or_tell(has_answered, || {
                let status = std::fs::read_to_string(format!("/proc/{}/status", self.seen));
                format!("{} answers, who {fate}: {}\n{running}", self.name, status.unwrap_or_default())
            });
        }
        self.look(running, row, wrong);
    }

    /// Compares with what it has told.
    fn look(&self, running: &Running, row: Option<&Row>, wrong: &mut String) {
        let fate = row.map_or("not signalled".to_owned(), Row::fate_at_once);
        let got = self.got(running);
        let has_got = self.has_got(running);
        let (is_gone, is_pending) = (self.is_gone(), self.pending() != 0);
        let is_true = match (&*fate, &*self.manner) {
            ("is stopped", _) => self.is_stopped() && is_pending,
            ("unknown", _) => true,
            ("catches it", "Catches" | "CatchesInAThread")
            | ("waits for it", "Waits")
            | ("reads it", "Reads") => has_got,
            ("ignores it", "Ignores") | ("no effect", "Dies") => !has_got && !is_gone,
            ("blocks it", "Blocks") => is_pending,
            ("terminates", "Dies") => is_gone,
            ("not signalled", _) => !has_got && !is_gone && !is_pending,
            _ => false,
        };
        if !is_true {
            let _ = writeln!(
                wrong,
                "{} ({}, PID {}) {fate}: got {got:?}, gone: {is_gone}, pending: {:x}",
                self.name,
                self.manner,
                self.pid,
                self.pending()
            );
        }
    }
}

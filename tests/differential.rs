//! Compares the init under test with the packaged original: same command lines, environments and
//! signals, same output and exit status.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::support::{
    Order, Outcome, Report, Scratch, Start, cases, init_under_test, original, probe_as, procfs, seed, skip,
    without_pids,
};

/// The original, unless it is missing or under test.
fn other() -> Option<PathBuf> {
    let path = original();
    if path.is_none() {
        skip("the original isn't installed (Debian's dumb-init), or ORIGINAL_INIT names nothing");
    }
    path
}

/// Comparable part of an outcome.
#[derive(PartialEq, Eq)]
struct Seen {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Seen {
    fn of(outcome: &Outcome) -> Self {
        // Bytes that are no text are escaped, so that none is lost.
        let stderr = outcome.stderr.escape_ascii().to_string().replace(r"\\n", "?").replace("\\n", "\n");
        Self { code: outcome.code(), stdout: outcome.stdout.clone(), stderr: normalised(&stderr) }
    }
}

const OURS_ALONE: [&str; 9] = [
    "] Ignoring what follows",
    "] Still running:",
    " comes from ",
    " goes to PID ",
    "] Ignoring DUMB_INIT_",
    " takes SIGNAL:SIGNAL or SIGNAL:0 ",
    "] The command is one word",
    ": it is a directory.",
    ": its interpreter ",
];

/// stderr without the parts that may differ: PIDs, the version, the help, the position of a line
/// that the original's parent writes while its child writes others, and the lines that are wanted
/// differences.
pub(crate) fn normalised(stderr: &str) -> String {
    let mut lines = Vec::new();
    let mut spawned = 0;
    let text = without_pids(stderr);
    let is_ours_alone = |line: &&str| OURS_ALONE.iter().any(|part| line.contains(part));
    for line in text.lines().filter(|line| !is_ours_alone(line)) {
        if line.contains("] Child spawned with PID") {
            spawned += 1;
        } else if line.starts_with("dumb-init v") {
            // The version; a help text follows or not.
            lines.push("dumb-init vN".to_owned());
            if stderr.lines().count() > 1 {
                lines.push("HELP".to_owned());
            }
            break;
        } else {
            lines.push(line.to_owned());
        }
    }
    format!("{}\nspawned {spawned}\n", lines.join("\n"))
}

struct Case {
    words: Vec<OsString>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn run(&self, init: &Path, directory: &Path) -> Outcome {
        let start = Start::init(init).words(&self.words).directory(directory);
        let start = start.variable("PATH", format!("{}:/usr/bin:/bin", directory.display()));
        self.variables.iter().fold(start, |start, (name, value)| start.variable(name, value)).run()
    }

    fn random(rng: &mut Rng) -> Self {
        let mut words: Vec<OsString> = (0..rng.usize(0..4)).flat_map(|_| random_option(rng)).collect();
        if rng.u8(0..10) < 2 {
            words.push("--".into());
        }
        words.extend(random_command(rng));
        let mut variables = Vec::new();
        for (name, values) in [
            ("DUMB_INIT_DEBUG", ["1", "1", "0", "", "01", "true"]),
            ("DUMB_INIT_SETSID", ["0", "0", "1", "", "00", "false"]),
            ("RUST_LOG", ["debug", "trace", "", "off", "error", "x=y"]),
            ("POSIXLY_CORRECT", ["1"; 6]),
        ] {
            if rng.u8(0..10) < 3 {
                variables.push((name, *rng.choice(&values).unwrap()));
            }
        }
        Self { words, variables }
    }
}

/// Any bytes but `S`, which is an option here.
fn random_bytes(prefix: &str, rng: &mut Rng) -> OsString {
    let bytes = (0..rng.usize(0..6)).map(|_| rng.u8(1..=255)).filter(|&byte| byte != b'S');
    OsString::from_vec(prefix.bytes().chain(bytes).collect())
}

fn random_number(rng: &mut Rng) -> String {
    let number = match rng.u8(0..10) {
        0..6 => rng.i64(1..32),
        // 34 to 64 are real-time signals here, and no numbers of a rewrite there.
        6 => *rng.choice(&[-15, -3, -1, 0, 15, 31, 32, 33, 65, 69]).unwrap(),
        7 => rng.i64(..),
        8 => rng.i64(1..32) + (1 << 32) * rng.i64(-3..4),
        _ => return rng.choice(["", "x", "0x1", "1e1", "TER:", " ", "++1"]).unwrap().to_owned(),
    };
    let space = rng.choice(["", "", "", " ", "\t", "\n\u{b}", "+", "0"]).unwrap();
    format!("{space}{number}")
}

fn random_rewrite(rng: &mut Rng) -> String {
    let separator = rng.choice([":", ":", ":", ":", ":", "", " :", "::", ";"]).unwrap();
    // Two numbers that run together may be a real-time signal's, if a third follows.
    let rest =
        if separator.is_empty() { "" } else { rng.choice(["", "", "", "", "x", ":3", " ", ",4:5"]).unwrap() };
    let (from, to) = (random_number(rng), random_number(rng));
    format!("{from}{separator}{to}{rest}")
}

/// Option, or a word that looks like one, in one or two words.
fn random_option(rng: &mut Rng) -> Vec<OsString> {
    let names =
        ["help", "single-child", "rewrite", "verbose", "version", "", "yolo", "verboser", "Single-child"];
    match rng.u8(0..20) {
        0..4 => vec![OsString::from(*rng.choice(&["-c", "-v", "-cv", "-vc", "-vv", "-cc"]).unwrap())],
        4..7 => vec!["-r".into(), random_rewrite(rng).into()],
        7 => vec![format!("-r{}", random_rewrite(rng)).into()],
        8 => vec![format!("-cvr{}", random_rewrite(rng)).into()],
        9 => vec![format!("--rewrite={}", random_rewrite(rng)).into()],
        10 => vec!["--rewrite".into(), random_rewrite(rng).into()],
        11..15 => {
            // A beginning of some option's name, with a value or without.
            let name = rng.choice(&names).unwrap();
            let name = &name[..rng.usize(0..=name.len())];
            let value = rng.choice(&["", "", "", "=", "=15:2", "=x"]).unwrap();
            vec![format!("--{name}{value}").into()]
        }
        15 => {
            let letters: String =
                (0..rng.usize(1..5)).map(|_| *rng.choice(b"cvrhVxW:-+? =").unwrap() as char).collect();
            vec![format!("-{letters}").into()]
        }
        16 => vec![OsString::from(*rng.choice(&["-h", "-V", "--help", "--version"]).unwrap())],
        17 => vec![random_bytes("-", rng)],
        18 => vec![random_bytes("--", rng)],
        _ => vec![OsString::from(*rng.choice(&["-v", "--verb", "--sing"]).unwrap())],
    }
}

fn random_command(rng: &mut Rng) -> Vec<OsString> {
    match rng.u8(0..12) {
        0 => vec![],
        1..5 => probe_as(Order::Exit(rng.u8(..).into())),
        5 | 6 => probe_as(Order::Die(rng.choice([1, 2, 6, 9, 11, 13, 15, 31, 34, 64]).unwrap())),
        7 => {
            let mut words: Vec<OsString> = vec!["echo".into()];
            words.extend((0..rng.usize(0..4)).map(|_| random_bytes("", rng)));
            words
        }
        8 => vec![random_bytes("no-such-command", rng)],
        9 => vec!["".into()],
        10 => {
            vec![OsString::from(
                *rng.choice(&["script", "./script", "plain", "./plain", "broken", "/", "."]).unwrap(),
            )]
        }
        _ => vec!["sh".into(), "-c".into(), "echo out; echo err >&2; exit 4".into()],
    }
}

/// Number of random command lines.
const CASES: u32 = 600;

#[test]
fn random_command_lines_behave_like_the_original() {
    let Some(original) = other() else { return };
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let scratch = Scratch::new();
    scratch.file("script", "echo script \"$@\"; exit 5\n", 0o755);
    scratch.file("plain", "", 0o644);
    scratch.file("broken", "#!/nonexistent\n", 0o755);
    for number in 0..cases(CASES) {
        let case = Case::random(&mut rng);
        let ours = case.run(&init_under_test(), scratch.path());
        let theirs = case.run(&original, scratch.path());
        assert!(
            Seen::of(&ours) == Seen::of(&theirs),
            "SEED={seed}, case {number}: {:?}\n\nunder test:\n{ours}\n\noriginal:\n{theirs}",
            case.variables
        );
    }
}

/// Output of a command that records one signal, and the exit status of the init, as text.
fn run_with_signal(init: &Path, options: &[&str], number: i32, command: &[&str]) -> String {
    let command: Vec<OsString> = std::iter::once(crate::support::probe().into_os_string())
        .chain(command.iter().map(OsString::from))
        .collect();
    let running = Start::init(init).word("-v").words(options).words(command).start();
    running.wait_for_line(Report::Ready);
    running.wait_for_debug_line("Child spawned");
    let (init_pid, command_pid) = (running.pid(), running.command_pid());
    running.signal(number);
    let ended = || procfs::state(init_pid) == Some('Z');
    let suspends = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&number);
    if suspends {
        procfs::wait_for_state(init_pid, 'T');
        // A SIGCONT takes back a stop signal that has not been acted on (signal(7)).
        procfs::wait_until("the command has its signal", || {
            procfs::waits_without_a_signal(command_pid)
                || matches!(procfs::state(command_pid), Some('T' | 'Z'))
        });
        running.signal(libc::SIGCONT);
    }
    // Either the whole has ended of the signal, or the command has survived it, and gets another.
    let mut survived = false;
    procfs::wait_until("the command has dealt with the signal", || {
        let stderr = running.stderr();
        let dealt_with = if suspends {
            stderr.contains("Forwarded signal 18")
        } else if number == libc::SIGCHLD {
            stderr.contains("Received signal 17.")
        } else {
            stderr.contains("Forwarded signal") || stderr.contains("Not forwarding signal")
        };
        survived = dealt_with && procfs::waits_without_a_signal(command_pid);
        survived || ended()
    });
    if survived {
        // The kernel delivers the highest pending signal last.
        running.signal(64);
    }
    let outcome = running.outcome();
    let mut text = format!("status {}\n{}", outcome.code(), outcome.stdout());
    // SIGCHLD for a stop and for its end come as the scheduler has it.
    for line in normalised(&outcome.stderr()).lines().filter(|line| !line.ends_with("Received signal 17.")) {
        let _ = writeln!(text, "{line}");
    }
    text
}

#[test]
fn signals_in_every_mode_behave_like_the_original() {
    let Some(original) = other() else { return };
    for number in (1..=64).filter(|number| ![32, 33].contains(number)) {
        let rewrites = [0, 10, number].map(|to| format!("{number}:{to}"));
        let mut modes: Vec<Vec<&str>> = vec![vec![], vec!["-c"]];
        // Only the first 31 can be rewritten there.
        if number < 32 {
            for rewrite in &rewrites {
                modes.push(vec!["-r", rewrite]);
                modes.push(vec!["-c", "-r", rewrite]);
            }
        }
        for options in modes {
            for command in [&["record", "64"][..], &["hang"]] {
                let ours = run_with_signal(&init_under_test(), &options, number, command);
                let theirs = run_with_signal(&original, &options, number, command);
                assert_eq!(ours, theirs, "signal {number}, {options:?}, {command:?}");
            }
        }
    }
}

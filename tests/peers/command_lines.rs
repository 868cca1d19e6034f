//! Command lines of the peers.

use std::path::{Path, PathBuf};

use dumb_init::options::table::DUMB_INIT;
use fastrand::Rng;

use super::{Names, PEERS, Peer};
use crate::support::{Order, Outcome, Start, cases, probe_as, seed};

/// Comparable part of an outcome. Messages differ, except getopt(3)'s.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    code: i32,
    stdout: String,
    getopt: Option<String>,
}

impl Seen {
    fn of(outcome: &Outcome, program: &Path) -> Self {
        let stdout = outcome.stdout();
        // tini's debug lines, and requested texts.
        let debug =
            |line: &&str| !["[INFO  ", "[DEBUG ", "[TRACE "].iter().any(|level| line.starts_with(level));
        let lines: Vec<&str> = stdout.lines().filter(debug).collect();
        let is_text = lines.len() > 5;
        let stderr = outcome.stderr();
        let stderr = stderr.replace(&*program.to_string_lossy(), "INIT");
        let is_getopts = |line: &&str| {
            [" option", "option "].iter().any(|part| line.starts_with("INIT: ") && line.contains(part))
        };
        Self {
            code: outcome.code(),
            stdout: if is_text { "TEXT".to_owned() } else { lines.join("\n") },
            // A message about an invalid value is not compared.
            getopt: stderr
                .lines()
                .find(is_getopts)
                .filter(|line| !line.contains(" takes "))
                .map(str::to_owned),
        }
    }
}

struct Case {
    words: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn run(&self, program: &Path, directory: &Path) -> Outcome {
        let start = Start::program(program).words(&self.words).directory(directory);
        self.variables.iter().fold(start, |start, (name, value)| start.variable(name, value)).run()
    }

    fn random(peer: Peer, rng: &mut Rng) -> Self {
        let mut words: Vec<String> = (0..rng.usize(0..3)).flat_map(|_| random_option(peer, rng)).collect();
        if rng.u8(0..10) < 5 {
            words.push("--".into());
        }
        words.extend(random_command(rng));
        for _ in 0..rng.usize(0..10) / 8 {
            words.extend(random_option(peer, rng));
        }
        if rng.u8(0..10) < 2 {
            words.extend(["--", "x"].map(String::from));
        }
        let mut variables = Vec::new();
        for (name, values) in [
            ("TINI_VERBOSITY", ["0", "-1", "2", "", "x", " +3"]),
            ("TINI_SUBREAPER", ["0", "1", "", "x", "1", "1"]),
            ("TINI_KILL_PROCESS_GROUP", ["0", "1", "", "x", "1", "1"]),
            ("CATATONIT_DEBUG", ["0", "1", "", "x", "1", "1"]),
            ("POSIXLY_CORRECT", ["1", "", "1", "0", "1", "1"]),
        ] {
            if rng.u8(0..10) < 2 {
                variables.push((name, *rng.choice(&values).unwrap()));
            }
        }
        if rng.u8(0..40) == 0 {
            variables.push(("CATATONIT_LOG", ""));
        }
        Self { words, variables }
    }
}

fn random_option(peer: Peer, rng: &mut Rng) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let code = ["0", "4", "143", "255", "256", "-1", "", " 7", "+7", "07", "0x7", "7x", "4:5", "-0", "--"];
    let signal = [
        "SIGTERM", "SIGKILL", "TERM", "15", "sigterm", "SIGCLD", "SIGIO", "SIGPWR", "SIGSYS", "SIGRTMIN", "",
    ];
    let long = ["--version", "--vers", "--v", "--help", "--g", "--version=1", "---", "--yolo"];
    let letters = match peer {
        Peer::Tini => b"svwgvwghlx-V?:",
        Peer::Catatonit => b"gggghLgVxs-v?:",
    };
    match rng.u8(0..12) {
        0..5 => {
            // Those that print something end the line, and stand behind the harmless ones.
            let cluster: String =
                (0..rng.usize(1..4)).map(|_| char::from(letters[rng.usize(0..7)])).collect();
            vec![format!("-{cluster}")]
        }
        5 => vec![format!("-{}", char::from(*rng.choice(letters).unwrap()))],
        6 => words(&["-e", rng.choice(&code).unwrap()]),
        7 => vec![format!("-ge{}", rng.choice(&code).unwrap())],
        8 => words(&["-p", rng.choice(&signal).unwrap()]),
        9 => vec![(*rng.choice(&long).unwrap()).to_owned()],
        10 => words(&["-g"]),
        _ => words(&["-"]).into_iter().filter(|_: &String| rng.u8(0..4) == 0).collect(),
    }
}

fn random_command(rng: &mut Rng) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let of_role =
        |words: Vec<std::ffi::OsString>| words.into_iter().map(|word| word.into_string().unwrap()).collect();
    match rng.u8(0..12) {
        0 => vec![],
        1..5 => of_role(probe_as(Order::Exit(rng.u8(..).into()))),
        5 => of_role(probe_as(Order::Die(rng.choice([1, 9, 13, 15, 34, 64]).unwrap()))),
        6 | 7 => words(&["echo", "a", "b"]),
        8 => words(&["no-such-command"]),
        9 => words(&[rng
            .choice(["./script", "./plain", "./broken", "/", "", ".", "./loop", "./plain/x"])
            .unwrap()]),
        10 => words(&["ls", "-d", "/"]),
        _ => words(&["sh", "-c", "echo out; exit 4"]),
    }
}

fn scratch_files(names: &Names) -> PathBuf {
    names.0.file("script", "echo script \"$@\"; exit 5\n", 0o755);
    names.0.file("plain", "", 0o644);
    names.0.file("broken", "#!/nonexistent\n", 0o755);
    let _ = std::os::unix::fs::symlink("loop", names.0.path().join("loop"));
    names.0.path().to_owned()
}

#[test]
fn random_command_lines_behave_like_the_peer() {
    let Some(names) = Names::new() else { return };
    let directory = scratch_files(&names);
    for peer in PEERS {
        let Some([ours, theirs]) = names.pair(peer) else { return };
        let seed = seed();
        let mut rng = Rng::with_seed(seed);
        for number in 0..cases(100) {
            let case = Case::random(peer, &mut rng);
            let [here, there] = [&ours, &theirs].map(|program| case.run(program, &directory));
            assert!(
                Seen::of(&here, &ours) == Seen::of(&there, &theirs),
                "SEED={seed}, case {number}: {:?}\n\nunder test:\n{here}\n\nthe peer:\n{there}",
                case.variables
            );
        }
    }
}

#[test]
fn signal_names_are_accepted_or_refused_like_tini() {
    let Some(names) = Names::new() else { return };
    let Some(pair) = names.pair(Peer::Tini) else { return };
    // As bash has them, with those that have two names, and one too many.
    let all = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG \
               XCPU XFSZ VTALRM PROF WINCH IO PWR SYS IOT CLD POLL UNUSED EXIT";
    for name in all.split_whitespace() {
        let [here, there] = pair.each_ref().map(|init| {
            Start::program(init).words(["-s", "-p", &format!("SIG{name}")]).probe(Order::Exit(7)).run().code()
        });
        assert_eq!(here, there, "SIG{name}");
    }
}

#[test]
fn version_line_is_the_one_daemons_parse() {
    let Some(names) = Names::new() else { return };
    for (name, option, line) in [
        ("tini", "--version", "tini version 0.19.0\n"),
        ("tini-static", "--version", "tini version 0.19.0\n"),
        ("docker-init", "--version", "tini version 0.19.0\n"),
        ("catatonit", "--version", "tini version 0.1.7_catatonit\n"),
        ("catatonit", "-V", "tini version 0.1.7_catatonit\n"),
    ] {
        names.init(name).word(option).run().expect_code(0).expect_stdout(line).expect_stderr("");
    }
}

#[test]
fn messages_begin_with_the_name_of_the_call() {
    let Some(names) = Names::new() else { return };
    for (name, line) in [
        ("tini", "[tini] /nonexistent: No such file or directory\n"),
        ("docker-init", "[docker-init] /nonexistent: No such file or directory\n"),
        ("catatonit", "[catatonit] /nonexistent: No such file or directory\n"),
        // Of the other names, dumb-init's lines are the interface.
        ("init", "[dumb-init] /nonexistent: No such file or directory\n"),
    ] {
        let start = names.init(name).variable("TINI_SUBREAPER", "");
        start.words(["--", "/nonexistent"]).run().expect_stderr(line);
    }
}

#[test]
fn option_of_dumb_init_names_its_variable() {
    let Some(names) = Names::new() else { return };
    let mut count = 0;
    for name in ["tini", "catatonit"] {
        // `-c` is the default of these inits, and all have `-v`, `-h` and `-V` or the like.
        for row in DUMB_INIT.iter().filter(|row| !row.can_be_abbreviated || row.short == Some("-r")) {
            let (Some(option), Some(variable)) = (row.long, row.variable) else { continue };
            let line = format!("{option} is an option of dumb-init; set its variable instead: {variable}\n");
            let written =
                [Some(option.to_owned()), Some(format!("{option}=x")), row.short.map(str::to_owned)];
            for option in written.into_iter().flatten() {
                let outcome = names.init(name).words([option.as_str(), "x", "--", "true"]).run();
                assert!(outcome.expect_code(1).stderr().ends_with(&line), "{outcome}");
                // Behind `--` it is the command's.
                let outcome = names.init(name).words(["-x", "--", option.as_str()]).run();
                assert!(!outcome.expect_code(1).stderr().contains("is an option of"), "{outcome}");
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn help_names_dumb_init() {
    let Some(names) = Names::new() else { return };
    for name in ["tini", "docker-init", "catatonit"] {
        let outcome = names.init(name).word("-h").run();
        let text = outcome.stdout() + &outcome.stderr();
        outcome.expect_code(0);
        assert!(text.starts_with(&format!("{name}: dumb-init {}", env!("CARGO_PKG_VERSION"))), "{outcome}");
    }
}

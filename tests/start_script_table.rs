//! The README's tables of the multi-process start script, measured beside the peers: under Docker,
//! and with terminals and pipelines.

use std::io::Write;
use std::path::Path;
use std::thread;

use crate::support::start_script::{PROGRAMS, wait_for_all};
use crate::support::{
    Order, Report, Scratch, Start, can_have_pid_namespaces, count_lines, docker, init_under_test, probe, skip,
};

const README: &str = concat!(include_str!("../README.md"), include_str!("../docs/shutdown.md"));
const ROUNDS: usize = 3;

/// Numbers of the three programs.
#[derive(Clone, Copy)]
struct Counts {
    got: usize,
    twice: usize,
    finished: usize,
}

impl Counts {
    fn of(stdout: &str) -> Self {
        let times = |name: &str, report: Report| count_lines(stdout, &report.by(name));
        let how_many = |holds: &dyn Fn(&str) -> bool| PROGRAMS.iter().filter(|name| holds(name)).count();
        Self {
            got: how_many(&|name| times(name, Report::Got(15)) > 0),
            twice: how_many(&|name| times(name, Report::Got(15)) > 1),
            finished: how_many(&|name| times(name, Report::Finished) > 0),
        }
    }
}

/// The ranges that a row of a table documents.
fn documented<const N: usize>(name: &str) -> [(usize, usize); N] {
    let row = README
        .lines()
        .find_map(|line| line.replace("**", "").strip_prefix("| ")?.strip_prefix(name).map(str::to_owned));
    let row = row.unwrap_or_else(|| panic!("the README's table has no row {name:?}"));
    let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let range = |cell: &str| {
        let mut numbers = cell.split(" to ").map(|number| number.parse().expect(cell));
        let first = numbers.next().expect(cell);
        (first, numbers.next().unwrap_or(first))
    };
    std::array::from_fn(|index| range(cells[index]))
}

#[test]
#[ignore = "takes a minute and needs Docker and the packaged inits; run by name"]
fn start_script_table_is_as_documented() {
    let Some(image) = docker::image() else { return };
    let peers = ["/usr/bin/dumb-init", "/usr/bin/tini", "/usr/bin/catatonit"];
    if let Some(missing) = peers.iter().find(|path| !Path::new(path).exists()) {
        skip(&format!("{missing} is not installed"));
        return;
    }
    let [original, tini, catatonit] = ["/peers/dumb-init", "/peers/tini", "/peers/catatonit"];
    let script = "/usr/bin/start.sh";
    let ours = "/usr/bin/dumb-init";
    let setsid = "DUMB_INIT_SETSID=0";
    let drain = "DUMB_INIT_DRAIN=10s";
    for (setup, words, variables) in [
        ("no init", &[script][..], &[][..]),
        ("dumb-init 1.2.5", &[original, "--", script], &[]),
        ("dumb-init 1.2.5, `DUMB_INIT_SETSID=0` in the base image", &[original, "--", script], &[setsid]),
        ("dumb-init 1.2.5, as entry point and in the script's `#!` line", &[original, original, script], &[]),
        ("tini -g", &[tini, "-g", "--", script], &[]),
        ("catatonit -g", &[catatonit, "-g", "--", script], &[]),
        ("this, with `DUMB_INIT_DRAIN=10s`", &[ours, "--", script], &[drain]),
        ("this, with both variables", &[ours, "--", script], &[drain, setsid]),
        (
            "this, with both variables, as entry point and in the `#!` line",
            &[ours, ours, script],
            &[drain, setsid],
        ),
    ] {
        let [got, twice, finished] = documented(setup);
        for _ in 0..ROUNDS {
            let counts = stopped(image, words, variables);
            let line = format!("| {setup} | {} | {} | {} |\n", counts.got, counts.twice, counts.finished);
            std::io::stderr().write_all(line.as_bytes()).expect("stderr");
            for (count, (least, most)) in
                [(counts.got, got), (counts.twice, twice), (counts.finished, finished)]
            {
                assert!(
                    (least..=most).contains(&count),
                    "{setup}: {count} is documented as {least} to {most}"
                );
            }
        }
    }
}

/// Starts the script in a container, as these words say, stops that, and counts.
fn stopped(image: &str, words: &[&str], variables: &[&str]) -> Counts {
    let container = docker::Container::new();
    let mut start =
        Start::program("docker").words(["run", "--name", container.name(), "--entrypoint", words[0]]);
    for peer in ["dumb-init", "tini", "catatonit"] {
        start = start.words(["--volume".to_owned(), format!("/usr/bin/{peer}:/peers/{peer}:ro")]);
    }
    // Libraries of the peers.
    for libraries in ["/lib64", "/lib/x86_64-linux-gnu"] {
        start = start.words(["--volume".to_owned(), format!("{libraries}:{libraries}:ro")]);
    }
    for variable in variables {
        start = start.words(["--env", variable]);
    }
    let running = start.word(image).words(&words[1..]).start();
    wait_for_all(&running);
    container.stop_within(4);
    Counts::of(&running.outcome().stdout())
}

/// The columns of the table of terminals and pipelines: name, program, options.
///
/// The first column is the init under test.
const INITS: [(&str, &str, &[&str]); 5] = [
    ("**this, with `DUMB_INIT_DRAIN=5s`**", "", &["--"]),
    ("dumb-init 1.2.5", "/usr/bin/dumb-init", &["--"]),
    ("tini", "/usr/bin/tini", &["--"]),
    ("tini -g", "/usr/bin/tini", &["-g", "--"]),
    ("catatonit", "/usr/bin/catatonit", &["--"]),
];
const RUNS: usize = 20;

/// A row of that table: name, and whether a run with this init went well.
type Scenario = (&'static str, fn(Start) -> bool);
const SCENARIOS: [Scenario; 3] = [
    ("on a terminal, the three programs finish", three_programs_finish_on_a_terminal),
    ("`exec > >(tee log)`, then an error: its line is in the log", the_last_line_is_logged),
    ("`app` piped into `tee log`: the clean-up line is in the log", the_clean_up_line_is_logged),
];

#[test]
#[ignore = "takes a minute and needs the packaged inits; run by name"]
fn shutdown_table_is_as_documented() {
    if !can_have_pid_namespaces() {
        return;
    }
    if let Some((_, missing, _)) = INITS[1..].iter().find(|(_, path, _)| !Path::new(path).exists()) {
        skip(&format!("{missing} is not installed"));
        return;
    }
    let columns = INITS.map(|(name, ..)| format!(" {name} |")).concat();
    let mut table = format!("| runs of {RUNS} |{columns}\n|---|{}\n", "---|".repeat(INITS.len()));
    let measured = SCENARIOS.map(|(name, run)| (name, measure(run)));
    for (name, counts) in measured {
        table += &[format!("| {name} |"), counts.map(|count| format!(" {count} |")).concat(), "\n".into()]
            .concat();
    }
    std::io::stderr().write_all(table.as_bytes()).expect("stderr");
    for (name, counts) in measured {
        for (count, (least, most)) in counts.into_iter().zip(documented::<{ INITS.len() }>(name)) {
            assert!(
                (least..=most).contains(&count),
                "{name}: {count} is documented as {least} to {most}\n{table}"
            );
        }
    }
}

/// Number of good runs with each init.
fn measure(run: fn(Start) -> bool) -> [usize; INITS.len()] {
    let count = |(_, path, options): (_, &str, &[&str])| {
        let path = if path.is_empty() { init_under_test() } else { path.into() };
        let start = || Start::program(&path).in_namespace().words(options).variable("DUMB_INIT_DRAIN", "5s");
        (0..RUNS).filter(|_| run(start())).count()
    };
    thread::scope(|scope| {
        INITS.map(|init| scope.spawn(move || count(init))).map(|thread| thread.join().expect("a count"))
    })
}

fn three_programs_finish_on_a_terminal(start: Start) -> bool {
    let scratch = Scratch::new();
    // The probe would survive the SIGHUP that the kernel sends when the session leader exits.
    let program =
        r#"trap "sleep $1; echo $0 finished; exit" TERM; echo $0 ready; while :; do sleep 0.05; done"#;
    let programs = PROGRAMS.iter().zip(["0.5", "0.8", "1.5"]);
    let lines: Vec<String> =
        programs.map(|(name, time)| format!("sh -c '{program}' {name} {time} &\n")).collect();
    let script = scratch.file("start.sh", &format!("#!/bin/sh\n{}wait\n", lines.concat()), 0o755);
    let (running, _terminal) = start.word(script).start_on_terminal();
    wait_for_all(&running);
    running.signal(libc::SIGTERM);
    Counts::of(&running.outcome().stdout()).finished == PROGRAMS.len()
}

fn the_last_line_is_logged(start: Start) -> bool {
    let scratch = Scratch::new();
    let log = scratch.path().join("log");
    let text = format!("#!/bin/bash\nexec > >(tee {})\necho FATAL\nexit 1\n", log.display());
    start.word(scratch.file("start.sh", &text, 0o755)).run().expect_code(1);
    std::fs::read_to_string(log).is_ok_and(|text| text.contains("FATAL"))
}

fn the_clean_up_line_is_logged(start: Start) -> bool {
    let scratch = Scratch::new();
    let log = scratch.path().join("log");
    let text = format!(
        "#!/bin/sh\n{} {app} | tee {}\n",
        probe().display(),
        log.display(),
        app = Order::Work("app", 200)
    );
    let running = start.word(scratch.file("start.sh", &text, 0o755)).start();
    running.wait_for_line(Report::Ready.by("app"));
    running.signal(libc::SIGTERM);
    running.outcome();
    std::fs::read_to_string(log).is_ok_and(|text| text.contains(&Report::Finished.by("app")))
}

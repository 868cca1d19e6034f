//! The README's table of the founding case, measured: each set-up three times under Docker.

use std::io::Write;
use std::path::Path;

use crate::support::{Start, docker, skip};

const README: &str = include_str!("../README.md");
const PROGRAMS: [&str; 3] = ["crond", "worker", "service"];
const ROUNDS: usize = 3;

/// How many of the three programs.
#[derive(Clone, Copy)]
struct Counts {
    got: usize,
    twice: usize,
    finished: usize,
}

impl Counts {
    fn of(stdout: &str) -> Self {
        let times = |name: &str, what: &str| stdout.lines().filter(|line| *line == format!("{name} {what}")).count();
        let how_many = |holds: &dyn Fn(&str) -> bool| PROGRAMS.iter().filter(|name| holds(name)).count();
        Self {
            got: how_many(&|name| times(name, "got 15") > 0),
            twice: how_many(&|name| times(name, "got 15") > 1),
            finished: how_many(&|name| times(name, "finished") > 0),
        }
    }
}

/// A row of the table: the set-up's name, and the ranges that it documents.
fn documented(setup: &str) -> [(usize, usize); 3] {
    let row = README
        .lines()
        .find_map(|line| line.replace("**", "").strip_prefix("| ")?.strip_prefix(setup).map(str::to_owned));
    let row = row.unwrap_or_else(|| panic!("the README's table has no row {setup:?}"));
    let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let range = |cell: &str| {
        let mut numbers = cell.split(" to ").map(|number| number.parse().expect(cell));
        let first = numbers.next().expect(cell);
        (first, numbers.next().unwrap_or(first))
    };
    [range(cells[0]), range(cells[1]), range(cells[2])]
}

#[test]
#[ignore = "takes a minute and needs Docker and the packaged inits; run by name"]
fn the_founding_table_is_as_documented() {
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
        ("this, with both variables, as entry point and in the `#!` line", &[ours, ours, script], &[drain, setsid]),
    ] {
        let [got, twice, finished] = documented(setup);
        for _ in 0..ROUNDS {
            let counts = stopped(image, words, variables);
            let line = format!("| {setup} | {} | {} | {} |\n", counts.got, counts.twice, counts.finished);
            std::io::stderr().write_all(line.as_bytes()).expect("stderr");
            for (count, (least, most)) in [(counts.got, got), (counts.twice, twice), (counts.finished, finished)] {
                assert!((least..=most).contains(&count), "{setup}: {count} is documented as {least} to {most}");
            }
        }
    }
}

/// Starts the script in a container, as these words say, stops that, and counts.
fn stopped(image: &str, words: &[&str], variables: &[&str]) -> Counts {
    let container = docker::Container::new();
    let mut start = Start::program("docker").words(["run", "--name", container.name(), "--entrypoint", words[0]]);
    for peer in ["dumb-init", "tini", "catatonit"] {
        start = start.words(["--volume".to_owned(), format!("/usr/bin/{peer}:/peers/{peer}:ro")]);
    }
    // What they are linked to.
    for libraries in ["/lib64", "/lib/x86_64-linux-gnu"] {
        start = start.words(["--volume".to_owned(), format!("{libraries}:{libraries}:ro")]);
    }
    for variable in variables {
        start = start.words(["--env", variable]);
    }
    let running = start.word(image).words(&words[1..]).start();
    for name in PROGRAMS {
        running.wait_for_line(&format!("{name} ready"));
    }
    container.stop_within(4);
    Counts::of(&running.outcome().stdout())
}

//! Every example is run by a test, or docs/containers.md says that it isn't.

use crate::documentation::tests;
use crate::support::skip;
use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clusters");
const PAGE: &str = include_str!("../../docs/containers.md");

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Row of the page's table about a file: the engines that run it, and the tests.
fn row(file: &str) -> (&'static str, &'static str) {
    let start = format!("| [{file}](examples/{file}) |");
    let line =
        PAGE.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row about {file}"));
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    (cells[2], cells[3])
}

/// The tests may have been built elsewhere.
fn are_sources_here() -> bool {
    Path::new(EXAMPLES).exists() || skip("the sources are not here")
}

#[test]
fn examples_are_run_by_a_test_or_marked_as_not_run() {
    if !are_sources_here() {
        return;
    }
    let tests = tests();
    let examples = files(Path::new(EXAMPLES));
    assert!(examples.len() >= 9, "{examples:?}");
    for path in examples {
        let file = path.strip_prefix(EXAMPLES).expect("an example").display().to_string();
        let text = fs::read_to_string(&path).expect("an example");
        let (by, run) = row(&file);
        if by.starts_with("not run: ") {
            assert!(text.starts_with("# Not run: "), "{file} doesn't say so");
            continue;
        }
        let named: Vec<&str> = run.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{file}: {run}");
        for name in named {
            assert!(tests.contains(&format!("clusters::{name}")), "{file}: no test {name}");
            // All of them run the image.
            let module = name.split("::").next().expect("a module");
            let source = fs::read_to_string(format!("{SOURCES}/{module}.rs")).expect("a module");
            assert!(
                file.starts_with("image/") || source.contains(&format!("\"{file}\"")),
                "{file}: not in {module}"
            );
        }
    }
}

#[test]
fn rows_about_engines_have_a_source_and_say_if_they_were_run() {
    let tables = PAGE.split("## Tested files").next().expect("the tables");
    let rows = |columns: usize| -> Vec<Vec<&str>> {
        let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
        let is_row = |cells: &Vec<&str>| cells.len() == columns + 2 && !cells[1].starts_with("---");
        tables.lines().filter(|line| line.starts_with('|')).map(cells).filter(is_row).skip(1).collect()
    };
    let (engines, versions) = (rows(6), rows(4));
    assert!(engines.len() >= 15 && versions.len() >= 12, "{} and {}", engines.len(), versions.len());
    assert_eq!(
        tables.lines().filter(|line| line.starts_with('|')).count(),
        engines.len() + versions.len() + 4
    );
    for row in &engines {
        assert!(row[1..7].iter().all(|cell| !cell.is_empty()), "{row:?}");
        let has_version = row[6].contains(|letter: char| letter.is_ascii_digit());
        assert!(row[6] == "no" || has_version || row[6].contains("](#"), "{row:?}");
    }
    assert!(versions.iter().all(|row| row[1..5].iter().all(|cell| !cell.is_empty())), "{versions:?}");
    // In the text, tests have their full names.
    let named = PAGE.split('`').skip(1).step_by(2).filter(|name| {
        ["peers::", "explain::", "command_line::", "report::"].iter().any(|module| name.starts_with(module))
    });
    let tests = tests();
    assert!(named.clone().count() >= 4);
    named.for_each(|name| assert!(tests.contains(name), "no test {name}"));
}

#[test]
fn grace_periods_exceed_delay_and_drain() {
    if !are_sources_here() {
        return;
    }
    // The numbers of seconds that follow a word in a file.
    let seconds = |text: &str, before: &str| -> Option<u32> {
        let rest = text.split_once(before)?.1.trim_start_matches([':', ' ', '=', '"', ',']);
        rest.trim_start_matches("TERM:").split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    let either = |text: &str, words: [&str; 2]| words.iter().find_map(|word| seconds(text, word));
    let mut found = 0;
    for path in files(Path::new(EXAMPLES)) {
        let text = fs::read_to_string(&path).expect("an example");
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n");
        let graces = ["terminationGracePeriodSeconds", "stop_grace_period", "kill_timeout"];
        let Some(grace) = graces.iter().find_map(|word| seconds(&text, word)) else { continue };
        let drain = either(&text, ["DUMB_INIT_DRAIN", "--drain"]).expect("a drain");
        let delay = either(&text, ["DUMB_INIT_DELAY", "--delay"]).unwrap_or_default();
        assert!(delay + drain < grace, "{}: {delay} + {drain}, {grace}", path.display());
        found += 1;
    }
    assert_eq!(found, 5);
}

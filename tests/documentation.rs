//! The documentation agrees with the tests and the program.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::differences::LIST;
use crate::support::{Order, Start, built_init, init_beyond, init_under_test, skip};

/// The tests that the list of wanted differences names.
fn listed() -> BTreeSet<&'static str> {
    LIST.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

/// The names of all tests.
pub(crate) fn tests() -> BTreeSet<String> {
    let this = std::env::current_exe().expect("the tests");
    let output = Command::new(this).arg("--list").output().expect("a list of the tests");
    let output = String::from_utf8(output.stdout).expect("names");
    output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn differences_page_names_existing_tests() {
    let tests = tests();
    let tests = tests.iter().map(String::as_str).collect();
    assert!(listed().is_subset(&tests), "{:?}", listed().difference(&tests).collect::<Vec<_>>());
    for entry in LIST.split("\n## ").skip(1) {
        assert!(entry.contains("\nTest: `") || entry.contains("\nTests: `"), "no test: {entry}");
    }
}

#[test]
fn coming_from_page_names_existing_tests() {
    let page = include_str!("../docs/coming-from.md");
    let named: BTreeSet<String> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("peers::"))
        .map(str::to_owned)
        .collect();
    assert!(named.len() >= 4 && named.is_subset(&tests()), "{named:?}");
}

#[test]
fn readme_package_versions_are_current() {
    let readme = include_str!("../README.md");
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("| an image"))
        .take_while(|line| line.starts_with('|'));
    let text: String = rows.collect();
    let is_version = |word: &&str| {
        word.matches('.').count() == 2 && word.split('.').all(|part| part.parse::<u8>().is_ok())
    };
    let versions: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_digit() && letter != '.').filter(is_version).collect();
    assert!(
        versions.len() >= 6 && versions.iter().all(|version| *version == env!("CARGO_PKG_VERSION")),
        "{versions:?}"
    );
}

#[test]
fn binary_is_statically_linked() {
    // PT_INTERP names the dynamic loader; a static file has none.
    const PT_INTERP: u32 = 3;
    let bytes = std::fs::read(built_init()).expect("the init");
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0usize, |value, &byte| (value << 8) | usize::from(byte))
    };
    assert_eq!(&bytes[..5], b"\x7fELF\x02", "a 64-bit ELF file");
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let kinds: Vec<u32> =
        (0..count).map(|index| u32::try_from(number(table + index * size, 4)).unwrap()).collect();
    assert!(!kinds.contains(&PT_INTERP), "{} needs a dynamic loader", built_init().display());
}

#[test]
fn readme_first_command_works() {
    let readme = include_str!("../README.md");
    let line = readme
        .lines()
        .find_map(|line| line.trim().strip_prefix("cargo run --release -- "))
        .expect("a command");
    let outcome =
        Start::program("sh").words(["-c", &format!("exec \"$0\" {line}")]).word(init_under_test()).run();
    outcome.expect_code(0).expect_stdout("cleaned up\n");
    assert!(outcome.stderr().contains("Child exited with status 0. Goodbye."), "{outcome}");
}

#[test]
fn readme_recipes_use_accepted_variables() {
    let readme = include_str!("../README.md");
    let words = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
    let recipes: Vec<Vec<&str>> =
        readme.lines().filter_map(|line| line.strip_prefix("    docker run -e ")).map(words).collect();
    assert!(recipes.len() >= 5, "{recipes:?}");
    for recipe in recipes {
        let Some(start) = init_beyond() else { return };
        let variables = recipe.iter().filter_map(|word| word.split_once('='));
        let start = variables.fold(start, |start, (name, value)| start.variable(name, value));
        start.probe(Order::Exit(5)).run().expect_code(5).expect_stderr("");
    }
}

#[test]
fn man_page_passes_mandoc_lint() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dumb-init.1");
    let Ok(output) = Command::new("mandoc").args(["-T", "lint", "-W", "warning", page]).output() else {
        skip("mandoc isn't installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn readme_figures_match_benchmarks_page() {
    let rows = |text: &'static str| -> BTreeSet<String> {
        let cells = |line: &str| line.split('|').map(str::trim).collect::<Vec<_>>().join("|");
        text.lines().filter(|line| line.starts_with("| ")).map(cells).collect()
    };
    let readme = include_str!("../README.md")
        .split("\n## ")
        .find(|part| part.starts_with("Small and fast"))
        .expect("a part");
    let (quoted, measured) = (rows(readme), rows(include_str!("../docs/benchmarks.md")));
    assert!(quoted.len() >= 6, "{quoted:#?}");
    assert!(quoted.is_subset(&measured), "{:#?}", quoted.difference(&measured).collect::<Vec<_>>());
}

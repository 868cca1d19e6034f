//! The documentation agrees with the tests and the program.

use std::collections::BTreeSet;
use std::process::Command;

use dumb_init::options::table::DUMB_INIT;

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
fn symptoms_page_names_existing_tests() {
    let page = include_str!("../docs/symptoms.md");
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- tests: ")?.strip_suffix(" -->"))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    let tests = tests();
    assert!(
        named.len() >= 30 && named.is_subset(&tests),
        "{:?}",
        named.difference(&tests).collect::<Vec<_>>()
    );
}

/// Names of the files of a release in a text: `dumb-init_1.4.0-1_amd64.deb`.
fn versions_of_files(text: &str) -> Vec<&str> {
    let ends = |letter: char| !letter.is_ascii_digit() && letter != '.';
    let after = text.match_indices("dumb-init").map(|(at, name)| &text[at + name.len()..]);
    let after = after.filter_map(|rest| rest.strip_prefix(['-', '_', ':']));
    after.map(|rest| rest.split(ends).next().unwrap_or_default()).filter(|word| word.contains('.')).collect()
}

#[test]
fn versions_of_files_in_documents_are_current() {
    for (page, at_least) in [
        (include_str!("../README.md"), 4),
        (include_str!("../docs/releases.md"), 10),
        (include_str!("../docs/containers.md"), 3),
    ] {
        let versions = versions_of_files(page);
        assert!(
            versions.len() >= at_least
                && versions.iter().all(|&version| version == env!("CARGO_PKG_VERSION")),
            "{versions:?}"
        );
    }
}

#[test]
fn readme_is_short() {
    assert!(include_str!("../README.md").lines().count() <= 150);
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

/// The settings `DUMB_INIT_NAME=VALUE` of a page, each in its own backticks or beside others.
fn settings_of(page: &str) -> BTreeSet<(&str, &str)> {
    let code = page.split('`').skip(1).step_by(2);
    code.flat_map(str::split_whitespace)
        .filter_map(|word| word.split_once('='))
        .filter(|(name, value)| name.starts_with("DUMB_INIT_") && !value.contains('"'))
        .collect()
}

#[test]
fn variables_in_documents_are_accepted() {
    for (page, at_least) in [
        (include_str!("../README.md"), 2),
        (include_str!("../docs/symptoms.md"), 15),
        (include_str!("../docs/shutdown.md"), 3),
        (include_str!("../docs/containers.md"), 2),
    ] {
        let settings = settings_of(page);
        assert!(settings.len() >= at_least, "{settings:?}");
        for (name, value) in settings {
            let Some(start) = init_beyond() else { return };
            if name == "DUMB_INIT_WITH" {
                continue; // Its value has blanks, and names a program that is not here.
            }
            assert!(DUMB_INIT.iter().any(|row| row.variable_name() == Some(name)), "{name}");
            start.variable(name, value).probe(Order::Exit(5)).run().expect_code(5);
        }
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

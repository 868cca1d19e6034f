//! README.md, docs/options.md, docs/dumb-init.1 and docs/coming-from.md have the options of the program's
//! table.
//!
//! The completions of the shells, which the packages are built with, have them, too.
//!
//! `UPDATE_DOCS=1 cargo test --test suite option_documents` rewrites the generated parts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use dumb_init::options::other_inits::{CATATONIT, TINI};
use dumb_init::options::table::{DUMB_INIT, Row};

use crate::support::{Outcome, Scratch, Start, skip};

#[allow(dead_code)] // Its main function is for the packages.
#[path = "../packaging/completions.rs"]
mod completions;

const README: &str = include_str!("../README.md");
const OPTIONS_PAGE: &str = include_str!("../docs/options.md");
const MAN_PAGE: &str = include_str!("../docs/dumb-init.1");
const COMING_FROM: &str = include_str!("../docs/coming-from.md");

/// The option with its value: `--drain DURATION`, `--explain[=SIGNAL]`.
fn usages(row: &Row) -> impl Iterator<Item = String> {
    [row.short, row.long].into_iter().flatten().map(|name| match row.value_name {
        None => name.to_owned(),
        Some(value) if row.implied_value.is_some() => format!("{name}[={value}]"),
        Some(value) => format!("{name} {value}"),
    })
}

fn markdown_table() -> String {
    let mut text = "| option | variable | meaning |\n|---|---|---|\n".to_owned();
    for row in DUMB_INIT {
        let options: Vec<String> = usages(row).map(|usage| format!("`{usage}`")).collect();
        let variable = row.variable.map(|variable| format!("`{variable}`")).unwrap_or_default();
        let cells = [options.join(", "), variable, row.help.replace('\n', " ")];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | ")).expect("a text");
    }
    text
}

fn man_options() -> String {
    let mut text = String::new();
    let mut heading = "";
    for row in DUMB_INIT {
        if row.heading != heading {
            let end = if heading.is_empty() { "" } else { ".El\n" };
            heading = row.heading;
            write!(text, "{end}.Ss {heading}\n.Bl -tag -width Ds\n").expect("a text");
        }
        let options: Vec<String> =
            [row.short, row.long].into_iter().flatten().map(|name| man_usage(row, name)).collect();
        writeln!(text, ".It {}\n{}.", options.join(" , "), row.help).expect("a text");
    }
    text + ".El\n"
}

fn man_usage(row: &Row, name: &str) -> String {
    let flag = format!("Fl {}", name.replacen('-', "", 1));
    match row.value_name {
        None => flag,
        Some(value) if row.implied_value.is_some() => format!("{flag} Ns Op = Ns Ar {value}"),
        Some(value) => format!("{flag} Ar {value}"),
    }
}

fn man_environment() -> String {
    let mut text = ".Bl -tag -width Ds\n".to_owned();
    for row in DUMB_INIT {
        if let (Some(name), Some(variable)) = (row.variable_name(), row.variable) {
            let value = variable.trim_start_matches(name);
            let option = row.name().replacen('-', "", 1);
            write!(text, ".It Ev {name} Ns {value}\nSee\n.Fl {option} .\n").expect("a text");
        }
    }
    text + ".El\n"
}

#[test]
fn generated_parts_of_documents_equal_the_table() {
    let mut update: Vec<(&str, String)> = Vec::new();
    for (file, text, parts) in [
        ("README.md", README, &[("<!-- options -->\n", "<!-- end -->\n", markdown_table())][..]),
        ("docs/options.md", OPTIONS_PAGE, &[("<!-- options -->\n", "<!-- end -->\n", markdown_table())]),
        (
            "docs/dumb-init.1",
            MAN_PAGE,
            &[
                (".\\\" options\n", ".\\\" end\n", man_options()),
                (".\\\" environment\n", ".\\\" end\n", man_environment()),
            ],
        ),
    ] {
        let mut new = text.to_owned();
        for (begin, end, part) in parts {
            let (before, rest) = new.split_once(begin).unwrap_or_else(|| panic!("{file} has no {begin:?}"));
            let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{file} has no {end:?}"));
            new = [before, begin, part, end, after].concat();
        }
        if new != text {
            update.push((file, new));
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for (file, text) in update {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            std::fs::write(path, text).expect("a document that can be written");
        }
    } else {
        let files: Vec<&str> = update.into_iter().map(|(file, _)| file).collect();
        assert!(files.is_empty(), "UPDATE_DOCS=1 cargo test --test suite option_documents updates {files:?}");
    }
}

/// Whether a text has this option as a word.
fn names_option(text: &str, option: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    text.split(|letter| !is_part(letter)).any(|word| word == option)
}

#[test]
fn completions_have_every_option_and_its_help() {
    let (bash, zsh, fish) = (completions::bash(), completions::zsh(), completions::fish());
    for row in DUMB_INIT {
        for option in [row.short, row.long].into_iter().flatten() {
            assert!(names_option(&bash, option), "bash: {option}");
            assert!(names_option(&zsh, option), "zsh: {option}");
        }
        let help = row.help.replace('\n', " ");
        assert!(zsh.contains(&help.replace('\'', r"'\''")), "zsh: {help}");
        let names = [("-s", row.short), ("-l", row.long)];
        let names = names.into_iter().filter_map(|(kind, name)| Some((kind, name?.trim_start_matches('-'))));
        let names: Vec<String> = names.map(|(kind, name)| format!("{kind} {name} ")).collect();
        let names = names.concat();
        let line = fish.lines().find(|line| line.contains(&format!("has_no_command {names}")));
        let help = format!("-d '{}'", help.replace('\'', r"\'"));
        assert!(line.is_some_and(|line| line.ends_with(&help)), "fish: {names} {help}");
    }
}

/// Runs a script of this shell, with the path of its completion as `$1`, unless the shell is missing.
fn run_in(shell: &str, completion: &str, script: &str) -> Option<Outcome> {
    let scratch = Scratch::new();
    let file = scratch.file("completion", completion, 0o644);
    let (options, first): (&[&str], &[&str]) = match shell {
        "bash" => (&["--norc", "-c"], &["bash"]),
        "zsh" => (&["-f", "-c"], &["zsh"]),
        _ => (&["--no-config", "-c"], &[]),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join(shell).exists()) {
        skip(&format!("{shell} is not installed"));
        return None;
    }
    let start = Start::program(shell).words(options).word(script).words(first).word(file);
    Some(start.variable("HOME", scratch.path()).run())
}

#[test]
fn bash_completes_options_values_and_the_command() {
    for (words, expected) in [
        (&["--dr"][..], &["--drain"][..]),
        (&["-v", "--forward", "t"], &["tree"]),
        (&["--forward", "=", "t"], &["tree"]),
        (&["--forward", "="], &["child", "group", "tree"]),
        (&["--explain", "=", "TE"], &["TERM"]),
        (&["--delay", "TERM", ":", "5s", "--lin"], &["--linger"]),
        (&["-r15", ":", "3", "--pid", "1", "--lin"], &["--linger"]),
        (&["--drain", "10s", "basenam"], &["basename"]),
        (&["--drain", "10s", "--", "basenam"], &["basename"]),
        // These are not its own.
        (&["--drain", "--dr"], &[]),
        (&["--", "--dr"], &[]),
        (&["basename", "--dr"], &[]),
    ] {
        let script = format!(
            r#". "$1"; COMP_WORDS=(dumb-init {}); COMP_CWORD={}; _dumb_init; printf '%s\n' "${{COMPREPLY[@]}}""#,
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len()
        );
        let Some(outcome) = run_in("bash", &completions::bash(), &script) else { return };
        let stdout = outcome.expect_code(0).expect_stderr("").stdout();
        let mut found: Vec<&str> = stdout.lines().filter(|line| !line.is_empty()).collect();
        // It is in several directories of PATH.
        found.dedup();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn fish_completes_options_values_and_the_command() {
    for (line, expected) in [
        ("--dra", &["--drain"][..]),
        ("-v --forward t", &["tree"]),
        ("--drain 10s --ling", &["--linger"]),
        ("--drain 10s basenam", &["basename"]),
        ("--drain 10s sh --dra", &[]),
    ] {
        let script = format!("source $argv[1]; complete -C 'dumb-init {line}'");
        let Some(outcome) = run_in("fish", &completions::fish(), &script) else { return };
        let stdout = outcome.expect_code(0).expect_stderr("").stdout();
        let found: Vec<&str> = stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn zsh_reads_each_option_as_one_word() {
    // Completion itself needs a terminal.
    let script = r#"_arguments() { print -rl -- "$@" }; . "$1""#;
    let Some(outcome) = run_in("zsh", &completions::zsh(), script) else { return };
    let stdout = outcome.expect_code(0).expect_stderr("").stdout();
    let count: usize = DUMB_INIT.iter().map(|row| usages(row).count()).sum();
    assert_eq!(stdout.lines().filter(|line| line.starts_with("*-")).count(), count, "{stdout}");
}

#[test]
fn options_page_has_a_section_for_each_new_option() {
    let headings = OPTIONS_PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    let documented: BTreeSet<String> = headings
        .flat_map(|heading| heading.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with('-'))
        .map(str::to_owned)
        .collect();
    let all: BTreeSet<String> = DUMB_INIT.iter().flat_map(usages).chain(["-vv".to_owned()]).collect();
    let unknown: Vec<&String> = documented.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for row in DUMB_INIT.iter().filter(|row| !row.can_be_abbreviated) {
        assert!(usages(row).any(|usage| documented.contains(&usage)), "{:?}", row.long);
    }
}

#[test]
fn page_for_newcomers_has_the_options_of_other_inits() {
    for (heading, rows) in [("## From tini", TINI), ("## From catatonit", CATATONIT)] {
        let part = COMING_FROM.split_once(heading).expect(heading).1;
        let part = part.split("\n## ").next().unwrap_or_default();
        let names = part.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let names = names.flat_map(|names| names.split('`').skip(1).step_by(2));
        let documented: BTreeSet<&str> = names
            .filter_map(|name| name.split(['=', ' ']).next())
            .filter(|name| !is_repeated(name))
            .collect();
        let expected: BTreeSet<&str> = rows
            .iter()
            .flat_map(|row| [row.short, row.long, row.variable_name()])
            .flatten()
            // tini's version is not in the table.
            .chain(Some("--version").filter(|_| heading == "## From tini"))
            .collect();
        assert_eq!(documented, expected, "{heading}");
    }
}

/// Whether this is a short option that is given several times.
fn is_repeated(name: &str) -> bool {
    !name.starts_with("--") && name.starts_with('-') && name.len() > 2
}

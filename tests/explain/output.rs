//! How it is told: to a person on a terminal, and to a program.

use super::{explain, explainer, wait_for_two};
use crate::support::{Condition, Disposition, Order, Outcome, Running, Scratch, Start, built_init, init};

/// What a terminal of so many columns shows.
fn shown(running: &Running, columns: Option<u16>, variables: &[(&str, &str)]) -> Outcome {
    let start = Start::program(built_init()).words(["--pid", &running.pid().to_string(), "--explain"]);
    let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
    let (explaining, terminal) = match columns {
        Some(columns) => start.condition(Condition::Columns(columns.into())).start_on_terminal(),
        None => start.start_on_terminal(),
    };
    let outcome = explaining.outcome();
    drop(terminal);
    outcome
}

fn long_name(length: usize) -> String {
    "x".repeat(length)
}

#[test]
fn explain_table_fits_the_terminal_width() {
    let running = init().probe(Order::Dispose(Disposition::Catches, long_name(300).leak())).start();
    running.wait_for_stdout("it is ready", |text| text.contains(" ready-as "));
    let plain = &[("NO_COLOR", "1")][..];
    for (columns, most) in [(None, 80), (Some(80), 80), (Some(132), 132), (Some(200), 200)] {
        let outcome = shown(&running, columns, plain);
        outcome.expect_code(0).expect_stderr("");
        let text = outcome.stdout().replace('\r', "");
        let table: Vec<&str> = text.split("\n\n").nth(1).expect("a table").lines().collect();
        assert_eq!(table.len(), 3, "{outcome}");
        assert!(table.iter().all(|line| line.len() <= most), "{columns:?}\n{outcome}");
        assert_eq!(table.iter().map(|line| line.len()).max(), Some(most), "{columns:?}\n{outcome}");
        assert!(table[2].ends_with("..."), "{outcome}");
    }
    // Too narrow for anything: as narrow as can be.
    shown(&running, Some(5), plain).expect_code(0);
}

#[test]
fn colours_are_used_only_on_capable_terminals() {
    let running = init().words(["-c"]).probe(Order::Dispose(Disposition::Catches, "it")).start();
    running.wait_for_stdout("it is ready", |text| text.contains(" ready-as "));
    let is_coloured =
        |variables: &[(&str, &str)]| shown(&running, None, variables).stdout().contains('\u{1b}');
    assert!(is_coloured(&[("NO_COLOR", ""), ("TERM", "xterm")]));
    assert!(!is_coloured(&[("NO_COLOR", "1"), ("TERM", "xterm")]));
    assert!(!is_coloured(&[("NO_COLOR", ""), ("TERM", "dumb")]));
    let outcome = explainer(&running).word("--explain").variable("NO_COLOR", "").run();
    assert!(!outcome.stdout().contains('\u{1b}') && !outcome.stderr().contains('\u{1b}'), "{outcome}");
}

#[test]
fn table_and_tsv_give_the_same_answer() {
    let running = init().words(["-c"]).words(["sh", "-c", "sleep 600 & sleep 600; :"]).start();
    wait_for_two(&running);
    // Nothing is cut.
    let person = shown(&running, Some(500), &[("NO_COLOR", "1")]);
    let program = explainer(&running).word("--explain").run();
    let squeezed = |text: &str| {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let mut expected = squeezed(&program.stderr());
    expected.splice(2..2, squeezed(&program.stdout()));
    // The explainer's own name is the only difference that there could be.
    assert_eq!(squeezed(&person.stdout()), expected);
    assert_eq!(person.code(), program.code());
    assert!(program.stderr().contains(
        "SIGTERM is forwarded as SIGTERM\nNot signalled: 2 of 3 processes. Remaining processes are left behind when sh -c sleep 600 & sleep 600; : exits"
    ), "{program}");
}

#[test]
fn process_tree_is_drawn_only_on_a_terminal() {
    // The child of the first program is younger than the second program.
    let scratch = Scratch::new();
    let fifo = scratch.path().join("fifo").display().to_string();
    let text = format!(
        r#"mkfifo {fifo}; sh -c "read x <{fifo}; sleep 601 & wait" & sleep 602 & echo x >{fifo}; wait"#
    );
    let running = init().words(["sh", "-c", &text]).start();
    wait_for_two(&running);
    let outcome = shown(&running, Some(500), &[("NO_COLOR", "1")]);
    let text = outcome.stdout().replace('\r', "");
    let table: Vec<&str> = text.split("\n\n").nth(1).expect("a table").lines().collect();
    let column = table[0].find("COMMAND").expect("a column");
    let programs = table[2..].iter().map(|line| &line[column..column + 13]);
    assert_eq!(
        programs.collect::<Vec<_>>(),
        ["  sh -c mkfif", "    sh -c rea", "      sleep 6", "    sleep 602"],
        "{outcome}"
    );
    let told = explain(&running, "--explain");
    let programs: Vec<&str> = told.rows[3..].iter().map(|row| &*row.command).collect();
    assert_eq!(programs, ["sleep 602", "sleep 601"], "{told}");
}

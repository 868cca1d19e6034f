//! Table of the peers: the result of each row with each init.

use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::thread;

use super::{Case, Init, ROWS, Row, Setting};
use crate::support::differences::expecting_failure;
use crate::support::{can_have_pid_namespaces, skip};

const DOCUMENT: &str = include_str!("../../docs/hazards.md");
const INITS: [Init; 4] = [Init::UnderTest, Init::Original, Init::Tini, Init::Catatonit];

#[test]
fn hazards_page_has_every_row_and_its_test() {
    for row in ROWS {
        let begin = format!("| {} | {} |", row.number, row.title);
        assert!(DOCUMENT.contains(&begin), "no row {begin}");
        assert!(
            DOCUMENT.contains(&format!("`{}`", row.test)),
            "row {} doesn't name {}",
            row.number,
            row.test
        );
    }
    let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=25).collect::<Vec<u8>>());
}

/// Prints the table, and compares it with the documentation's:
/// `cargo test --test suite -- --ignored --nocapture peer_table`
#[test]
#[ignore = "takes a minute and needs the packaged inits; run by name"]
fn peer_table_is_as_documented() {
    if !can_have_pid_namespaces() {
        return;
    }
    if let Some(missing) = INITS.into_iter().find(|init| !init.path().exists()) {
        skip(&format!("{missing:?} is not installed"));
        return;
    }
    // Failures are results here, so their messages are hidden.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let columns = thread::scope(|scope| {
        let column =
            |init| scope.spawn(move || ROWS.iter().map(|row| behaves(init, row)).collect::<Vec<_>>());
        INITS.map(column).map(|thread| thread.join().unwrap_or_default())
    });
    set_hook(hook);

    let mut table = String::from(
        "| # | hazard | this | dumb-init 1.2.5 | tini 0.19.0 | catatonit 0.1.7 |\n|---|---|---|---|---|---|\n",
    );
    let mut differing = Vec::new();
    for (index, row) in ROWS.iter().enumerate() {
        let cells = columns.each_ref().map(|column| column.get(index));
        let marks = cells.map(|cell| if cell.is_some_and(Result::is_ok) { "yes" } else { "**no**" });
        let line = format!("| {} | {} | {} |", row.number, row.title, marks.join(" | "));
        table.extend([line.as_str(), "\n"]);
        if !DOCUMENT.contains(&line) {
            let reasons = cells.map(|cell| cell.and_then(|result| result.clone().err()));
            differing.push(format!("{line}\n{reasons:?}"));
        }
    }
    std::io::stdout().write_all(table.as_bytes()).expect("stdout");
    assert!(differing.is_empty(), "not as in docs/hazards.md:\n{}", differing.join("\n"));
}

/// Runs a row's scenario with an init as PID 1 in every mode. The error is the reason of a failure.
fn behaves(init: Init, row: &Row) -> Result<(), String> {
    let scenario = || {
        for &mode in row.modes {
            (row.scenario)(Case { init, setting: Setting::Pid1, mode });
        }
    };
    let result = if init == Init::UnderTest {
        catch_unwind(AssertUnwindSafe(scenario))
    } else {
        expecting_failure(|| catch_unwind(AssertUnwindSafe(scenario)))
    };
    let message = |panic: Box<dyn Any + Send>| panic.downcast_ref::<String>().cloned().unwrap_or_default();
    result.map_err(|panic| message(panic).lines().next().unwrap_or_default().to_owned())
}

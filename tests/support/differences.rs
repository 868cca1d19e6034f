//! List of wanted differences (docs/differences.md).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use super::init_under_test;

thread_local! {
    static EXPECTS_FAILURE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's test is expected to fail.
pub fn expects_failure() -> bool {
    EXPECTS_FAILURE.get()
}

/// Runs something with a short deadline, since it will probably fail.
pub fn expecting_failure<R>(run: impl FnOnce() -> R) -> R {
    EXPECTS_FAILURE.set(true);
    let result = run();
    EXPECTS_FAILURE.set(false);
    result
}

/// The list as users read it.
pub const LIST: &str = include_str!("../../docs/differences.md");

/// Whether the original fails a test of a difference each time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Original {
    /// It fails each time. If it passes, the entry has no place on the list.
    Fails,
    /// It fails sometimes, or must not be tried.
    IsNotTried,
}

/// Runs the test of the difference with this heading. If the original is under test, the test must
/// fail.
pub fn wanted_difference(heading: &str, original: Original, test: impl FnOnce()) {
    assert!(
        LIST.contains(&format!("\n## {heading}\n")),
        "{heading} is not on the list of wanted differences"
    );
    if !tests_the_original() {
        return test();
    }
    match original {
        Original::IsNotTried => {}
        Original::Fails => {
            let result = expecting_failure(|| catch_unwind(AssertUnwindSafe(test)));
            assert!(
                result.is_err(),
                "{heading} is on the list of wanted differences, but the original passes its test"
            );
        }
    }
}

/// Whether the program under test is the original.
pub fn tests_the_original() -> bool {
    let output = Command::new(init_under_test()).arg("--version").output().expect("the init under test");
    String::from_utf8_lossy(&output.stderr).starts_with("dumb-init v1.2.")
}

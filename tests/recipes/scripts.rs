//! Entry points of images, as scripts.

use super::{Place, recipe, without_settings};
use crate::services::installed;
use crate::support::{Outcome, Start, init_under_test};

/// Reports its clean-up on both streams.
const APP: &str = "trap 'echo stops; sleep 0.3; echo cleaned up; echo cleaned up >&2; exit 0' TERM
echo ready; while :; do sleep 0.05 & wait; done";

const TEE: &str = "tee FILE";
/// A slow logger, which has the last lines still before it when the program exits.
const SLOW_TEE: &str = r#"while read -r line; do sleep 0.3; echo "$line" | tee -a FILE; done"#;

/// Runs Spark's entry point with another program: bash is PID 1, and executes the init. Returns the files.
fn stop(init: Start, logger: &str) -> ([String; 2], Outcome) {
    let place = Place::new();
    let [out, err] = ["out", "err"].map(|name| logger.replace("FILE", &format!("HERE/{name}")));
    let text = place.text(&format!(r#"exec "$0" -- sh -c "$1" > >({out}) 2> >({{ {err}; }} >&2)"#));
    let init = init.program_at("bash".as_ref());
    let running = place.start(init.words(["-c", &text]).word(init_under_test()), [APP]);
    running.wait_for_line("ready");
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    (["out", "err"].map(|name| std::fs::read_to_string(place.path(name)).unwrap_or_default()), outcome)
}

#[test]
fn tee_of_an_entry_point_writes_the_last_line() {
    const PROGRAM: &str = "Spark, `> >(tee)`";
    let (Some(_), Some(_)) = (recipe(PROGRAM), installed("bash")) else { return };
    let all = ["ready\nstops\ncleaned up\n", "cleaned up\n"];
    for logger in [TEE, SLOW_TEE] {
        let (files, outcome) = stop(recipe(PROGRAM).expect("an init"), logger);
        outcome.expect_code(0).expect_stdout(all[0]).expect_stderr(all[1]);
        assert_eq!(files, all, "{outcome}");
    }
    let (files, outcome) = stop(without_settings().expect("an init"), SLOW_TEE);
    assert_ne!(files, all, "{outcome}");
}

//! su(1) of util-linux, which kills its session two seconds after SIGTERM, and setpriv(1), which
//! executes the program in its own place.

use super::{init_with_drain, installed};
use crate::support::{Start, skip};
use nix::unistd::geteuid;

/// Needs three seconds after SIGTERM.
const SERVICE: &str = "trap 'kill $!; sleep 3; echo finished; exit 0' TERM; echo ready; sleep 1000 & wait";

#[test]
fn su_kills_after_two_seconds_and_setpriv_does_not() {
    if !geteuid().is_root() {
        skip("only root can change the user");
        return;
    }
    // A system whose packages were unpacked only has no configuration of PAM.
    let Some(program) = installed("su") else { return };
    let tried = Start::program(program).words(["nobody", "-s", "/bin/sh", "-c", "true"]).run();
    if tried.code() != 0 {
        skip("su cannot change the user");
        return;
    }
    let su: &[&str] = &["su", "-s", "/bin/sh", "nobody", "-c", SERVICE];
    let setpriv: &[&str] = &["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", SERVICE];
    for (words, code, finished) in [(su, 143, ""), (setpriv, 0, "finished\n")] {
        let (Some(start), Some(program)) = (init_with_drain("group"), installed(words[0])) else { return };
        let running = start.word(program).words(&words[1..]).start();
        running.wait_for_line("ready");
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(code).expect_stdout(&format!("ready\n{finished}"));
        let is_announced = outcome.stderr().contains("Session terminated");
        assert_eq!(is_announced, words[0] == "su", "{outcome}");
    }
}

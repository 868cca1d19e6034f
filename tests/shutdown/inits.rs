//! Nested inits.

use super::{count, expect_lines, in_both_settings, script, wait_for_lines};
use crate::support::{Outcome, Scratch, init_under_test, skip};

/// Number of signals that the outer init has sent to a process, by its log. The process may receive
/// two as one.
fn sent_by_us(outcome: &Outcome, role: &str) -> usize {
    let who = format!("({role}");
    outcome.stderr().lines().filter(|line| line.contains(" goes to ") && line.contains(&who)).count()
}

#[test]
fn drain_leaves_descendants_to_a_nested_init() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        let text = format!("{init} -- probe record 15 & probe work outer 200 & wait");
        let running = start.words(["--forward", "tree", "--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(&running, &["ready", "outer ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[("got 15", 1), ("outer got 15", 1), ("outer finished", 1)]);
    });
}

#[test]
fn copy_under_another_name_is_recognised_as_this_init() {
    // Another file, as in an image.
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let copy = scratch.executable_copy(&init_under_test());
        let named = scratch.path().join("tini");
        std::fs::rename(copy, &named).expect("another name");
        let text = format!("{} -g -- probe work inner 50 & probe work outer 200 & wait", named.display());
        let running =
            start.words(["-vv", "--forward", "tree", "--drain", "60s"]).words(script(&text)).start();
        wait_for_lines(&running, &["inner ready", "outer ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[("inner got 15", 1), ("inner finished", 1), ("outer got 15", 1)]);
        assert_eq!(sent_by_us(&outcome, "work inner"), 0, "{outcome}");
    });
}

#[test]
fn init_of_another_user_is_recognised_by_name() {
    in_both_settings(|start| {
        if !nix::unistd::geteuid().is_root() {
            skip("only for root");
            return;
        }
        let scratch = Scratch::new();
        let init = scratch.executable_copy(&init_under_test());
        let named = scratch.path().join("dumb-init");
        std::fs::rename(init, &named).expect("another name");
        let text = format!(
            "probe with user=1000 -- {} -- probe work inner 50 & probe work outer 200 & wait",
            named.display()
        );
        let start =
            start.condition("without-cap-ptrace").words(["-vv", "--forward", "tree", "--drain", "60s"]);
        let running = start.words(script(&text)).start();
        wait_for_lines(&running, &["inner ready", "outer ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[("inner finished", 1), ("outer got 15", 1), ("outer finished", 1)]);
        assert_eq!(sent_by_us(&outcome, "work inner"), 0, "{outcome}");
    });
}

#[test]
fn exited_nested_init_causes_no_second_signal() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        // The inner one has no drain, and leaves a member of its group behind.
        let inner = "probe work rest 2000 & exec probe work inner 50";
        let text = format!("{init} -- sh -c '{inner}' & probe work outer 200 & wait");
        let running = start.words(["--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(&running, &["rest ready", "inner ready", "outer ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143).expect_stderr("");
        // The inner init forwards one signal, and sends another when it exits.
        for line in ["inner got 15", "inner finished", "rest finished", "outer got 15", "outer finished"] {
            expect_lines(&outcome, &[(line, 1)]);
        }
        // Two that come at once may be one.
        let received = count(&outcome.stdout(), "rest got 15");
        assert!((1..=2).contains(&received), "{outcome}");
    });
}

#[test]
fn nested_init_exiting_at_once_has_forwarded_the_signal() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        let inner = "probe work rest 300 & exec probe hang";
        let text = format!("{init} -- sh -c '{inner}' & probe work outer 200 & wait");
        let running = start.words(["-vv", "--drain", "60s"]).words(script(&text)).start();
        wait_for_lines(&running, &["rest ready", "ready", "outer ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[("rest finished", 1), ("outer finished", 1)]);
        assert_eq!(sent_by_us(&outcome, "work rest"), 0, "{outcome}");
    });
}

#[test]
fn drain_reaches_sessions_below_an_init_without_drain() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        let inner =
            "setsid probe daemon work daemon 100; setsid probe work job 100 & exec probe work inner 50";
        let running = start.words(["--drain", "60s"]).words([&init, "--", "sh", "-c"]);
        let running = running.word(&script(inner)[2]).start();
        wait_for_lines(&running, &["daemon ready", "job ready", "inner ready"]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["job", "inner", "daemon"] {
            expect_lines(&outcome, &[(&format!("{name} got 15"), 1), (&format!("{name} finished"), 1)]);
        }
    });
}

#[test]
fn nested_inits_with_same_variables_signal_once() {
    let init = init_under_test().display().to_string();
    let tree: &[(&str, &str)] = &[("DUMB_INIT_FORWARD", "tree"), ("DUMB_INIT_DRAIN", "10s")];
    let linger: &[(&str, &str)] = &[("DUMB_INIT_LINGER", "1"), ("DUMB_INIT_DRAIN", "10s")];
    for variables in [tree, linger, &[("DUMB_INIT_FORWARD", "child"), ("DUMB_INIT_DRAIN", "10s")]] {
        in_both_settings(|start| {
            // One below the other, and one beside it.
            let inner = "setsid probe work far 150 & probe work near 100 & exec probe work inner 50";
            let text = format!("{init} -- sh -c '{inner}' & exec {init} -- probe work main 200");
            let start = variables.iter().fold(start, |start, (name, value)| start.variable(name, value));
            let running = start.words(script(&text)).start();
            let names = ["far", "near", "inner", "main"];
            wait_for_lines(
                &running,
                &names.map(|name| format!("{name} ready")).each_ref().map(String::as_str),
            );
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            for name in names {
                expect_lines(&outcome, &[(&format!("{name} got 15"), 1), (&format!("{name} finished"), 1)]);
            }
        });
    }
}

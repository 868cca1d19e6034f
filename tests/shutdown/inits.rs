//! Nested inits.

use super::{count_lines, expect_lines, in_both_settings, script, wait_for_lines};
use crate::support::{Condition, Order, Outcome, Report, Scratch, init_under_test, is_root};

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
        let text = format!(
            "{init} -- probe {record} & probe {outer} & wait",
            record = Order::Record(15),
            outer = Order::Work("outer", 200)
        );
        let running = start.words(["--forward", "tree", "--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(&running, &[Report::Ready.to_string(), Report::Ready.by("outer")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).to_string(), 1),
                (Report::Got(15).by("outer"), 1),
                (Report::Finished.by("outer"), 1),
            ],
        );
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
        let text = format!(
            "{} -g -- probe {inner} & probe {outer} & wait",
            named.display(),
            inner = Order::Work("inner", 50),
            outer = Order::Work("outer", 200)
        );
        let running =
            start.words(["-vv", "--forward", "tree", "--drain", "60s"]).words(script(&text)).start();
        wait_for_lines(&running, &[Report::Ready.by("inner"), Report::Ready.by("outer")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("inner"), 1),
                (Report::Finished.by("inner"), 1),
                (Report::Got(15).by("outer"), 1),
            ],
        );
        assert_eq!(sent_by_us(&outcome, "work inner"), 0, "{outcome}");
    });
}

#[test]
fn init_of_another_user_is_recognised_by_name() {
    in_both_settings(|start| {
        if !is_root() {
            return;
        }
        let scratch = Scratch::new();
        let init = scratch.executable_copy(&init_under_test());
        let named = scratch.path().join("dumb-init");
        std::fs::rename(init, &named).expect("another name");
        let text = format!(
            "probe {with} {user} -- {} -- probe {inner} & probe {outer} & wait",
            named.display(),
            with = Order::With,
            user = Condition::User(1000),
            inner = Order::Work("inner", 50),
            outer = Order::Work("outer", 200)
        );
        let start = start.condition(Condition::WithoutCapPtrace).words([
            "-vv",
            "--forward",
            "tree",
            "--drain",
            "60s",
        ]);
        let running = start.words(script(&text)).start();
        wait_for_lines(&running, &[Report::Ready.by("inner"), Report::Ready.by("outer")]);
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(
            &outcome,
            &[
                (Report::Finished.by("inner"), 1),
                (Report::Got(15).by("outer"), 1),
                (Report::Finished.by("outer"), 1),
            ],
        );
        assert_eq!(sent_by_us(&outcome, "work inner"), 0, "{outcome}");
    });
}

#[test]
fn exited_nested_init_causes_no_second_signal() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        // The inner init has no drain, and leaves a member of its group behind.
        let inner = format!(
            "probe {rest} & exec probe {inner}",
            rest = Order::Work("rest", 2000),
            inner = Order::Work("inner", 50)
        );
        let text =
            format!("{init} -- sh -c '{inner}' & probe {outer} & wait", outer = Order::Work("outer", 200));
        let running = start.words(["--drain", "10s"]).words(script(&text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("rest"), Report::Ready.by("inner"), Report::Ready.by("outer")],
        );
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143).expect_stderr("");
        // The inner init forwards one signal, and sends another when it exits.
        for line in ["inner got 15", "inner finished", "rest finished", "outer got 15", "outer finished"] {
            expect_lines(&outcome, &[(line, 1)]);
        }
        // Two pending signals may become one.
        let received = count_lines(&outcome.stdout(), &Report::Got(15).by("rest"));
        assert!((1..=2).contains(&received), "{outcome}");
    });
}

#[test]
fn nested_init_exiting_at_once_has_forwarded_the_signal() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        let inner =
            format!("probe {rest} & exec probe {hang}", rest = Order::Work("rest", 300), hang = Order::Hang);
        let text =
            format!("{init} -- sh -c '{inner}' & probe {outer} & wait", outer = Order::Work("outer", 200));
        let running = start.words(["-vv", "--drain", "60s"]).words(script(&text)).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("rest"), Report::Ready.to_string(), Report::Ready.by("outer")],
        );
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[(Report::Finished.by("rest"), 1), (Report::Finished.by("outer"), 1)]);
        assert_eq!(sent_by_us(&outcome, "work rest"), 0, "{outcome}");
    });
}

#[test]
fn drain_reaches_sessions_below_an_init_without_drain() {
    let init = init_under_test().display().to_string();
    in_both_settings(|start| {
        let inner = format!(
            "setsid probe {daemon}; setsid probe {job} & exec probe {inner}",
            daemon = Order::Daemon("daemon", 100),
            job = Order::Work("job", 100),
            inner = Order::Work("inner", 50)
        );
        let running = start.words(["--drain", "60s"]).words([&init, "--", "sh", "-c"]);
        let running = running.word(&script(inner)[2]).start();
        wait_for_lines(
            &running,
            &[Report::Ready.by("daemon"), Report::Ready.by("job"), Report::Ready.by("inner")],
        );
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        outcome.expect_code(0).expect_stderr("");
        for name in ["job", "inner", "daemon"] {
            expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
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
            // One init is below the other, and one is beside it.
            let inner = format!(
                "setsid probe {far} & probe {near} & exec probe {inner}",
                far = Order::Work("far", 150),
                near = Order::Work("near", 100),
                inner = Order::Work("inner", 50)
            );
            let text = format!(
                "{init} -- sh -c '{inner}' & exec {init} -- probe {main}",
                main = Order::Work("main", 200)
            );
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
                expect_lines(&outcome, &[(Report::Got(15).by(name), 1), (Report::Finished.by(name), 1)]);
            }
        });
    }
}

//! A drain of random trees: members have other groups and sessions, are orphans, or have their own
//! init with the same variables.

use std::fmt::Write;

use super::{count, in_both_settings};
use crate::support::{init_under_test, role};

const FAMILIES: u64 = 6;
const SIZE: usize = 24;

/// Whether the inits below have a drain as well.
#[derive(Clone, Copy, Debug)]
enum Drains {
    All,
    TheOuterOne,
}

#[test]
fn drain_signals_each_process_of_a_random_tree_once() {
    try_families(Drains::All);
}

#[test]
fn drain_reaches_random_trees_below_inits_without_drain() {
    try_families(Drains::TheOuterOne);
}

fn try_families(drains: Drains) {
    let seed =
        std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("SEED"));
    let init = init_under_test().display().to_string();
    for (family, forward) in
        (0..FAMILIES).flat_map(|family| ["child", "group", "tree"].map(|forward| (family, forward)))
    {
        let seed = seed.wrapping_add(family);
        in_both_settings(|start| {
            let start = match drains {
                Drains::All => start.variable("DUMB_INIT_DRAIN", "60s"),
                Drains::TheOuterOne => start.words(["--drain", "60s"]),
            };
            let start = start.variable("DUMB_INIT_FORWARD", forward);
            let (seed, size) = (seed.to_string(), SIZE.to_string());
            let running = start.words(role(["family", &seed, &size, &init, "0"])).start();
            running
                .wait_for_stdout("everybody who is ready", |text| text.matches(" ready\n").count() == SIZE);
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            let mut wrong = String::new();
            for index in 0..SIZE {
                let times = |what: &str| count(&outcome.stdout(), &format!("member-{index} {what}"));
                let (got, finished) = (times("got 15"), times("finished"));
                let most = match drains {
                    Drains::All => 1,
                    // An init without a drain sends its group another one when its command has ended, and with `tree` to all
                    // that are below it; so does the one above that.
                    Drains::TheOuterOne => SIZE,
                };
                if !(1..=most).contains(&got) || finished != 1 {
                    let _ = writeln!(wrong, "member-{index}: got {got}, finished {finished}");
                }
            }
            assert_eq!(wrong, "", "SEED={seed} {forward} {drains:?}\n{outcome}");
        });
    }
}

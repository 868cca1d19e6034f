//! A drain of random trees: members have other groups and sessions, are orphans, or have their own
//! init with the same variables.

use std::fmt::Write;

use super::{count_lines, in_both_settings};
use crate::support::{Order, cases, init_under_test, seed};

const TREES: u32 = 6;
const SIZE: usize = 24;

/// Whether the inits below have a drain as well.
#[derive(Clone, Copy, Debug)]
enum Drains {
    EveryInit,
    OuterInit,
}

#[test]
fn drain_signals_each_process_of_a_random_tree_once() {
    try_trees(Drains::EveryInit);
}

#[test]
fn drain_reaches_random_trees_below_inits_without_drain() {
    try_trees(Drains::OuterInit);
}

fn try_trees(drains: Drains) {
    let seed = seed();
    let init = &*init_under_test().display().to_string().leak();
    for (tree, forward) in
        (0..cases(TREES)).flat_map(|tree| ["child", "group", "tree"].map(|forward| (tree, forward)))
    {
        let seed = seed.wrapping_add(tree.into());
        in_both_settings(|start| {
            let start = match drains {
                Drains::EveryInit => start.variable("DUMB_INIT_DRAIN", "60s"),
                Drains::OuterInit => start.words(["--drain", "60s"]),
            };
            let start = start.variable("DUMB_INIT_FORWARD", forward);
            let running = start.probe(Order::RandomTree(seed, SIZE, init, 0)).start();
            running.wait_for_stdout("all members that are ready", |text| {
                text.matches(" ready\n").count() == SIZE
            });
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome.expect_code(0).expect_stderr("");
            let mut wrong = String::new();
            for index in 0..SIZE {
                let times = |what: &str| count_lines(&outcome.stdout(), &format!("member-{index} {what}"));
                let (got, finished) = (times("got 15"), times("finished"));
                let most = match drains {
                    Drains::EveryInit => 1,
                    // An init without a drain sends its group another SIGTERM when its command
                    // exits, and with `tree` to all of its descendants. So does the init above it.
                    Drains::OuterInit => SIZE,
                };
                if !(1..=most).contains(&got) || finished != 1 {
                    let _ = writeln!(wrong, "member-{index}: got {got}, finished {finished}");
                }
            }
            assert_eq!(wrong, "", "SEED={seed} {forward} {drains:?}\n{outcome}");
        });
    }
}

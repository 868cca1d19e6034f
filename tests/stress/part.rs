//! Parts of the run, and their results.

#![allow(clippy::print_stdout)] // The program prints its results.

use std::fmt::Display;
use std::time::Instant;

use crate::state::Memory;
use crate::support::init_under_test;

/// Cases that a part describes if nothing else is asked for.
const MOST_DESCRIPTIONS: u64 = 10;
/// Timeouts after which a part gives up.
const MOST_HANGS: u64 = 10;

/// The run of this program.
pub struct Plan {
    long: bool,
    /// Number of tries of each part, instead of its own.
    tries: Option<u64>,
    pub seed: u64,
    started: Instant,
    cases: u64,
    wrong: u64,
}

impl Plan {
    pub fn new(long: bool, tries: Option<u64>, seed: u64) -> Self {
        let length = if long { "long" } else { "short" };
        println!("{}, {length}, SEED={seed}", init_under_test().display());
        Self { long, tries, seed, started: Instant::now(), cases: 0, wrong: 0 }
    }

    pub fn is_short(&self) -> bool {
        !self.long
    }

    /// Number of tries.
    pub fn count(&self, short: u64, long: u64) -> u64 {
        self.tries.map_or(if self.long { long } else { short }, |tries| tries.min(long))
    }

    /// Prints the last line, and returns how much went wrong.
    pub fn summarize(&self) -> u64 {
        let seconds = self.started.elapsed().as_secs_f64();
        println!("in all: {} tried, {} wrong, {seconds:.1} s, SEED={}", self.cases, self.wrong, self.seed);
        self.wrong
    }
}

/// One kind of thing that is tried, many times.
pub struct Part<'a> {
    plan: &'a mut Plan,
    name: String,
    unit: &'static str,
    started: Instant,
    cases: u64,
    wrong: u64,
    hangs: u64,
    most_descriptions: u64,
    notes: String,
}

impl<'a> Part<'a> {
    pub fn new(plan: &'a mut Plan, name: impl Display, unit: &'static str) -> Self {
        let (name, started, notes) = (name.to_string(), Instant::now(), String::new());
        Self {
            plan,
            name,
            unit,
            started,
            cases: 0,
            wrong: 0,
            hangs: 0,
            most_descriptions: MOST_DESCRIPTIONS,
            notes,
        }
    }

    pub fn is_short(&self) -> bool {
        self.plan.is_short()
    }

    /// Describes every failure.
    pub fn describe_all(&mut self) {
        self.most_descriptions = u64::MAX;
    }

    /// Counts successes, or one failure and its description.
    pub fn note(&mut self, result: Result<u64, String>) {
        match result {
            Ok(count) => self.cases += count,
            Err(description) => {
                self.cases += 1;
                self.wrong += 1;
                if self.wrong <= self.most_descriptions {
                    println!("{}: WRONG: {description} (SEED={})", self.name, self.plan.seed);
                }
            }
        }
    }

    /// Counts a timeout. Whether to continue.
    pub fn note_a_hang(&mut self) -> bool {
        self.hangs += 1;
        if self.hangs == MOST_HANGS {
            self.notes += ", given up";
        }
        self.hangs < MOST_HANGS
    }

    /// Adds something to the line.
    pub fn add(&mut self, note: impl Display) {
        self.notes += &format!(", {note}");
    }

    pub fn add_memory(&mut self, before: Memory, after: Memory) {
        self.add(format_args!("memory of the init: {before}, then {after}"));
    }

    /// Prints the part's line.
    pub fn end(self) {
        let Self { plan, name, unit, started, cases, wrong, notes, .. } = self;
        plan.cases += cases;
        plan.wrong += wrong;
        let seconds = started.elapsed().as_secs_f64();
        println!("{name}: {cases} {unit}, {wrong} wrong, {seconds:.1} s{notes}");
    }
}

//! Speed and size beside the installed peers.
//!
//! `cargo bench` measures this init, its glibc and its musl build, and its peers, in turns within
//! one run, so that other load affects all of them. It prints the medians, their ratios, and the
//! targets of docs/benchmarks.md; the plot goes to target/bench. `cargo bench -- quick` takes a
//! fraction of the rounds, `cargo bench -- startup latency` runs those measurements only, and
//! `cargo bench -- publish` also rewrites docs/benchmarks.md and its plot. `BENCH_INITS="NAME=PATH
//! NAME=PATH"` adds inits with dumb-init's options.

// A program for people, and its helpers that fork.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

mod drain;
mod inits;
mod measured;
mod measures;
mod plot;
mod publish;
mod roles;
mod started;
mod table;
mod targets;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

/// Words after `cargo bench --`.
struct Request {
    quick: bool,
    publish: bool,
    /// Names of the measurements; all of them if empty.
    only: Vec<String>,
}

impl Request {
    fn of(words: impl Iterator<Item = String>) -> Self {
        let mut request = Self { quick: false, publish: false, only: Vec::new() };
        for word in words {
            match word.as_str() {
                "quick" => request.quick = true,
                "publish" => request.publish = true,
                // cargo's own.
                "--bench" => {}
                _ => request.only.push(word),
            }
        }
        request
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Number of rounds, reduced by `quick`.
    fn rounds(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(20) } else { full }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [first, role @ ..] = words.as_slice()
        && first == roles::MARK
    {
        return roles::play(role);
    }
    let request = Request::of(words.into_iter());
    if let Some(unknown) = request.only.iter().find(|name| !measures::NAMES.contains(&name.as_str())) {
        eprintln!("no measurement is called {unknown}; there are {}", measures::NAMES.join(", "));
        return ExitCode::FAILURE;
    }
    let (inits, missing) = inits::all();
    if request.publish
        && (request.quick || !request.only.is_empty() || missing || env::var_os("BENCH_INITS").is_some())
    {
        eprintln!("only a whole run beside all peers and no others is published");
        return ExitCode::FAILURE;
    }
    let baseline = inits::baseline();
    let measured = measures::all(&request, &inits, &baseline);
    let names: Vec<&str> = inits.iter().map(|init| init.name.as_str()).collect();
    let table = table::markdown(&names, &measured);
    let targets = targets::markdown(&names, &measured);
    println!("{table}\n{targets}");
    let svg = plot::svg(&names, &measured);
    let scratch = directory();
    std::fs::write(scratch.join("peers.svg"), &svg).expect("the plot");
    println!("plot: {}", scratch.join("peers.svg").display());
    if request.publish {
        publish::publish(&inits, &table, &targets, &svg);
    }
    ExitCode::SUCCESS
}

/// Directory of the benchmarks' files.
fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&directory).expect("target/bench");
    directory
}

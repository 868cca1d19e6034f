//! `dumb-init`: a small init for containers.
//!
//! It starts one command, forwards signals to it, reaps what ends, and exits with the command's status. This file is its
//! life on one screen and the only place that ends it; each module below answers one question about it.

#![cfg_attr(not(test), no_main)]
// See `sys::entry` for what is there in its place.
// Nothing may panic while the command runs; see `panics`. Cargo.toml denies unwrap and expect.
#![cfg_attr(not(test), deny(clippy::panic, clippy::unreachable, clippy::todo, clippy::unimplemented))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

mod cli;
mod config;
mod environment;
mod getopt;
mod logging;
mod panics;
mod policy;
mod rewrite;
mod search;
mod signal;
mod spawn;
mod status;
mod strerror;
mod supervisor;
mod sys;
mod terminal;

use cli::{Invocation, UsageError};
use config::Config;
use environment::Environment;
use logging::Line;
use policy::{Forward, Policy};
use spawn::Spawned;
use status::ExitStatus;
use sys::arguments::Word;

/// The life of the program, from its arguments to its exit status.
fn life(words: &[Word], environment: Vec<Word>) -> ExitStatus {
    // Before anything else: what comes from here on waits until there is someone to get it.
    sys::signals::block_all();

    let (options, command) = match cli::parse(words) {
        Ok(Invocation::Run(options, command)) => (options, command),
        Ok(Invocation::Print(text)) => {
            sys::fds::write_to_stderr([text.as_bytes()]);
            return ExitStatus::SUCCESS;
        }
        Err(UsageError(text)) => {
            sys::fds::write_to_stderr([&text]);
            return ExitStatus::FAILURE;
        }
    };
    let environment = Environment::new(environment);
    let config = Config::new(&options, &environment);
    logging::init(config.verbosity);
    config.notes.iter().copied().for_each(logging::say);

    sys::dispositions::expect_children();
    supervisor::collect_older_children();
    let (hand_over, mut earlier) = match config.forward {
        Forward::Group => {
            let (hand_over, signals) = terminal::give_up();
            (Some(hand_over), signals)
        }
        Forward::Child => (None, Vec::new()),
    };
    let Ok(Spawned { main, mut keys }) = spawn::spawn(command, &environment, hand_over.as_ref()) else {
        logging::say(Line::NoFork);
        return ExitStatus::FAILURE;
    };

    // The command runs. From here to its end nothing may end this program: what fails is said at most.
    drop(hand_over);
    earlier.append(&mut keys);
    sys::fds::close_others();
    if let Err(errno) = nix::unistd::chdir("/") {
        logging::say(Line::NoChdir(errno));
    }
    let policy = Policy::new(config.forward, config.rewrites, main);
    panics::survive(&policy, main, |status| std::process::exit(status.code().into()));
    supervisor::supervise(&policy, main, earlier)
}

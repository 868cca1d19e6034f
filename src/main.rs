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
mod delivery;
mod descendants;
mod duration;
mod environment;
mod explain;
mod getopt;
mod ledger;
mod logging;
mod panics;
mod plumbing;
mod policy;
mod process;
mod rewrite;
mod search;
mod signal;
mod spawn;
mod split_string;
mod status;
mod strerror;
mod supervisor;
mod sys;
mod terminal;
mod value;

use cli::{Invocation, UsageError};
use config::Config;
use delivery::Delivery;
use environment::Environment;
use logging::Line;
use policy::{Forward, Policy};
use spawn::Spawned;
use status::ExitStatus;
use sys::arguments::Word;
use value::Switch;

/// The life of the program, from its arguments to its exit status.
fn life(words: &[Word], environment: Vec<Word>) -> ExitStatus {
    // Before anything else: what comes from here on waits until there is someone to get it.
    sys::signals::block_all();
    // It may end while we read the command line.
    let parent = nix::unistd::getppid();

    let environment = Environment::new(environment);
    let (options, command) = match cli::parse(words, |name| environment.get(name)) {
        Ok(Invocation::Run(options, command)) => (options, command),
        Ok(Invocation::Explain(question)) => {
            // A tool like any other: Ctrl-C ends it, and so does a reader that has seen enough.
            sys::signals::unblock_all();
            return explain::explain(&question);
        }
        Ok(Invocation::Print(text)) => {
            sys::fds::write_to_stderr([text.as_bytes()]);
            return ExitStatus::SUCCESS;
        }
        Err(UsageError(text)) => {
            sys::fds::write_to_stderr([&text]);
            return ExitStatus::FAILURE;
        }
    };
    let config = match Config::new(options, &environment) {
        Ok(config) => config,
        Err(text) => {
            let UsageError(text) = UsageError::new(words.first().copied().unwrap_or_default(), &text);
            sys::fds::write_to_stderr([&text]);
            return ExitStatus::FAILURE;
        }
    };
    logging::init(config.verbosity);
    config.notes.iter().copied().for_each(logging::say);
    config.half_ignored.iter().for_each(|rewrite| logging::say_ignored_rest(rewrite));

    sys::dispositions::expect_children();
    supervisor::collect_older_children();
    if config.subreaper == Switch::On {
        supervisor::adopt_orphans();
    }
    if let Some(signum) = config.parent_death_signal
        && let Err(errno) = sys::parent::signal_at_the_end_of(parent, signum)
    {
        logging::say(Line::NoParentDeathSignal(errno));
    }
    let older_children = if config.settings.needs_descendants() { plumbing::older_children() } else { Vec::new() };
    let (hand_over, mut earlier) = match config.settings.forward {
        Forward::Group | Forward::Tree => {
            let (hand_over, signals) = terminal::give_up();
            (Some(hand_over), signals)
        }
        Forward::Child => (None, Vec::new()),
    };
    let Ok(Spawned { main, mut keys }) = spawn::spawn(&command, &environment, hand_over.as_ref()) else {
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
    let mut policy = Policy::new(config.settings, main);
    let mut delivery = Delivery::new(main, older_children);
    panics::survive(&policy, &delivery, main, |status| std::process::exit(status.code().into()));
    supervisor::supervise(&mut policy, &mut delivery, main, earlier)
}

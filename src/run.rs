//! The life of the program, from its arguments to its exit status.

use std::io;

use crate::log::{self, Message};
use crate::options::config::Config;
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::options::{self, Invocation, Stream, UsageError};
use crate::policy::Policy;
use crate::signal::exit_status::ExitStatus;
use crate::spawn::{self, Setting, shebang, terminal};
use crate::supervisor::delivery::Delivery;
use crate::supervisor::{self, panics};
use crate::sys::arguments::Arg;
use crate::sys::signals::SignalMask;
use crate::{explain, sys};

/// Runs the program with these words and variables. `blocked` is the signal mask before all were blocked.
pub(crate) fn life(blocked: nix::Result<SignalMask>, words: &[Arg], environment: Vec<Arg>) -> ExitStatus {
    // It may end while we read the command line.
    let parent = nix::unistd::getppid();

    let environment = Environment::new(environment);
    let (mut config, argv) = match asked(words, &environment) {
        Asked::Life(config, argv) => (config, argv),
        Asked::Done(status) => return status,
    };
    log::init(config.verbosity);
    let mask = match blocked {
        Ok(mask) => mask,
        Err(errno) => return refuse(Message::NotBlocked(errno)),
    };
    if let Err(errno) = sys::signals::can_be_fetched() {
        return refuse(Message::NotFetched(errno));
    }
    config.notes.iter().copied().for_each(log::write);
    config.rewrites_with_trailing_text.iter().for_each(|rewrite| log::write_ignored_text(rewrite));

    sys::dispositions::expect_children();
    supervisor::collect_older_children();
    if config.subreaper {
        supervisor::adopt_orphans();
    }
    if let Some(signum) = config.parent_death_signal
        && let Err(errno) = sys::parent::signal_at_the_end_of(parent, signum)
    {
        log::write(Message::NoParentDeathSignal(errno));
    }
    let Some(argv) = argv else {
        let_go();
        panics::survive_without_command(exit);
        return supervisor::pause();
    };
    let init = config.settings.personality;
    if let Some(right_line) = shebang::right_line(init, words, &argv, parent) {
        log::write_no_program(argv.first().copied().unwrap_or_default(), &right_line);
        return ExitStatus::FAILURE;
    }
    let needs_descendants = config.settings.needs_descendants();
    if needs_descendants || init != Personality::DumbInit {
        sys::parent::take_name(init.process_name());
    }
    let older_children = if needs_descendants { supervisor::older_children() } else { Vec::new() };
    if config.settings.may_outlive_command() && config.settings.isolation() == Isolation::Session {
        config.settings.keeps_terminal = terminal::keep();
    }
    let isolation = config.settings.isolation();
    let (hand_off, earlier) = terminal::hand_off(init, isolation);
    let setting = Setting { init, isolation, mask, hand_off: &hand_off };
    let Ok(command) = spawn::spawn(&argv, &environment, &setting) else {
        return refuse(Message::NoFork);
    };

    // The command runs. From here to its end nothing may end this program: what fails is said at most.
    drop(hand_off);
    let_go();
    let mut policy = Policy::new(config.settings, command);
    let mut delivery = Delivery::new(command, older_children);
    panics::survive(&policy, &delivery, command, exit);
    supervisor::supervise(&mut policy, &mut delivery, command, earlier)
}

/// Ends before the command's start.
fn refuse(line: Message) -> ExitStatus {
    log::write(line);
    ExitStatus::FAILURE
}

/// Holds on to nothing that others may wait for: the end of a pipe, or a file system that is to be unmounted.
fn let_go() {
    sys::fds::close_others();
    if let Err(errno) = nix::unistd::chdir("/") {
        log::write(Message::NoChdir(errno));
    }
}

/// The end after a panic, which has no way back to the end of [`life`].
fn exit(status: ExitStatus) {
    std::process::exit(status.code().into());
}

/// What is asked for.
#[expect(clippy::large_enum_variant, reason = "there is one of it, which is taken apart at once")]
enum Asked {
    /// A life, with this command or, where none is run, until it is asked to end.
    Life(Config, Option<Vec<Arg>>),
    /// Something else, which is done, or was refused.
    Done(ExitStatus),
}

#[inline(never)] // It leaves the stack before the command starts.
fn asked(words: &[Arg], environment: &Environment) -> Asked {
    let (options, argv) = match options::parse(words, |name| environment.get(name)) {
        Ok(Invocation::Run(options, argv)) => (options, Some(argv)),
        Ok(Invocation::Pause(options)) => (options, None),
        Ok(Invocation::Explain(question)) => {
            // A tool like any other: Ctrl-C ends it, and so does a reader that has seen enough.
            sys::signals::unblock_all();
            return Asked::Done(explain::explain(&question));
        }
        Ok(Invocation::Print(text, stream)) => {
            match stream {
                Stream::Stdout => sys::output::print(io::stdout(), text.as_bytes()),
                Stream::Stderr => sys::output::print(io::stderr(), text.as_bytes()),
            }
            return Asked::Done(ExitStatus::SUCCESS);
        }
        Err(UsageError(text)) => {
            sys::output::write_to_stderr([&text]);
            return Asked::Done(ExitStatus::FAILURE);
        }
    };
    match Config::new(options, environment) {
        Ok(config) => Asked::Life(config, argv),
        Err(text) => {
            let UsageError(text) = UsageError::new(words.first().copied().unwrap_or_default(), &text);
            sys::output::write_to_stderr([&text]);
            Asked::Done(ExitStatus::FAILURE)
        }
    }
}

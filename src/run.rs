//! The life of the program, from its arguments to its exit status.

use crate::log::{self, Message};
use crate::options::config::Config;
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::options::{self, Invocation, UsageError};
use crate::policy::Policy;
use crate::signal::exit_status::ExitStatus;
use crate::spawn::terminal::{self, HandOver};
use crate::spawn::{self, Spawned, Whereabouts, shebang};
use crate::supervisor::delivery::Delivery;
use crate::supervisor::{self, panics};
use crate::sys::arguments::Arg;
use crate::{explain, sys};

/// Runs the program with these words and variables.
pub(crate) fn life(words: &[Arg], environment: Vec<Arg>) -> ExitStatus {
    // Before anything else: what comes from here on waits until there is someone to get it.
    let blocked = sys::signals::block_all();
    // It may end while we read the command line.
    let parent = nix::unistd::getppid();

    let environment = Environment::new(environment);
    let (mut config, argv) = match parse_invocation(words, &environment) {
        Ok(start) => start,
        Err(status) => return status,
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
    let place = config.settings.isolation();
    let (hand_over, mut earlier) = match place {
        Isolation::Session => terminal::give_up(),
        Isolation::Group => (HandOver::kept(init), Vec::new()),
        Isolation::None => (HandOver::none(), Vec::new()),
    };
    let to = Whereabouts { init, place, mask, hand_over: &hand_over };
    let Ok(Spawned { command, mut keys }) = spawn::spawn(&argv, &environment, &to) else {
        return refuse(Message::NoFork);
    };

    // The command runs. From here to its end nothing may end this program: what fails is said at most.
    drop(hand_over);
    earlier.append(&mut keys);
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

/// Returns the configuration and the command, which is `None` in a pause. `Err` is the exit status of the
/// program if it has nothing to run.
#[inline(never)] // It leaves the stack before the command starts.
fn parse_invocation(
    words: &[Arg],
    environment: &Environment,
) -> Result<(Config, Option<Vec<Arg>>), ExitStatus> {
    match options::parse(words, environment) {
        Ok(Invocation::Run(config, argv)) => Ok((config, Some(argv))),
        Ok(Invocation::Pause(config)) => Ok((config, None)),
        Ok(Invocation::Explain(question)) => {
            // As for any tool, Ctrl-C and a closed pipe end it.
            sys::signals::unblock_all();
            Err(explain::explain(&question))
        }
        Ok(Invocation::Print { text, to_stdout }) => {
            if to_stdout {
                sys::output::write_to_stdout(text.as_bytes());
            } else {
                sys::output::print_to_stderr(text.as_bytes());
            }
            Err(ExitStatus::SUCCESS)
        }
        Err(UsageError(text)) => {
            sys::output::write_to_stderr([&text]);
            Err(ExitStatus::FAILURE)
        }
    }
}

//! The program from its arguments to its exit status: block signals, read the options, start the command,
//! supervise it.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::log::{self, Message};
use crate::options::environment::Environment;
use crate::options::personality::{Isolation, Personality};
use crate::options::settings::Config;
use crate::options::{self, Invocation, UsageError};
use crate::policy::{Helper, Policy};
use crate::report::Report;
use crate::signal::exit_status::ExitStatus;
use crate::spawn::{self, Child, Role, Setting, shebang, terminal};
use crate::supervisor::delivery::Delivery;
use crate::supervisor::{self, Programs, last_resort};
use crate::sys::arguments::Arg;
use crate::sys::signals::SignalMask;
use crate::{explain, sys};

/// Runs the program, and returns the status to exit with. `inherited_mask` is the signal mask
/// before all signals were blocked.
pub(crate) fn run(
    inherited_mask: nix::Result<SignalMask>,
    words: &[Arg],
    environment: Vec<Arg>,
) -> ExitStatus {
    // The parent may exit meanwhile.
    let parent = nix::unistd::getppid();

    let environment = Environment::new(environment);
    let (mut config, argv) = match parse_invocation(words, &environment) {
        Ok(start) => start,
        Err(status) => return status,
    };
    let environment = environment.for_children();
    let personality = config.settings.personality;
    let program = words.first().copied().unwrap_or_default().to_bytes();
    log::init(config.verbosity, personality.name_in_messages(program));
    let mut report = config.report.filter(|_| argv.is_some()).map(Report::new);
    let mask = match inherited_mask {
        Ok(mask) => mask,
        Err(errno) => {
            return refuse(Message::NotBlocked(errno), errno, report, argv.as_deref().unwrap_or_default());
        }
    };
    if let Err(errno) = sys::signals::can_be_fetched() {
        return refuse(Message::NotFetched(errno), errno, report, argv.as_deref().unwrap_or_default());
    }
    config.notes.iter().copied().for_each(log::write);
    config.ignored.iter().for_each(|variable| log::write_ignored(variable));
    config.rewrites_with_trailing_text.iter().for_each(|rewrite| log::write_ignored_text(rewrite));

    sys::dispositions::expect_children();
    supervisor::reap_older_children();
    if config.subreaper {
        supervisor::adopt_orphans();
    }
    if let Some(signum) = config.parent_death_signal {
        if let Err(errno) = sys::parent::signal_at_the_end_of(parent, signum) {
            log::write(Message::NoParentDeathSignal(errno));
        }
    }
    let Some(argv) = argv else {
        release_inherited(false);
        last_resort::prepare(None);
        return supervisor::pause();
    };
    if personality.logs_as_tini() && !sys::parent::adopts_orphans() {
        log::write(Message::NotReaping);
    }
    if let Some(right_line) = shebang::right_line(personality, words, &argv, parent) {
        log::write_no_program(argv.first().copied().unwrap_or_default(), &right_line);
        return ExitStatus::FAILURE;
    }
    let needs_descendants = config.settings.needs_descendants();
    // An outer init recognises this one by the name, since a hook keeps it in its working directory.
    if needs_descendants || !config.hook.is_empty() || personality != Personality::DumbInit {
        sys::parent::take_name(personality.process_name());
    }
    let older_children = if needs_descendants { supervisor::older_children() } else { Vec::new() };
    if config.settings.may_outlive_command() && config.settings.isolation() == Isolation::Session {
        config.settings.keeps_terminal = terminal::keep();
    }
    let isolation = config.settings.isolation();
    let background = Setting { init: personality, mask, role: Role::Helper };
    let mut helpers = Vec::new();
    let failed = start_helpers(&config.helpers, &environment, &background, &mut helpers, report.as_mut());
    // From here to the spawn, a key on the terminal is lost. So no message may be written in between.
    let (hand_off, earlier) = terminal::hand_off(personality, isolation);
    let setting = Setting { role: Role::Command(isolation, &hand_off), ..background };
    // The process of a helper that could not be executed stands for the command.
    let started = config.helpers.get(helpers.len()).map_or(&argv, |failed| &failed.argv);
    let child = failed.unwrap_or_else(|| spawn::spawn(&argv, &environment, &setting));
    let Child { pid: command, failure } = match child {
        Ok(child) => child,
        Err(errno) => {
            supervisor::terminate(&helpers);
            return refuse(Message::NoFork, errno, report, started);
        }
    };

    // The point of no return: from here on, nothing may end the program before the command exits.
    let pid = command.as_raw();
    last_resort::prepare(Some(if isolation == Isolation::None { pid } else { pid.wrapping_neg() }));
    drop(hand_off);
    release_inherited(!config.hook.is_empty());
    if let Some(advice) = failure.and_then(|_| shebang::advice_to_split(personality, words)) {
        log::write_advice(&advice);
    }
    if let Some(report) = &mut report {
        report.name_command(command, started);
    }
    let pids: Vec<Pid> = helpers.iter().map(|helper| helper.pid).collect();
    let texts = config.helpers.iter().map(|helper| helper.text.as_slice());
    let texts = pids.iter().copied().zip(texts).collect();
    let policy = Policy::new(config.settings, command).with_start_failure(failure);
    let mut policy = policy.with_helpers(helpers);
    let mut delivery = Delivery::new(command, pids, older_children);
    let start_hook = |signum| {
        let setting = Setting { role: Role::Hook, ..background };
        spawn::spawn(&config.hook, &environment.for_hook(signum, command), &setting).map(|hook| hook.pid)
    };
    let programs = Programs { command, helpers: texts, start_hook: &start_hook };
    supervisor::supervise(&mut policy, &mut delivery, &programs, report, earlier)
}

/// Logs and reports the reason not to start a program.
fn refuse(reason: Message, errno: Errno, report: Option<Report>, argv: &[Arg]) -> ExitStatus {
    log::write(reason);
    if let Some(report) = report {
        report.write_not_started(argv, errno);
    }
    ExitStatus::FAILURE
}

/// Starts the helpers in their order. Returns the result for the first one that could not be started.
fn start_helpers(
    helpers: &[options::settings::Helper],
    environment: &Environment,
    setting: &Setting<'_>,
    running: &mut Vec<Helper>,
    mut report: Option<&mut Report>,
) -> Option<nix::Result<Child>> {
    for helper in helpers {
        match spawn::spawn(&helper.argv, environment, setting) {
            Ok(Child { pid, failure: None }) => {
                running.push(Helper { pid, is_optional: helper.is_optional });
                if let Some(report) = &mut report {
                    report.name_helper(pid, &helper.argv);
                }
            }
            failed => return Some(failed),
        }
    }
    None
}

/// Releases inherited descriptors and the working directory. Others may wait for the end of a pipe, or for an
/// unmount. The hook needs the directory.
fn release_inherited(keeps_directory: bool) {
    sys::fds::close_others();
    if keeps_directory {
        return;
    }
    if let Err(errno) = nix::unistd::chdir("/") {
        log::write(Message::NoChdir(errno));
    }
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
                sys::output::print(io::stdout(), text.as_bytes());
            } else {
                sys::output::print(io::stderr(), text.as_bytes());
            }
            Err(ExitStatus::SUCCESS)
        }
        Err(UsageError(text)) => {
            let program = words.first().copied().unwrap_or_default();
            let advice = shebang::advice_to_split(Personality::by_name(program.to_bytes()), words);
            let advice = advice.map(|advice| UsageError::new(program, &advice).0).unwrap_or_default();
            sys::output::write_to_stderr([&text, &advice]);
            Err(ExitStatus::FAILURE)
        }
    }
}

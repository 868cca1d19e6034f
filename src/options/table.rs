//! The table of options: one row per option, for the command line, its variable, the help and the documents.

use super::UsageError;
use super::settings::Options;
use super::value::Given;

/// An option and its variable.
pub struct Row {
    /// `-c`
    pub short: Option<&'static str>,
    /// `--single-child`
    pub long: Option<&'static str>,
    /// The name of the value in the help. `None` if the option takes no value.
    pub value_name: Option<&'static str>,
    /// The value of an option without one. `None` if the option requires a value.
    pub implied_value: Option<&'static str>,
    /// The variable with an example of its value: `DUMB_INIT_SETSID=0`.
    pub variable: Option<&'static str>,
    /// The heading in the help.
    pub heading: &'static str,
    /// The text in the help.
    pub help: &'static str,
    /// Whether a unique prefix of the long name is enough. Options of our own must be spelled out, so that no
    /// abbreviation of the original's options changes its meaning.
    pub can_be_abbreviated: bool,
    pub(super) effect: Effect,
}

/// The effect of an option.
pub(super) enum Effect {
    /// Changes settings.
    Set(fn(&mut Options, &Given<'_>) -> Result<(), UsageError>),
    /// Prints a text at once. The rest of the command line is not read.
    Print(Text),
}

/// A text that an option prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Help,
    Version,
    License,
}

impl Row {
    /// The option as messages name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.short.or(self.long).unwrap_or_default()
    }

    /// The name of the variable.
    #[must_use]
    pub fn variable_name(&self) -> Option<&'static str> {
        self.variable.and_then(|variable| variable.split('=').next())
    }
}

/// The short name of `--split-string`.
pub(super) const SPLIT_STRING: &str = "-S";

/// The values of a row that most rows share.
pub(super) const ROW: Row = Row {
    short: None,
    long: None,
    value_name: None,
    implied_value: None,
    variable: None,
    heading: "Options",
    help: "",
    can_be_abbreviated: false,
    effect: Effect::Set(|_, _| Ok(())),
};

const ORIGINAL: Row = Row { heading: "Options of the original", can_be_abbreviated: true, ..ROW };
const SHUTDOWN: Row = Row { heading: "Shutdown", ..ROW };
const START: Row = Row { heading: "Start", ..ROW };
/// The options that run no command.
pub(super) const DIAGNOSIS: Row = Row { heading: "Diagnosis", ..ROW };

/// The options of dumb-init. An ambiguous abbreviation lists them in this order.
pub static DUMB_INIT: &[Row] = &[
    Row {
        short: Some("-h"),
        long: Some("--help"),
        implied_value: Some(""),
        help: "Print this text and exit",
        effect: Effect::Print(Text::Help),
        ..ORIGINAL
    },
    Row {
        short: Some("-c"),
        long: Some("--single-child"),
        implied_value: Some("0"),
        variable: Some("DUMB_INIT_SETSID=0"),
        help: "Forward signals only to COMMAND's process; start no session",
        effect: Effect::Set(|options, given| {
            options.set_single_child(given);
            Ok(())
        }),
        ..ORIGINAL
    },
    Row {
        short: Some("-r"),
        long: Some("--rewrite"),
        value_name: Some("s:r"),
        variable: Some("DUMB_INIT_REWRITE=TERM:QUIT,HUP:0"),
        help: "Forward signal s as signal r; drop it if r is 0 (repeatable)",
        effect: Effect::Set(Options::add_rewrites),
        ..ORIGINAL
    },
    Row {
        short: Some("-v"),
        long: Some("--verbose"),
        implied_value: Some("1"),
        variable: Some("DUMB_INIT_DEBUG=1"),
        help: "Log actions to stderr; -vv (or 2) logs senders and recipients, too",
        effect: Effect::Set(|options, given| {
            options.set_verbosity(given);
            Ok(())
        }),
        ..ORIGINAL
    },
    Row {
        short: Some("-V"),
        long: Some("--version"),
        implied_value: Some(""),
        help: "Print the version and exit",
        effect: Effect::Print(Text::Version),
        ..ORIGINAL
    },
    Row {
        long: Some("--forward"),
        value_name: Some("child|group|tree"),
        variable: Some("DUMB_INIT_FORWARD=tree"),
        help: "Forward signals to COMMAND's process, to its process group\n\
               (default), or to all descendants; overrides DUMB_INIT_SETSID",
        effect: Effect::Set(|options, given| options.forward.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--drain"),
        value_name: Some("DURATION"),
        variable: Some("DUMB_INIT_DRAIN=10s"),
        help: "When COMMAND exits, send SIGTERM to the remaining processes\n\
               and wait for them; kill them after DURATION",
        effect: Effect::Set(|options, given| options.drain.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--linger"),
        implied_value: Some("1"),
        variable: Some("DUMB_INIT_LINGER=1"),
        help: "When COMMAND exits, wait until no descendant is left",
        effect: Effect::Set(|options, given| options.linger.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--kill-after"),
        value_name: Some("DURATION"),
        variable: Some("DUMB_INIT_KILL_AFTER=30s"),
        help: "Kill all descendants DURATION after the first SIGTERM, SIGINT\n\
               or SIGQUIT",
        effect: Effect::Set(|options, given| options.kill_after.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--delay"),
        value_name: Some("SIGNAL:DURATION"),
        variable: Some("DUMB_INIT_DELAY=TERM:5s,INT:1s"),
        help: "Hold SIGNAL for DURATION before it is forwarded (repeatable)",
        effect: Effect::Set(|options, given| options.delays.add(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--exit-map"),
        value_name: Some("[asked:|deadline:]CODE[:NEW]"),
        variable: Some("DUMB_INIT_EXIT_MAP=asked:143,130:0"),
        help: "Exit with NEW (default 0) if COMMAND exits with CODE: only if it\n\
               was asked to, or killed at a deadline (repeatable)",
        effect: Effect::Set(|options, given| options.exit_rules.add(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--pre-stop"),
        value_name: Some("HOOK"),
        variable: Some("DUMB_INIT_PRE_STOP=/leave.sh"),
        help: "Run HOOK at the first SIGTERM, SIGINT or SIGQUIT, and forward\n\
               the signal when it has exited",
        effect: Effect::Set(|options, given| {
            options.pre_stop.replace(given.text.to_vec(), given.source);
            Ok(())
        }),
        ..SHUTDOWN
    },
    Row {
        long: Some("--pre-stop-timeout"),
        value_name: Some("DURATION"),
        variable: Some("DUMB_INIT_PRE_STOP_TIMEOUT=5s"),
        help: "Terminate HOOK after DURATION (default 10s)",
        effect: Effect::Set(|options, given| options.pre_stop_timeout.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--report"),
        value_name: Some("FILE"),
        variable: Some("DUMB_INIT_REPORT=/dev/termination-log"),
        help: "Write the reason for the exit, and the events before it, to FILE\n\
               (- for stderr; *.json for JSON)",
        effect: Effect::Set(|options, given| options.report.set(given)),
        ..SHUTDOWN
    },
    Row {
        long: Some("--with"),
        value_name: Some("HELPER"),
        variable: Some("DUMB_INIT_WITH=crond -f"),
        help: "Start HELPER before COMMAND, and shut down if it exits; -HELPER\n\
               may exit (repeatable; the variable has one per line)",
        effect: Effect::Set(|options, given| {
            options.add_helpers(given);
            Ok(())
        }),
        ..START
    },
    Row {
        long: Some("--parent-death-signal"),
        value_name: Some("SIGNAL"),
        variable: Some("DUMB_INIT_PARENT_DEATH_SIGNAL=TERM"),
        help: "Receive SIGNAL when the parent of dumb-init exits",
        effect: Effect::Set(|options, given| options.parent_death_signal.set(given)),
        ..START
    },
    Row {
        long: Some("--subreaper"),
        implied_value: Some("1"),
        variable: Some("DUMB_INIT_SUBREAPER=1"),
        help: "Adopt orphans without being PID 1",
        effect: Effect::Set(|options, given| options.subreaper.set(given)),
        ..START
    },
    Row {
        short: Some(SPLIT_STRING),
        long: Some("--split-string"),
        value_name: Some("WORDS"),
        help: "Split one word into several, as in a #! line; must be first",
        effect: Effect::Set(|_, given| {
            Err(UsageError::new(given.program, b"option '--split-string' must be the first one"))
        }),
        ..START
    },
    Row {
        long: Some("--explain"),
        value_name: Some("SIGNAL"),
        implied_value: Some("TERM"),
        help: "Run nothing; report which processes SIGNAL (default SIGTERM)\n\
               would reach, and its effect on each",
        effect: Effect::Set(|options, given| options.explain.set(given)),
        ..DIAGNOSIS
    },
    Row {
        long: Some("--pid"),
        value_name: Some("PID"),
        help: "Explain the init with this PID (default 1)",
        effect: Effect::Set(|options, given| options.pid.set(given)),
        ..DIAGNOSIS
    },
];

//! The options that are given, the settings that the policy decides by, and the rest of the configuration.

use std::time::Duration;

use nix::unistd::Pid;

use super::UsageError;
pub(crate) use super::personality::Isolation;
use super::personality::Personality;
pub(crate) use super::value::{Delay, Destination, Format, Forward, Limit, Source};
use super::value::{Given, Value};
use crate::log::escape::Escaped;
use crate::log::{Message, Verbosity};
use crate::signal::Signum;
use crate::signal::exit_status::{ExitMap, ExitRule};
use crate::signal::rewrite::{Rewrite, RewriteTable};
use crate::sys::arguments::Arg;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) personality: Personality,
    /// Whether to log each orphan that is reaped.
    pub(crate) names_orphans: bool,
    pub(crate) forward: Forward,
    pub(crate) rewrites: RewriteTable,
    /// `--drain`: the time for the remaining processes to exit.
    pub(crate) drain: Option<Limit>,
    /// `--linger`: whether to wait for all descendants.
    pub(crate) linger: bool,
    /// `--kill-after`: the time for all processes to exit after the first signal that shuts down.
    pub(crate) kill_after: Limit,
    /// `--delay`: the times that signals are held. The last one of a signal counts.
    pub(crate) delays: Vec<Delay>,
    pub(crate) exit_map: ExitMap,
    /// `--pre-stop`: the time for the hook to exit. `None` if there is no hook.
    pub(crate) pre_stop: Option<Limit>,
    /// Whether we stay the leader of our terminal's session. If the command led it, the kernel would send
    /// SIGHUP to the processes that a drain waits for as soon as the command exits (setsid(2), NOTES).
    pub(crate) keeps_terminal: bool,
}

/// The settings of dumb-init without options.
impl Default for Settings {
    fn default() -> Self {
        Config::new(Options::default(), Vec::new(), Vec::new()).settings
    }
}

impl Settings {
    /// The isolation of the command's process.
    pub(crate) fn isolation(&self) -> Isolation {
        match self.personality.isolation(self.forward) {
            Isolation::Session if self.keeps_terminal => Isolation::Group,
            isolation => isolation,
        }
    }

    /// For how long a signal is held.
    pub(crate) fn delay(&self, signum: Signum) -> Option<Duration> {
        self.delays.iter().rev().find(|delay| delay.signum == signum).map(|delay| delay.duration)
    }

    pub(crate) fn may_outlive_command(&self) -> bool {
        self.drain.is_some() || self.linger
    }

    /// Whether any setting affects processes outside of the command's group.
    pub(crate) fn needs_descendants(&self) -> bool {
        self.may_outlive_command() || self.forward == Forward::Tree || self.kill_after != Limit::Never
    }
}

/// How to run the command.
pub(crate) struct Config {
    pub(crate) verbosity: Verbosity,
    pub(crate) settings: Settings,
    pub(crate) forward_source: Source,
    pub(crate) rewrites_source: Source,
    pub(crate) parent_death_signal: Option<Signum>,
    /// Whether to adopt orphans although we are not PID 1.
    pub(crate) subreaper: bool,
    /// `--with`
    pub(crate) helpers: Vec<Helper>,
    /// `--pre-stop`: the words of the hook. None if there is no hook.
    pub(crate) hook: Vec<Arg>,
    /// `--report`
    pub(crate) report: Option<Destination>,
    /// Effects of variables, which may come unseen from a base image.
    pub(crate) notes: Vec<Message>,
    /// Variables without an effect, each with the reason.
    pub(crate) ignored: Vec<String>,
    /// Rewrites with text after the rule.
    pub(crate) rewrites_with_trailing_text: Vec<Vec<u8>>,
}

/// A program that is started before the command.
#[derive(Clone)]
pub(crate) struct Helper {
    /// The value of the option, for messages.
    pub(crate) text: Vec<u8>,
    /// Whether it may exit without consequences.
    pub(crate) is_optional: bool,
    pub(crate) argv: Vec<Arg>,
}

/// The drain of a container with helpers.
const DRAIN_OF_HELPERS: Limit = Limit::After(Duration::from_secs(10));
const PRE_STOP_TIMEOUT: Limit = Limit::After(Duration::from_secs(10));

impl Config {
    pub(super) fn new(options: Options, helpers: Vec<Helper>, hook: Vec<Arg>) -> Self {
        let personality = options.personality;
        let mut rewrites = RewriteTable::default();
        options.rewrites.value.into_iter().flatten().for_each(|rewrite| rewrites.set(rewrite));
        let implied_drain = (!helpers.is_empty()).then_some(DRAIN_OF_HELPERS);
        let drain = options.drain.value.or(implied_drain);
        let settings = Settings {
            personality,
            names_orphans: options.names_orphans.value.unwrap_or(false),
            forward: options.forward.value.unwrap_or(personality.default_forward()),
            rewrites,
            drain: drain.filter(|&drain| drain != Limit::After(Duration::ZERO)),
            linger: options.linger.value.unwrap_or(false),
            kill_after: options.kill_after.value.unwrap_or(Limit::Never),
            delays: options.delays.value.unwrap_or_default(),
            exit_map: ExitMap::new(options.exit_rules.value.unwrap_or_default()),
            pre_stop: (!hook.is_empty()).then(|| options.pre_stop_timeout.value.unwrap_or(PRE_STOP_TIMEOUT)),
            keeps_terminal: false,
        };
        // catatonit always adopts orphans.
        let subreaper = options.subreaper.value.unwrap_or(personality == Personality::Catatonit);
        let mut notes = options.notes;
        notes.retain(|note| *note != Message::NotSetsidMode || settings.forward == Forward::Child);
        Self {
            verbosity: options.verbosity.value.unwrap_or(Verbosity::Quiet),
            forward_source: options.forward.source,
            rewrites_source: options.rewrites.source,
            parent_death_signal: options.parent_death_signal.value,
            subreaper: subreaper || settings.may_outlive_command() || settings.forward == Forward::Tree,
            helpers,
            hook,
            report: options.report.value,
            notes,
            ignored: options.ignored,
            rewrites_with_trailing_text: options.rewrites_with_trailing_text,
            settings,
        }
    }
}

/// The values of all options and variables that are given.
#[derive(Default)]
pub(crate) struct Options {
    pub(super) personality: Personality,
    pub(super) forward: Setting<Forward>,
    pub(super) verbosity: Setting<Verbosity>,
    pub(super) rewrites: Setting<Vec<Rewrite>>,
    pub(super) drain: Setting<Limit>,
    pub(super) linger: Setting<bool>,
    pub(super) kill_after: Setting<Limit>,
    pub(super) delays: Setting<Vec<Delay>>,
    pub(super) exit_rules: Setting<Vec<ExitRule>>,
    pub(super) helpers: Setting<Vec<Vec<u8>>>,
    pub(super) pre_stop: Setting<Vec<u8>>,
    pub(super) pre_stop_timeout: Setting<Limit>,
    pub(super) report: Setting<Destination>,
    pub(super) parent_death_signal: Setting<Signum>,
    pub(super) subreaper: Setting<bool>,
    pub(super) explain: Setting<Signum>,
    pub(super) pid: Setting<Pid>,
    pub(super) names_orphans: Setting<bool>,
    /// `-P` of catatonit: whether to run no command.
    pub(super) pauses: Setting<bool>,
    pub(super) rewrites_with_trailing_text: Vec<Vec<u8>>,
    pub(super) notes: Vec<Message>,
    pub(super) ignored: Vec<String>,
}

impl Options {
    /// Adds the helper of an option, or those of a variable, which has one per line.
    pub(super) fn add_helpers(&mut self, given: &Given<'_>) {
        let is_line = |line: &&[u8]| !line.trim_ascii().is_empty();
        let texts: Vec<Vec<u8>> = if given.is_variable() {
            given.text.split(|&byte| byte == b'\n').filter(is_line).map(<[u8]>::to_vec).collect()
        } else {
            vec![given.text.to_vec()]
        };
        if !self.helpers.beats(given.source) {
            self.helpers.value.get_or_insert_default().extend(texts);
            self.helpers.source = given.source;
        }
    }

    /// Sets `-c`. Its variable has no effect under another name: these inits start no session.
    pub(super) fn set_single_child(&mut self, given: &Given<'_>) {
        if given.text == b"0" && self.personality == Personality::DumbInit {
            if given.is_variable() {
                self.notes.push(Message::NotSetsidMode);
            }
            self.forward.replace(Forward::Child, given.source);
        } else if self.personality != Personality::DumbInit {
            self.ignore(given, "it has no effect under this name");
        } else if given.text != b"1" {
            self.ignore(given, "only 0 has an effect");
        }
    }

    fn ignore(&mut self, given: &Given<'_>, reason: &str) {
        if let Source::Variable(name) = given.source {
            self.ignored.push(format!("{name}={}: {reason}", Escaped(given.text)));
        }
    }

    /// Sets or increments the verbosity. Other values of the variable have no effect, as in dumb-init 1.2.5.
    pub(super) fn set_verbosity(&mut self, given: &Given<'_>) {
        let verbosity = match given.text {
            b"1" if matches!(self.verbosity.source, Source::Option(_)) => Verbosity::Trace,
            b"1" => Verbosity::Debug,
            b"2" => Verbosity::Trace,
            b"0" => return,
            _ => return self.ignore(given, "only 1 and 2 have an effect"),
        };
        if given.is_variable() {
            // In the original's order.
            self.notes.insert(0, Message::DebugMode);
        }
        self.verbosity.replace(verbosity, given.source);
    }

    /// Adds rewrites. Only the variable takes several, since `-r` ignores text after the rule.
    pub(super) fn add_rewrites(&mut self, given: &Given<'_>) -> Result<(), UsageError> {
        if self.rewrites.beats(given.source) {
            return Ok(());
        }
        for text in given.text.split(|&byte| byte == b',' && given.is_variable()) {
            let rewrite = Rewrite::parse(text).ok_or_else(|| {
                if given.is_variable() { given.refusal(Rewrite::IS) } else { UsageError::bad_rewrite(given) }
            })?;
            if Rewrite::has_trailing_text(text) {
                self.rewrites_with_trailing_text.push(text.to_vec());
            }
            self.rewrites.value.get_or_insert_default().push(rewrite);
        }
        self.rewrites.source = given.source;
        Ok(())
    }
}

/// A setting and its origin.
pub(crate) struct Setting<T> {
    /// `None` if it is not given.
    pub(super) value: Option<T>,
    pub(super) source: Source,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self { value: None, source: Source::Default }
    }
}

impl<T> Setting<T> {
    /// Whether this is an option and `source` a variable. Otherwise the last value counts.
    fn beats(&self, source: Source) -> bool {
        matches!((self.source, source), (Source::Option(_), Source::Variable(_)))
    }

    pub(super) fn replace(&mut self, value: T, source: Source) {
        if !self.beats(source) {
            *self = Self { value: Some(value), source };
        }
    }
}

impl<T: Value> Setting<T> {
    /// Parses and sets the value. One that does not count is not parsed.
    pub(super) fn set(&mut self, given: &Given<'_>) -> Result<(), UsageError> {
        if !self.beats(given.source) {
            *self = Self { value: Some(given.parse()?), source: given.source };
        }
        Ok(())
    }
}

impl<T: Value> Setting<Vec<T>> {
    /// Parses and adds values.
    pub(super) fn add(&mut self, given: &Given<'_>) -> Result<(), UsageError> {
        if !self.beats(given.source) {
            self.value.get_or_insert_default().append(&mut given.parse()?);
            self.source = given.source;
        }
        Ok(())
    }
}

//! What was asked for, all told?
//!
//! The command line beats our variables, ours beat those of the init by whose name we are called (`options::peers`), and any of them
//! beats the defaults. The exception is that init's own: tini's verbosity is what its variable says, whatever its options say. No
//! other variable changes anything: all others are the command's.

use std::time::Duration;

use super::duration::{Delay, Limit};
use super::environment::Environment;
use super::personality::Personality;
use super::value::{Value, parse_list, refusal};
use crate::log::{Message, Verbosity};
use crate::options::forward::Forward;
use crate::options::settings::{Delays, Settings};
use crate::options::{Options, TINI_GROUP};
use crate::signal::Signum;
use crate::signal::exit_status::{ExitMap, ExitRule};
use crate::signal::rewrite::{Rewrite, RewriteTable};

/// Where does a setting come from?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// NoChild was said.
    Default,
    /// This option on the command line.
    Option(&'static str),
    /// This variable in the environment.
    Variable(&'static str),
}

/// The variable that stands for `-c`.
pub(crate) const SETSID: &str = "DUMB_INIT_SETSID";

/// How to run the command.
pub(crate) struct Config {
    pub(crate) verbosity: Verbosity,
    pub(crate) settings: Settings,
    pub(crate) forward_source: Source,
    pub(crate) rewrites_source: Source,
    pub(crate) parent_death_signal: Option<Signum>,
    /// Are orphans to be adopted also where we are not PID 1?
    pub(crate) subreaper: bool,
    /// What a variable has changed is said, since it may come unseen from a base image.
    pub(crate) notes: Vec<Message>,
    /// Rewrites that go on after what is a rule.
    pub(crate) rewrites_with_trailing_text: Vec<Vec<u8>>,
}

impl Config {
    /// Puts it together.
    ///
    /// # Errors
    /// The line that says which variable has a value that it can't have. One that an option beats isn't looked at.
    pub(crate) fn new(options: Options, environment: &Environment) -> Result<Self, Vec<u8>> {
        let variables = Variables(environment.beginning_with("DUMB_INIT_"));
        let personality = options.personality;
        let theirs = options.their_variables;
        let by_variable = match variables.0.get("DUMB_INIT_DEBUG") {
            Some(b"1") => Verbosity::Debug,
            Some(b"2") => Verbosity::Trace,
            _ => Verbosity::Quiet,
        };
        // tini's variable beats its option.
        let option = options.verbosity.filter(|_| theirs.verbosity.is_none());
        // As another init there is no session to be left out.
        let same_session = personality == Personality::DumbInit && variables.0.get(SETSID) == Some(b"0");
        let by_default = if same_session { Forward::Child } else { personality.default_forward() };
        let forward_source = match options.forward {
            Some((_, option)) => Source::Option(option),
            None if variables.has("DUMB_INIT_FORWARD") => Source::Variable("DUMB_INIT_FORWARD"),
            None if same_session => Source::Variable(SETSID),
            None if theirs.forward.is_some() => Source::Variable(TINI_GROUP),
            None => Source::Default,
        };
        let forward = options.forward.map(|(forward, _)| forward);
        let forward = variables.one(forward, "DUMB_INIT_FORWARD")?.or(theirs.forward).unwrap_or(by_default);

        let rewrites_source = match options.rewrites {
            Some(_) => Source::Option("-r"),
            None if variables.has("DUMB_INIT_REWRITE") => Source::Variable("DUMB_INIT_REWRITE"),
            None => Source::Default,
        };
        let mut rewrites_with_trailing_text = options.rewrites_with_trailing_text;
        if options.rewrites.is_none() {
            let texts = variables.0.get("DUMB_INIT_REWRITE").unwrap_or_default().split(|&byte| byte == b',');
            rewrites_with_trailing_text
                .extend(texts.filter(|text| Rewrite::has_trailing_text(text)).map(<[u8]>::to_vec));
        }
        let mut rewrites = RewriteTable::default();
        for rewrite in variables.several(options.rewrites, "DUMB_INIT_REWRITE")? {
            rewrites.set(rewrite);
        }
        let drain: Option<Limit> = variables.one(options.drain, "DUMB_INIT_DRAIN")?;
        let drain = drain.filter(|&drain| drain != Limit::After(Duration::ZERO));
        let linger = variables.one(options.linger, "DUMB_INIT_LINGER")?.unwrap_or(false);
        let kill_after: Option<Limit> = variables.one(options.kill_after, "DUMB_INIT_KILL_AFTER")?;
        let delays: Vec<Delay> = variables.several(options.delays, "DUMB_INIT_DELAY")?;
        let exit_rules: Vec<ExitRule> = variables.several(options.exit_rules, "DUMB_INIT_EXIT_MAP")?;
        let adopts = drain.is_some() || linger || forward == Forward::Tree;
        let subreaper = variables.one(options.subreaper, "DUMB_INIT_SUBREAPER")?.unwrap_or(theirs.subreaper);
        Ok(Self {
            verbosity: option
                .or(Some(by_variable).filter(|&said| said != Verbosity::Quiet))
                .or(theirs.verbosity)
                .unwrap_or(Verbosity::Quiet),
            settings: Settings {
                personality,
                names_orphans: options.names_orphans,
                forward,
                rewrites,
                drain,
                linger,
                kill_after: kill_after.unwrap_or(Limit::Never),
                delays: Delays::new(&delays),
                exit_map: ExitMap::new(exit_rules),
                keeps_terminal: false,
            },
            forward_source,
            rewrites_source,
            parent_death_signal: variables
                .one(options.parent_death_signal, "DUMB_INIT_PARENT_DEATH_SIGNAL")?,
            subreaper: if adopts { true } else { subreaper },
            notes: [
                (by_variable != Verbosity::Quiet, Message::DebugMode),
                (same_session && forward == Forward::Child, Message::NotSetsidMode),
            ]
            .into_iter()
            .filter_map(|(set, line)| set.then_some(line))
            .collect(),
            rewrites_with_trailing_text,
        })
    }
}

/// The variables that stand for options, apart from the others: the environment may be large, and most often has none of
/// them.
struct Variables(Environment);

impl Variables {
    /// A variable's value; an empty one is none.
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// What an option says, or else the variable, where it has a value.
    fn one<V: Value>(&self, option: Option<V>, name: &str) -> Result<Option<V>, Vec<u8>> {
        self.or(option, name, V::IS, V::parse)
    }

    fn several<V: Value>(&self, option: Option<Vec<V>>, name: &str) -> Result<Vec<V>, Vec<u8>> {
        self.or(option, name, V::IS, parse_list).map(Option::unwrap_or_default)
    }

    fn or<V>(
        &self,
        option: Option<V>,
        name: &str,
        is: &str,
        parse: impl Fn(&[u8]) -> Option<V>,
    ) -> Result<Option<V>, Vec<u8>> {
        if option.is_some() {
            return Ok(option);
        }
        self.value(name)
            .map(|value| parse(value).ok_or_else(|| refusal(&format!("variable {name}"), is, value)))
            .transpose()
    }
}

//! Which options are there?
//!
//! clap's table of them, from which the help is made and which `getopt` is told; and the texts that are printed.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};

use super::getopt::{Effect, Spec, Spelling, Value as Takes};

/// The option that is told as the source of a setting, in the spelling that people use.
pub(crate) const DASH_C: &str = "-c";
pub(super) const HELP: &str = "help";
pub(super) const SINGLE_CHILD: &str = "single-child";
pub(super) const REWRITE: &str = "rewrite";
pub(super) const VERBOSE: &str = "verbose";
pub(super) const VERSION: &str = "version";
pub(super) const FORWARD: &str = "forward";
pub(super) const DRAIN: &str = "drain";
pub(super) const LINGER: &str = "linger";
pub(super) const KILL_AFTER: &str = "kill-after";
pub(super) const DELAY: &str = "delay";
pub(super) const EXIT_MAP: &str = "exit-map";
pub(super) const PARENT_DEATH_SIGNAL: &str = "parent-death-signal";
pub(super) const SUBREAPER: &str = "subreaper";
pub(super) const SPLIT_STRING: &str = "split-string";
pub(super) const EXPLAIN: &str = "explain";
pub(super) const PID: &str = "pid";

/// The options of the original. Their order is that in which an ambiguous abbreviation lists them.
pub(super) const ORIGINAL: [&str; 5] = [HELP, SINGLE_CHILD, REWRITE, VERBOSE, VERSION];

/// Of several values the last one counts, where one is wanted; but each is read.
fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).value_name(value).help(help);
    arg.action(ArgAction::Append).value_parser(value_parser!(OsString)).next_line_help(true)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// The options that the original has.
pub(super) fn options_of_the_original() -> Command {
    Command::new("dumb-init")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .next_help_heading("Options of the original")
        .arg(flag(HELP, "Print this text and exit").short('h').display_order(4))
        .arg(
            flag(SINGLE_CHILD, "Signal COMMAND's process alone; start no session")
                .short('c')
                .display_order(1),
        )
        .arg(
            value(REWRITE, "s:r", "Forward signal s as r, or not at all where r is 0")
                .short('r')
                .display_order(2)
                .next_line_help(false),
        )
        .arg(
            flag(VERBOSE, "Say on stderr what is done; -vv: who sent what, too")
                .short('v')
                .display_order(3)
                .action(ArgAction::Count),
        )
        .arg(flag(VERSION, "Print the version and exit").short('V').display_order(5))
}

/// All options. The table of clap's that has them takes time to be made.
pub(super) fn all_options() -> Command {
    options_of_the_original()
        .next_help_heading("Shutdown")
        .arg(value(FORWARD, "WHOM", "Forward to the child, to its group, or to the tree: all descendants"))
        .arg(value(DRAIN, "DURATION", "When COMMAND exits, send SIGTERM to the remaining processes and wait"))
        .arg(flag(LINGER, "Go on after COMMAND's end until no descendant is left").next_line_help(true))
        .arg(value(
            KILL_AFTER,
            "DURATION",
            "Kill what is left so long after the first SIGTERM, SIGINT, SIGQUIT",
        ))
        .arg(value(DELAY, "SIGNAL:DURATION", "Hold this signal for so long before it is forwarded"))
        .arg(value(EXIT_MAP, "CODE[:NEW]", "Report NEW, or 0, in place of exit status CODE"))
        .next_help_heading("Start")
        .arg(value(PARENT_DEATH_SIGNAL, "SIGNAL", "Get this signal when the parent of dumb-init ends"))
        .arg(flag(SUBREAPER, "Adopt orphans although not PID 1").next_line_help(true))
        .arg(
            value(SPLIT_STRING, "WORDS", "Take one word apart, as in a #! line; must be the first option")
                .short('S'),
        )
        .next_help_heading("Diagnosis")
        .arg(
            value(EXPLAIN, "SIGNAL", "Say whom this signal, or SIGTERM, would reach, and with what effect")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("TERM"),
        )
        .arg(value(PID, "PID", "Explain this init, in place of PID 1"))
}

/// Does this word ask to explain?
pub(super) fn is_explain(word: &[u8]) -> bool {
    let name = word.split(|&byte| byte == b'=').next().and_then(|name| name.strip_prefix(b"--"));
    name == Some(EXPLAIN.as_bytes())
}

pub(super) fn specs(table: &Command) -> Vec<Spec<'_>> {
    table
        .get_arguments()
        .filter_map(|arg| {
            let long = arg.get_long()?;
            Some(Spec {
                long: Some(long),
                short: arg.get_short(),
                value: match arg.get_num_args() {
                    _ if !arg.get_action().takes_values() => Takes::None,
                    Some(range) if range.min_values() == 0 => Takes::Optional,
                    Some(_) | None => Takes::Required,
                },
                effect: if [HELP, VERSION].contains(&long) { Effect::AtOnce } else { Effect::AtTheEnd },
                spelling: if ORIGINAL.contains(&long) { Spelling::Abbreviated } else { Spelling::InFull },
            })
        })
        .collect()
}

pub(super) fn version() -> String {
    format!("dumb-init v{}\n", env!("CARGO_PKG_VERSION"))
}

pub(super) fn help(table: Command) -> String {
    let template = "\
{name} v{version}

Usage: {name} [OPTION]... COMMAND [ARGUMENT]...
       {name} --explain[=SIGNAL] [--pid PID]

Starts COMMAND in a session of its own, forwards every signal to its process
group, reaps whatever ends, and exits with COMMAND's status: 128 + n where
signal n ended it, 2 where it can't be executed.

Options end at the first word that is not an option, or at --.

{all-args}

DURATION: 10s, 500ms, 2m, 1h, forever; seconds where it has no unit.
SIGNAL: 15, TERM, SIGTERM, RTMIN+3, RTMAX-1.
WHOM: child, group, tree.

Variables (an option beats its variable; an empty one is none):
  DUMB_INIT_SETSID=0      The same as --single-child
  DUMB_INIT_DEBUG=1       The same as --verbose; 2: as if given twice
  DUMB_INIT_REWRITE=TERM:QUIT,HUP:0
  DUMB_INIT_FORWARD=tree  Beats DUMB_INIT_SETSID
  DUMB_INIT_DRAIN=10s
  DUMB_INIT_LINGER=1
  DUMB_INIT_KILL_AFTER=30s
  DUMB_INIT_DELAY=TERM:5s,INT:1s
  DUMB_INIT_EXIT_MAP=143,130:0
  DUMB_INIT_PARENT_DEATH_SIGNAL=TERM
  DUMB_INIT_SUBREAPER=1
";
    table.version(env!("CARGO_PKG_VERSION")).help_template(template).render_help().to_string()
}

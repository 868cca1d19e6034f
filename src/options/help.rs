//! The texts that options print, laid out by clap.

use std::ffi::CStr;

use clap::{Arg, Command};

use super::Invocation;
use super::personality::{Personality, last_part};
use super::table::{Row, Text};

/// Returns the text as the original of each name prints it, on the same stream.
pub(super) fn print(text: Text, init: Personality, rows: &[Row], program: &CStr) -> Invocation {
    let (text, to_stdout) = match text {
        Text::Help => (help(init, rows, program), init == Personality::Tini),
        Text::Version => (version(init).to_owned(), init != Personality::DumbInit),
        Text::License => (include_str!("../../LICENSE").to_owned(), true),
    };
    Invocation::Print { text, to_stdout }
}

/// The line that scripts and daemons parse: `docker info` shows it.
fn version(init: Personality) -> &'static str {
    match init {
        Personality::DumbInit => concat!("dumb-init v", env!("CARGO_PKG_VERSION"), "\n"),
        Personality::Tini => "tini version 0.19.0\n",
        Personality::Catatonit => "tini version 0.1.7_catatonit\n",
    }
}

const TEMPLATE: &str = "\
{name} v{version}

Usage: {name} [OPTION]... COMMAND [ARGUMENT]...
       {name} --explain[=SIGNAL] [--pid PID]

Start COMMAND in its own session, forward signals to its process group, reap
zombies, and exit with COMMAND's exit status: 128 + n if signal n killed it,
2 if it cannot be executed.

Options end at the first word that is not an option, or at --.

{all-args}

DURATION: 10s, 500ms, 2m, 1h or forever; seconds without a unit.
SIGNAL: 15, TERM, SIGTERM, RTMIN+3 or RTMAX-1.
An option overrides its variable. An empty variable counts as unset.
";

const TEMPLATE_OF_OTHERS: &str = "\
{name}: dumb-init {version}, called by the name of {about}

Usage: {name} [OPTION]... [--] PROGRAM [ARGUMENT]...

Start PROGRAM in its own process group, forward signals to it, reap zombies,
and exit with PROGRAM's exit status.

{all-args}{after-help}

The variables of dumb-init apply, too (DUMB_INIT_DRAIN=10s). dumb-init --help
lists them.
";

fn help(init: Personality, rows: &[Row], program: &CStr) -> String {
    let name = String::from_utf8_lossy(last_part(program.to_bytes())).into_owned();
    let others = |command: Command| command.display_name(name).help_template(TEMPLATE_OF_OTHERS);
    let command = Command::new("dumb-init").version(env!("CARGO_PKG_VERSION"));
    let command = command.disable_help_flag(true).disable_version_flag(true).next_line_help(true);
    let command = match init {
        Personality::DumbInit => command.help_template(TEMPLATE),
        Personality::Tini => others(command).about("tini 0.19.0"),
        Personality::Catatonit => {
            others(command).about("catatonit 0.1.7").after_help("CATATONIT_DEBUG: log actions")
        }
    };
    command.args(rows.iter().filter(|row| !row.name().is_empty()).map(arg)).render_help().to_string()
}

fn arg(row: &Row) -> Arg {
    let variable = row.variable.map(|variable| format!("\nVariable: {variable}")).unwrap_or_default();
    let arg = Arg::new(row.name()).help(format!("{}{variable}", row.help)).help_heading(row.heading);
    let arg = match row.value_name {
        None => arg.num_args(0),
        Some(name) if row.implied_value.is_some() => {
            arg.value_name(name).num_args(0..=1).require_equals(true)
        }
        Some(name) => arg.value_name(name),
    };
    let arg = arg.short(row.short.and_then(|short| short.chars().last()));
    arg.long(row.long.map(|long| long.trim_start_matches('-')))
}

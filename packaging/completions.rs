//! Writes the completions of bash, zsh and fish to a directory, from the table of options.
//!
//!     cargo run --example completions -- DIRECTORY
//!
//! clap_complete is not used: its completions do not know that options end at the command, and bash's
//! cannot complete the command by its own rules.

#![allow(clippy::expect_used)] // A tool of the packages.

use std::fmt::Write as _;
use std::path::Path;

use dumb_init::options::table::{DUMB_INIT, Row};

const SIGNALS: &str = "TERM INT QUIT HUP USR1 USR2 WINCH";

fn main() {
    let directory = std::env::args_os().nth(1).expect("completions DIRECTORY");
    for (name, text) in [("dumb-init", bash()), ("_dumb-init", zsh()), ("dumb-init.fish", fish())] {
        std::fs::write(Path::new(&directory).join(name), text).expect("a directory that can be written");
    }
}

/// The kind of a value, by its name in the help.
enum Value {
    Word(String),
    File,
    Program,
    Process,
    Other,
}

fn value(row: &Row) -> Value {
    match row.value_name.unwrap_or_default() {
        "FILE" => Value::File,
        "HOOK" | "HELPER" => Value::Program,
        "PID" => Value::Process,
        "SIGNAL" => Value::Word(SIGNALS.to_owned()),
        "child|group|tree" => Value::Word("child group tree".to_owned()),
        _ => Value::Other,
    }
}

fn names(row: &Row) -> Vec<&'static str> {
    [row.short, row.long].into_iter().flatten().collect()
}

/// Whether the next word is the value. An optional value needs a `=`.
fn takes_next_word(row: &Row) -> bool {
    row.value_name.is_some() && row.implied_value.is_none()
}

/// The help on one line.
fn help(row: &Row) -> String {
    row.help.replace('\n', " ")
}

/// The names of options that take the next word.
fn taking_next_word() -> Vec<&'static str> {
    DUMB_INIT.iter().filter(|row| takes_next_word(row)).flat_map(names).collect()
}

/// The completion of bash, which splits words at each `=` and `:`.
pub(crate) fn bash() -> String {
    let mut values = String::new();
    for row in DUMB_INIT.iter().filter(|row| row.value_name.is_some()) {
        let words = match value(row) {
            Value::Word(words) => format!("-W '{words}'"),
            Value::File => "-f".to_owned(),
            Value::Program => "-c".to_owned(),
            Value::Process => "-W \"$(ps -A -o pid= 2>/dev/null)\"".to_owned(),
            Value::Other => continue,
        };
        let names = names(row).join(" | ");
        writeln!(values, "        {names}) mapfile -t COMPREPLY < <(compgen {words} -- \"$word\") ;;")
            .expect("a text");
    }
    let all: Vec<&str> = DUMB_INIT.iter().flat_map(names).collect();
    let optional: Vec<&str> = DUMB_INIT
        .iter()
        .filter(|row| row.value_name.is_some() && !takes_next_word(row))
        .flat_map(names)
        .collect();
    BASH.replace("VALUES\n", &values)
        .replace("ALL", &all.join(" "))
        .replace("OPTIONAL", &optional.join(" | "))
        .replace("TAKING", &taking_next_word().join(" | "))
}

const BASH: &str = r#"# bash completion for dumb-init. Made from its table of options.
_dumb_init() {
    local word=${COMP_WORDS[COMP_CWORD]} index=1 option='' ended=''
    COMPREPLY=()
    [[ $word != = ]] || word=''
    # The command begins at the first word that is neither an option nor a value.
    while ((index < COMP_CWORD)); do
        option=''
        case ${COMP_WORDS[index]} in
        --) ended=1 ;;
        TAKING | OPTIONAL)
            option=${COMP_WORDS[index]}
            if [[ ${COMP_WORDS[index + 1]} == = ]]; then
                ((index += 1))
                ((index == COMP_CWORD)) || ((index += 1))
            else
                case $option in
                OPTIONAL) option='' ;;
                *) ((index += 1)) ;;
                esac
            fi
            ;;
        -?*) option=- ;;
        *) break ;;
        esac
        while [[ ${COMP_WORDS[index + 1]} == : ]]; do
            ((index += 2))
        done
        # If not, its value is being completed.
        ((index < COMP_CWORD)) || break
        option=''
        ((index += 1))
        [[ -z $ended ]] || break
    done
    if [[ -n $option ]]; then
        case $option in
VALUES
        esac
    elif ((index == COMP_CWORD)) && [[ -z $ended && $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'ALL' -- "$word")
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$index"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$index"
    elif ((index == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
    fi
}
complete -o bashdefault -o default -F _dumb_init dumb-init
"#;

/// The completion of zsh.
pub(crate) fn zsh() -> String {
    let mut specs = String::new();
    for row in DUMB_INIT {
        let text = help(row).replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]");
        let argument = row.value_name.map(|name| {
            let action = match value(row) {
                Value::Word(words) => format!("({words})"),
                Value::File => "_files".to_owned(),
                Value::Program => "_command_names -e".to_owned(),
                Value::Process => "_pids".to_owned(),
                Value::Other => " ".to_owned(),
            };
            let optional = if takes_next_word(row) { "" } else { ":" };
            format!("{optional}:{}:{action}", name.replace(':', "\\:"))
        });
        let argument = argument.unwrap_or_default();
        for name in names(row) {
            let separator = match (row.value_name, takes_next_word(row), name.starts_with("--")) {
                (None, ..) => "",
                (Some(_), true, true) => "=",
                (Some(_), true, false) => "+",
                (Some(_), false, _) => "=-",
            };
            writeln!(specs, "    '*{name}{separator}[{text}]{argument}' \\").expect("a text");
        }
    }
    format!(
        "#compdef dumb-init\n\
         # zsh completion for dumb-init. Made from its table of options.\n\
         # Options end at the command.\n\
         _arguments -s -S -A '-*' \\\n{specs}    '(-)1:command: _command_names -e' \\\n    '*:: : _normal'\n"
    )
}

/// The completion of fish.
pub(crate) fn fish() -> String {
    let taking = taking_next_word().join(" ");
    let mut text = FISH.replace("TAKING", &taking);
    for row in DUMB_INIT {
        let mut line = "complete -c dumb-init -n __dumb_init_has_no_command".to_owned();
        for name in names(row) {
            let kind = if name.starts_with("--") { "-l" } else { "-s" };
            write!(line, " {kind} {}", name.trim_start_matches('-')).expect("a text");
        }
        if takes_next_word(row) {
            let argument = match value(row) {
                Value::Word(words) => format!(" -x -a '{words}'"),
                Value::File => " -r -F".to_owned(),
                Value::Program => " -x -a '(__fish_complete_command)'".to_owned(),
                Value::Process => " -x -a '(__fish_complete_pids)'".to_owned(),
                Value::Other => " -x".to_owned(),
            };
            line.push_str(&argument);
        }
        let help = help(row).replace('\\', "\\\\").replace('\'', "\\'");
        writeln!(text, "{line} -d '{help}'").expect("a text");
    }
    writeln!(text, "complete -c dumb-init -x -a '(__fish_complete_subcommand -- {taking})'").expect("a text");
    text
}

const FISH: &str = r"# fish completion for dumb-init. Made from its table of options.
function __dumb_init_has_no_command
    set -l words (commandline -opc)
    set -l index 2
    while test $index -le (count $words)
        switch $words[$index]
            case --
                return 1
            case TAKING
                set index (math $index + 1)
            case '-?*'
            case '*'
                return 1
        end
        set index (math $index + 1)
    end
end
";

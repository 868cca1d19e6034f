//! Recognises inits and shells. Reads the settings of a running init from its command line and environment.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use crate::options::environment::Environment;
use crate::options::personality::{Personality, last_part};
use crate::options::settings::Config;
use crate::options::{self, Invocation};
use crate::process::{self, Process};
use crate::sys::arguments::Arg;
use crate::sys::procfs::{self, Path};

/// Rules by which a program forwards signals.
pub(super) enum Role {
    /// An init that runs a command.
    Init(Box<Init>),
    /// An init without a command.
    Pausing,
    Shell,
    /// Any other program. It may forward signals.
    Program,
}

pub(super) struct Init {
    pub(super) config: Config,
    pub(super) command: Vec<Arg>,
    pub(super) edition: Edition,
    /// Whether it may have variables that we cannot read.
    pub(super) hides_variables: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    Ours,
    /// The original dumb-init.
    Original,
    /// The real tini or catatonit.
    Peer,
}

const SHELLS: [&[u8]; 8] = [b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh", b"rbash"];

impl Role {
    pub(super) fn read(process: &Process) -> Self {
        let words = command_line(process.pid);
        let program = program(process.pid, &words);
        let init = match Personality::by_name(&program) {
            _ if process::is_nested_init(process) || program == b"dumb-init" => {
                let name = words.first().copied().unwrap_or_default();
                let edition = if is_original(process.pid) { Edition::Original } else { Edition::Ours };
                Self::read_init(process, &words, Personality::by_name(name.to_bytes()), edition)
            }
            Personality::DumbInit if SHELLS.contains(&&*program) => Some(Self::Shell),
            Personality::DumbInit => None,
            peer => Self::read_init(process, &words, peer, Edition::Peer),
        };
        init.unwrap_or(Self::Program)
    }

    /// Reads the settings with the code that reads our own at the start. `None` if that fails.
    fn read_init(process: &Process, words: &[Arg], init: Personality, edition: Edition) -> Option<Self> {
        let entries = words_of(process.pid, "environ");
        let hides_variables = entries.is_none();
        let mut entries = entries.unwrap_or_default();
        let begins = |entry: &Arg, prefix: &[u8]| entry.to_bytes().starts_with(prefix);
        entries.retain(|entry| match edition {
            Edition::Ours => true,
            Edition::Original => begins(entry, b"DUMB_INIT_SETSID="),
            Edition::Peer => !begins(entry, b"DUMB_INIT_"),
        });
        let environment = Environment::new(entries);
        let (mut config, command) = match options::parse_as(init, words, &environment).ok()? {
            Invocation::Run(config, command) => (config, command),
            Invocation::Pause(_) => return Some(Self::Pausing),
            Invocation::Explain(_) | Invocation::Print { .. } => return None,
        };
        // The field `tty_nr` in /proc/PID/stat: an init gives its terminal up unless it keeps it for a drain.
        let has_terminal = process.session == process.pid && stat_field(process.pid, 7) != Some(0);
        config.settings.keeps_terminal = config.settings.may_outlive_command() && has_terminal;
        Some(Self::Init(Box::new(Init { config, command, edition, hides_variables })))
    }
}

/// Whether a dumb-init is the original: its file does not contain the name of a variable of ours.
fn is_original(pid: Pid) -> bool {
    let Some(file) = Path::of(pid, "exe") else { return false };
    let is_our_file =
        procfs::file_id(&file).is_some_and(|file| Some(file) == procfs::file_id(c"/proc/self/exe"));
    !is_our_file && procfs::contains(&file, b"DUMB_INIT_DRAIN") == Some(false)
}

/// The name of the file that a process runs, or if it is hidden or is busybox, of its first argument.
fn program(pid: Pid, words: &[Arg]) -> Vec<u8> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let file = last_part(file.as_os_str().as_bytes());
    if !file.is_empty() && !file.starts_with(b"busybox") {
        return file.strip_suffix(b" (deleted)").unwrap_or(file).to_owned();
    }
    let mut names = words.iter().map(|word| last_part(word.to_bytes()));
    let name = names.find(|name| !name.starts_with(b"busybox")).unwrap_or_default();
    // A login shell has a dash in front.
    name.strip_prefix(b"-").unwrap_or(name).to_owned()
}

/// A number in /proc/PID/stat, by the field's number in proc_pid_stat(5). The second field is the name.
pub(super) fn stat_field(pid: Pid, number: usize) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(text.get(end..)?).ok()?.split_ascii_whitespace();
    fields.nth(number.checked_sub(2)?)?.parse().ok()
}

/// The strings in a file of /proc/PID that each end with a zero byte. `None` if it cannot be read.
/// They live as long as the program, as its own arguments do.
fn words_of(pid: Pid, file: &str) -> Option<Vec<Arg>> {
    let text = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    let words = text.strip_suffix(&[0]).unwrap_or(&text).split(|&byte| byte == 0);
    let words = words.filter_map(|word| CString::new(word).ok());
    Some(words.map(|word| &*Box::leak(word.into_boxed_c_str())).collect())
}

/// The command line. Empty for a zombie, or if the process has overwritten it with nothing.
pub(super) fn command_line(pid: Pid) -> Vec<Arg> {
    let words = words_of(pid, "cmdline").unwrap_or_default();
    if words.iter().all(|word| word.is_empty()) { Vec::new() } else { words }
}

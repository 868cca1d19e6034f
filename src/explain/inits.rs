//! Which program is this init, and by which rules does it forward signals?
//!
//! Of ours the configuration is read back, by the code that has read it when the init started. Of others what is known of
//! their kind is applied; of most programs nothing is.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use super::read;
use crate::log::escape::Escaped;
use crate::options::config::{Config, Source};
use crate::options::environment::Environment;
use crate::options::forward::Forward;
use crate::options::personality::{Personality, last_part};
use crate::options::table::DUMB_INIT;
use crate::options::{self, Invocation, UsageError};
use crate::process::{self, Process};
use crate::signal::Signum;
use crate::sys::arguments::Arg;
use crate::sys::procfs::{self, Path};

/// By which rules a program forwards signals.
pub(crate) enum Rules {
    /// It is an init of ours.
    Ours(Box<Ours>),
    /// It is one of ours whose configuration can't be read, for this reason.
    Unreadable(String),
    /// It is another init of which the rules are known.
    Known(Known),
    /// It is an init without a command: it forwards nothing, and SIGTERM and SIGINT end it.
    Pausing,
    /// It is a shell: it forwards nothing.
    Shell,
    /// It may be anything.
    Unknown,
}

/// An init of ours, and how it was started.
pub(crate) struct Ours {
    pub(crate) config: Config,
    pub(crate) command: Vec<Arg>,
    pub(crate) edition: Edition,
    /// Could the variables be read?
    pub(crate) variables: Variables,
    /// An option of ours that stands behind the command, which it is handed to.
    pub(crate) misplaced: Option<Arg>,
    pub(crate) has_dashes: bool,
}

/// Which program of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    Ours,
    /// It has its name and no option beyond its.
    Original,
    /// Its file can't be read.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    Known,
    /// It runs as another user.
    Hidden,
}

/// Another init, which ends with its child.
pub(crate) struct Known {
    pub(crate) forward: Forward,
    pub(crate) variables: Variables,
    kind: Personality,
}

impl Known {
    /// Reads its command line as we do where we are called by its name. `None` where it runs no command.
    fn of(pid: Pid, kind: Personality) -> Option<Self> {
        let words = command_line(pid).unwrap_or_default();
        let (entries, variables) = match words_of_environment(pid) {
            Some(entries) => (entries, Variables::Known),
            None => (Vec::new(), Variables::Hidden),
        };
        // They do not know our variables.
        let is_theirs = |entry: &Arg| !entry.to_bytes().starts_with(b"DUMB_INIT_");
        let environment = Environment::new(entries.into_iter().filter(is_theirs).collect());
        let forward = match options::parse_as(kind, &words, &environment) {
            Ok(Invocation::Run(config, _)) => {
                Some(config.settings.forward).filter(|_| config.forward_source != Source::Default)
            }
            Ok(Invocation::Pause(_)) => return None,
            Ok(Invocation::Explain(_) | Invocation::Print { .. }) | Err(_) => None,
        };
        // Only tini has variables that matter, and only for what its command line doesn't say.
        let is_open = kind == Personality::Tini && forward.is_none();
        Some(Self {
            forward: forward.unwrap_or(kind.default_forward()),
            variables: if is_open { variables } else { Variables::Known },
            kind,
        })
    }

    /// Does it forward this signal? Each was looked up in what the running program waits for (tini 0.19.0, catatonit 0.1.7).
    pub(crate) fn forwards(&self, signum: Signum) -> bool {
        let is_of_an_error = matches!(
            signum.raw(),
            libc::SIGILL | libc::SIGABRT | libc::SIGBUS | libc::SIGFPE | libc::SIGSEGV | libc::SIGSYS
        );
        signum.can_be_forwarded()
            && !signum.is_nameless()
            && signum != Signum::TRAP
            && !is_of_an_error
            && !self.kind.dropped_signals().contains(&signum)
    }
}

/// The names of shells.
const SHELLS: [&[u8]; 8] = [b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh", b"rbash"];

impl Rules {
    /// Finds out.
    pub(crate) fn of(process: &Process) -> Self {
        let pid = process.pid;
        let is_hidden = || {
            Path::of(pid, "exe").is_some_and(|exe| procfs::link_target(&exe, &mut [0; 8]).is_err())
                && command_line(pid).is_some_and(|words| {
                    words.first().is_some_and(|word| last_part(word.to_bytes()) == b"dumb-init")
                })
        };
        if process::is_nested_init(process) || is_hidden() {
            return Self::of_ours(pid);
        }
        let name = program(pid);
        match Personality::by_name(&name) {
            kind @ (Personality::Tini | Personality::Catatonit) => {
                Known::of(pid, kind).map_or(Self::Pausing, Self::Known)
            }
            Personality::DumbInit if SHELLS.contains(&name.as_slice()) => Self::Shell,
            Personality::DumbInit => Self::Unknown,
        }
    }

    fn of_ours(pid: Pid) -> Self {
        let Some(words) = command_line(pid) else {
            return Self::Unreadable("its command line is gone".into());
        };
        let edition = edition(pid);
        let (entries, variables) = match words_of_environment(pid) {
            Some(entries) => (entries, Variables::Known),
            None => (Vec::new(), Variables::Hidden),
        };
        let environment = Environment::new(match edition {
            Edition::Ours | Edition::Unknown => entries,
            Edition::Original => entries.into_iter().filter(is_of_the_original).collect(),
        });
        let unreadable = |text: &[u8]| Self::Unreadable(one_line_of(text));
        match options::parse(&words, &environment) {
            Ok(Invocation::Run(config, command)) => {
                let before = words.len().saturating_sub(command.len());
                let has_dashes =
                    words.get(before.saturating_sub(1)).is_some_and(|word| word.to_bytes() == b"--");
                Self::Ours(Box::new(Ours {
                    config,
                    misplaced: misplaced(&command),
                    command,
                    edition,
                    variables,
                    has_dashes,
                }))
            }
            Ok(Invocation::Pause(_)) => Self::Pausing,
            Ok(Invocation::Explain(_) | Invocation::Print { .. }) => unreadable(b"it runs no command"),
            Err(UsageError(text)) => unreadable(&text),
        }
    }
}

/// An error message, which may have several lines and words of others.
fn one_line_of(text: &[u8]) -> String {
    let lines = text.trim_ascii().split(|&byte| byte == b'\n').map(|line| Escaped(line).to_string());
    lines.collect::<Vec<_>>().join(" ")
}

/// A word of the command that may have been meant for us; but not where it is for another one of us.
fn misplaced(command: &[Arg]) -> Option<Arg> {
    let name = last_part(command.first()?.to_bytes());
    let mut words = command.iter().skip(1).copied();
    let is_own =
        |word: &Arg| DUMB_INIT.iter().any(|row| row.is_own_setting() && row.is_spelled(word.to_bytes()));
    words.find(|word| name != b"dumb-init" && is_own(word))
}

fn is_of_the_original(entry: &Arg) -> bool {
    let entry = entry.to_bytes();
    entry.starts_with(b"DUMB_INIT_SETSID=") || entry.starts_with(b"DUMB_INIT_DEBUG=1")
}

/// Text that no file of the original contains, nor that of any other init.
const VARIABLE: &[u8] = b"DUMB_INIT_DRAIN";

/// The largest file, in bytes, that is searched for it. A build for debugging has some 30 MiB.
const LARGEST_INIT: u64 = 64 << 20;

/// Which edition it is, by what its file has in it.
fn edition(pid: Pid) -> Edition {
    let Some(exe) = Path::of(pid, "exe") else { return Edition::Unknown };
    if procfs::file_behind(&exe).is_some_and(|file| Some(file) == procfs::our_file()) {
        return Edition::Ours;
    }
    // A large file of this name is another program, and would take long to read.
    let is_small = |file: fs::Metadata| file.is_file() && file.len() <= LARGEST_INIT;
    if !fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(is_small) {
        return Edition::Unknown;
    }
    match procfs::contains(&exe, VARIABLE) {
        Some(true) => Edition::Ours,
        Some(false) => Edition::Original,
        None => Edition::Unknown,
    }
}

/// What the program that a process runs is called: the file's name, or where that is hidden, the first word of its command
/// line; that also for busybox, which is many programs.
fn program(pid: Pid) -> Vec<u8> {
    let last = |path: &[u8]| last_part(path).to_owned();
    let file = fs::read_link(format!("/proc/{pid}/exe")).map(|path| last(path.as_os_str().as_bytes()));
    match file {
        Ok(file) if !file.starts_with(b"busybox") => {
            file.strip_suffix(b" (deleted)").unwrap_or(&file).to_owned()
        }
        Ok(_) | Err(_) => {
            let words = command_line(pid).unwrap_or_default();
            let mut words = words.iter().map(|word| last(word.to_bytes()));
            let first = words.next().unwrap_or_default();
            let first = if first.starts_with(b"busybox") { words.next().unwrap_or_default() } else { first };
            // A login shell.
            first.strip_prefix(b"-").unwrap_or(&first).to_owned()
        }
    }
}

/// What the kernel calls a process that has no command line: a zombie, or one that has none.
pub(crate) fn name(pid: Pid) -> Vec<Arg> {
    let name = read(&format!("/proc/{pid}/comm")).unwrap_or_default();
    leak(name.strip_suffix(b"\n").unwrap_or(&name)).into_iter().collect()
}

/// The words of a file of /proc that has a zero byte behind each. `None` where it can't be read, or is empty.
fn words(pid: Pid, file: &str) -> Option<Vec<Arg>> {
    let text = read(&format!("/proc/{pid}/{file}")).filter(|text| !text.is_empty())?;
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    Some(text.split(|&byte| byte == 0).filter_map(leak).collect())
}

/// The command line. `None` where there is none, or it was overwritten with nothing.
pub(crate) fn command_line(pid: Pid) -> Option<Vec<Arg>> {
    words(pid, "cmdline").filter(|words| words.iter().any(|word| !word.is_empty()))
}

/// It lives as long as the program, as all words of a command line do. None has a zero byte in it.
fn leak(word: &[u8]) -> Option<Arg> {
    CString::new(word).ok().map(|word| &*Box::leak(word.into_boxed_c_str()))
}

/// As [`words`], but an environment may well be empty.
fn words_of_environment(pid: Pid) -> Option<Vec<Arg>> {
    words(pid, "environ").or_else(|| read(&format!("/proc/{pid}/environ")).map(|_| Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_another_init_is_one_harmless_line() {
        assert_eq!(one_line_of(b"a: b\nc \xe2\x80\xae\xff\n"), "a: b c \\u{202e}\\xff");
    }
}

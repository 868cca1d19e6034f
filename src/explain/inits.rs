//! Which program is this init, and by which rules does it forward signals?
//!
//! Of ours the configuration is read back, by the code that has read it when the init started. Of others what is known of
//! their kind is applied; of most programs nothing is.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::Pid;

use crate::cli::{self, Invocation, UsageError};
use crate::config::Config;
use crate::environment::Environment;
use crate::policy::Forward;
use crate::process;
use crate::signal::Signum;
use crate::sys::arguments::Word;
use crate::sys::procfs::{self, Path};

/// By which rules a program forwards signals.
pub(crate) enum Rules {
    /// It is an init of ours.
    Ours(Box<Ours>),
    /// It is one of ours whose configuration can't be read, for this reason.
    Unreadable(String),
    /// It is another init of which the rules are known.
    Known(Known),
    /// It is a shell: it forwards nothing.
    Shell,
    /// It may be anything.
    Unknown,
}

/// An init of ours, and how it was started.
pub(crate) struct Ours {
    pub(crate) config: Config,
    pub(crate) command: Vec<Word>,
    pub(crate) edition: Edition,
    /// Could the variables be read?
    pub(crate) variables: Variables,
    /// An option of ours that stands behind the command, which it is handed to.
    pub(crate) misplaced: Option<Word>,
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
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tini,
    Catatonit,
}

impl Known {
    /// Does it forward this signal? Each was looked up in what the running program waits for (tini 0.19.0, catatonit 0.1.7).
    pub(crate) fn forwards(&self, signum: Signum) -> bool {
        let is_of_an_error = matches!(
            signum.raw(),
            libc::SIGILL | libc::SIGABRT | libc::SIGBUS | libc::SIGFPE | libc::SIGSEGV | libc::SIGSYS
        );
        let stops = matches!(signum, Signum::TTIN | Signum::TTOU);
        signum.can_be_forwarded()
            && !signum.is_nameless()
            && signum != Signum::TRAP
            && !is_of_an_error
            && !(stops && self.kind == Kind::Tini)
    }
}

/// The names of shells.
const SHELLS: [&[u8]; 8] = [b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh", b"rbash"];

impl Rules {
    /// Finds out.
    pub(crate) fn of(pid: Pid) -> Self {
        if process::is_an_init(pid) {
            return Self::of_ours(pid);
        }
        match program(pid).as_slice() {
            // A daemon's init can be replaced by ours, under the name that the daemon knows.
            b"tini" | b"tini-static" | b"docker-init" | b"catatonit" if edition(pid) == Edition::Ours => {
                Self::of_ours(pid)
            }
            b"tini" | b"tini-static" | b"docker-init" => {
                let (forward, variables) = forward_of_tini(pid);
                Self::Known(Known { forward, variables, kind: Kind::Tini })
            }
            b"catatonit" => Self::Known(Known {
                forward: forward_by_letter(pid, &[]),
                variables: Variables::Known,
                kind: Kind::Catatonit,
            }),
            name if SHELLS.contains(&name) => Self::Shell,
            _ => Self::Unknown,
        }
    }

    fn of_ours(pid: Pid) -> Self {
        let Some(words) = command_line(pid) else { return Self::Unreadable("its command line is gone".into()) };
        let edition = edition(pid);
        let (entries, variables) = match words_of_environment(pid) {
            Some(entries) => (entries, Variables::Known),
            None => (Vec::new(), Variables::Hidden),
        };
        let environment = Environment::new(match edition {
            Edition::Ours | Edition::Unknown => entries,
            Edition::Original => entries.into_iter().filter(is_of_the_original).collect(),
        });
        let unreadable = |text: &[u8]| Self::Unreadable(String::from_utf8_lossy(text).trim().to_owned());
        match cli::parse(&words, |name| environment.get(name)) {
            Ok(Invocation::Run(options, command)) => {
                let before = words.len().saturating_sub(command.len());
                let has_dashes = words.get(before.saturating_sub(1)).is_some_and(|word| word.to_bytes() == b"--");
                match Config::new(options, &environment) {
                    Ok(config) => Self::Ours(Box::new(Ours {
                        config,
                        misplaced: misplaced(&command),
                        command,
                        edition,
                        variables,
                        has_dashes,
                    })),
                    Err(text) => unreadable(&text),
                }
            }
            Ok(Invocation::Explain(_) | Invocation::Print(_)) => unreadable(b"it runs no command"),
            Err(UsageError(text)) => unreadable(&text),
        }
    }
}

/// A word of the command that may have been meant for us; but not where it is for another one of us.
fn misplaced(command: &[Word]) -> Option<Word> {
    let name = command.first()?.to_bytes().rsplit(|&byte| byte == b'/').next()?;
    let mut words = command.iter().skip(1).copied();
    words.find(|word| name != b"dumb-init" && cli::is_setting_beyond(word.to_bytes()))
}

fn is_of_the_original(entry: &Word) -> bool {
    let entry = entry.to_bytes();
    entry.starts_with(b"DUMB_INIT_SETSID=") || entry.starts_with(b"DUMB_INIT_DEBUG=1")
}

/// What the original's file hasn't in it.
const VARIABLE: &[u8] = b"DUMB_INIT_DRAIN";

/// Which edition it is, by what its file has in it.
fn edition(pid: Pid) -> Edition {
    let is_our_file = Path::of(pid, "exe").is_some_and(|exe| procfs::file_behind(&exe) == procfs::our_file());
    if is_our_file {
        return Edition::Ours;
    }
    match fs::read(format!("/proc/{pid}/exe")) {
        Ok(file) if file.windows(VARIABLE.len()).any(|part| part == VARIABLE) => Edition::Ours,
        Ok(_) => Edition::Original,
        Err(_) => Edition::Unknown,
    }
}

/// What the program that a process runs is called: the file's name, or where that is hidden, the first word of its command
/// line; that also for busybox, which is many programs.
fn program(pid: Pid) -> Vec<u8> {
    let last = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_owned();
    let file = fs::read_link(format!("/proc/{pid}/exe")).map(|path| last(path.as_os_str().as_bytes()));
    match file {
        Ok(file) if !file.starts_with(b"busybox") => file.strip_suffix(b" (deleted)").unwrap_or(&file).to_owned(),
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

fn forward_of_tini(pid: Pid) -> (Forward, Variables) {
    let is_it = |entry: &Word| entry.to_bytes().starts_with(b"TINI_KILL_PROCESS_GROUP=");
    match (forward_by_letter(pid, b"pe"), words_of_environment(pid)) {
        (Forward::Group | Forward::Tree, _) => (Forward::Group, Variables::Known),
        (Forward::Child, Some(entries)) if entries.iter().any(is_it) => (Forward::Group, Variables::Known),
        (Forward::Child, Some(_)) => (Forward::Child, Variables::Known),
        (Forward::Child, None) => (Forward::Child, Variables::Hidden),
    }
}

/// Is there a `-g` among the options? These letters have a value, as getopt(3) reads it.
fn forward_by_letter(pid: Pid, with_value: &[u8]) -> Forward {
    let words = command_line(pid).unwrap_or_default();
    let mut words = words.iter().skip(1).map(|word| word.to_bytes());
    while let Some([b'-', letters @ ..]) = words.next() {
        if letters.is_empty() || letters.starts_with(b"-") {
            break;
        }
        for (index, letter) in letters.iter().enumerate() {
            if *letter == b'g' {
                return Forward::Group;
            }
            if with_value.contains(letter) {
                if letters.len() == index.saturating_add(1) {
                    words.next();
                }
                break;
            }
        }
    }
    Forward::Child
}

/// What the kernel calls a process that has no command line: a zombie, or one that has none.
pub(crate) fn name(pid: Pid) -> Vec<Word> {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    leak(name.strip_suffix(b"\n").unwrap_or(&name)).into_iter().collect()
}

/// The words of a file of /proc that has a zero byte behind each. `None` where it can't be read, or is empty.
fn words(pid: Pid, file: &str) -> Option<Vec<Word>> {
    let text = fs::read(format!("/proc/{pid}/{file}")).ok().filter(|text| !text.is_empty())?;
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    Some(text.split(|&byte| byte == 0).filter_map(leak).collect())
}

/// The command line. `None` where there is none, or it was overwritten with nothing.
pub(crate) fn command_line(pid: Pid) -> Option<Vec<Word>> {
    words(pid, "cmdline").filter(|words| words.iter().any(|word| !word.is_empty()))
}

/// It lives as long as the program, as all words of a command line do. None has a zero byte in it.
fn leak(word: &[u8]) -> Option<Word> {
    CString::new(word).ok().map(|word| &*Box::leak(word.into_boxed_c_str()))
}

/// As [`words`], but an environment may well be empty.
fn words_of_environment(pid: Pid) -> Option<Vec<Word>> {
    words(pid, "environ").or_else(|| fs::read(format!("/proc/{pid}/environ")).is_ok().then(Vec::new))
}

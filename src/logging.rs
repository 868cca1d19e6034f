//! What does it say while it runs, and how does that reach stderr?
//!
//! Every line there is stands in [`Line`], so that its wording, which people grep for, is in one place. A line is one
//! write(2), and a write that fails changes nothing else: no panic, no loop, no other exit status. Nothing in
//! the command's environment has a say in it: RUST_LOG is the command's.

use std::ffi::CStr;
use std::fmt::{self, Write as _};
use std::io;

use env_logger::Target;
use log::{Level, LevelFilter};
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::signal::Signum;
use crate::status::ExitStatus;
use crate::strerror::Strerror;
use crate::sys::fds::write_to_stderr;

const PREFIX: &str = "[dumb-init] ";

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Only why something could not be done.
    Quiet,
    /// Also what is done: `-v`, `DUMB_INIT_DEBUG=1`.
    Debug,
}

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    DebugMode,
    NotSetsidMode,
    NotDetached(Errno),
    DetachedAsLeader,
    DetachedAsMember,
    Spawned(Pid),
    NotAttached(Errno),
    SetsidComplete,
    Received(Signum),
    HandOffIgnored(Signum),
    Translating { from: Signum, to: Option<Signum> },
    Forwarded(Signum),
    NotForwarded,
    Suspending,
    ChildEnded { pid: Pid, status: ExitStatus },
    Goodbye(ExitStatus),
    NoChdir(Errno),
    NoFork,
    NoSetsid(Errno),
    NotDelivered { signum: Signum, pid: Pid, errno: Errno },
}

impl Line {
    fn level(self) -> Level {
        match self {
            Self::NoFork | Self::NoSetsid(_) => Level::Error,
            Self::NotDelivered { .. } => Level::Warn,
            Self::DebugMode
            | Self::NotSetsidMode
            | Self::NotDetached(_)
            | Self::DetachedAsLeader
            | Self::DetachedAsMember
            | Self::Spawned(_)
            | Self::NotAttached(_)
            | Self::SetsidComplete
            | Self::Received(_)
            | Self::HandOffIgnored(_)
            | Self::Translating { .. }
            | Self::Forwarded(_)
            | Self::NotForwarded
            | Self::Suspending
            | Self::ChildEnded { .. }
            | Self::Goodbye(_)
            | Self::NoChdir(_) => Level::Debug,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DebugMode => out.write_str("Running in debug mode."),
            Self::NotSetsidMode => out.write_str("Not running in setsid mode."),
            Self::NotDetached(errno) => {
                write!(out, "Unable to detach from controlling tty ({}).", Numbered(errno))
            }
            Self::DetachedAsLeader => {
                out.write_str("Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.")
            }
            Self::DetachedAsMember => out.write_str("Detached from controlling tty, but was not session leader."),
            Self::Spawned(pid) => write!(out, "Child spawned with PID {pid}."),
            Self::NotAttached(errno) => write!(out, "Unable to attach to controlling tty ({}).", Numbered(errno)),
            Self::SetsidComplete => out.write_str("setsid complete."),
            Self::Received(signum) => write!(out, "Received signal {signum}."),
            Self::HandOffIgnored(signum) => write!(out, "Ignoring tty hand-off signal {signum}."),
            Self::Translating { from, to: Some(to) } => write!(out, "Translating signal {from} to {to}."),
            Self::Translating { from, to: None } => write!(out, "Translating signal {from} to 0."),
            Self::Forwarded(signum) => write!(out, "Forwarded signal {signum} to children."),
            Self::NotForwarded => out.write_str("Not forwarding signal 0 to children (ignored)."),
            Self::Suspending => out.write_str("Suspending self due to TTY signal."),
            Self::ChildEnded { pid, status: ExitStatus::Exited(code) } => {
                write!(out, "A child with PID {pid} exited with exit status {code}.")
            }
            Self::ChildEnded { pid, status: ExitStatus::Killed(signum) } => {
                write!(out, "A child with PID {pid} was terminated by signal {signum}.")
            }
            Self::Goodbye(status) => write!(out, "Child exited with status {}. Goodbye.", status.code()),
            Self::NoChdir(errno) => write!(out, "Unable to chdir(\"/\") ({})", Numbered(errno)),
            Self::NoFork => out.write_str("Unable to fork. Exiting."),
            Self::NoSetsid(errno) => write!(out, "Unable to setsid ({}). Exiting.", Numbered(errno)),
            Self::NotDelivered { signum, pid, errno } => {
                write!(out, "Unable to forward signal {signum} to PID {pid} ({}).", Numbered(errno))
            }
        }
    }
}

/// `errno=25 Inappropriate ioctl for device`
struct Numbered(Errno);

impl fmt::Display for Numbered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "errno={} {}", self.0 as i32, Strerror(self.0))
    }
}

/// Where env_logger writes: one record is one call, which becomes one write(2).
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        write_to_stderr([record]);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets the logger up. Called once, before anything is said.
pub(crate) fn init(verbosity: Verbosity) {
    let filter = match verbosity {
        Verbosity::Quiet => LevelFilter::Warn,
        Verbosity::Debug => LevelFilter::Debug,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(filter).target(Target::Pipe(Box::new(Stderr)));
    builder.format(|out, record| io::Write::write_fmt(out, format_args!("{PREFIX}{}\n", record.args())));
    // It fails only where a logger is set already.
    let _ = builder.try_init();
}

/// Says it.
pub(crate) fn say(line: Line) {
    log::log!(line.level(), "{line}");
}

/// Says it without the logger, which locks and allocates: for the child before its exec, which shares our memory and
/// could be killed in the middle.
pub(crate) fn say_in_child(line: Line) {
    if line.level() > log::max_level() {
        return;
    }
    let mut text = Text { bytes: [0; Text::CAPACITY], len: 0 };
    // A line that doesn't fit is cut; none is that long.
    let _ = writeln!(text, "{PREFIX}{line}");
    write_to_stderr([&text.bytes[..text.len]]);
}

/// Says, in the child, that the command can't be executed. Its name is bytes and may be of any length.
pub(crate) fn say_not_executed(command: &CStr, errno: Errno) {
    let mut text = Text { bytes: [0; Text::CAPACITY], len: 0 };
    let _ = writeln!(text, ": {}", Strerror(errno));
    write_to_stderr([PREFIX.as_bytes(), command.to_bytes(), &text.bytes[..text.len]]);
}

/// A text on the stack.
struct Text {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Text {
    const CAPACITY: usize = 256;
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len + part.len();
        let free = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        free.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

//! What does it say while it runs, and how does that reach stderr?
//!
//! Every line there is stands in [`Message`], so that its wording, which people grep for, is in one place. A line is one
//! write(2), and a write that fails changes nothing else: no panic, no loop, no other exit status. NoChild in
//! the command's environment has a say in it: RUST_LOG is the command's.

use std::ffi::CStr;
use std::fmt::{self, Write as _};
use std::io;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::log::{Level, LevelFilter};
use env_logger::Target;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::log::escape::Escaped;
use crate::log::strerror::Strerror;
use crate::signal::exit_status::ExitStatus;
use crate::signal::{Name, Signum};
use crate::sys::output::write_to_stderr;
use crate::sys::signals::Failure;

pub(crate) mod escape;
pub(crate) mod strerror;

const PREFIX: &str = "[dumb-init] ";

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Only why something could not be done.
    Quiet,
    /// Also what is done: `-v`, `DUMB_INIT_DEBUG=1`.
    Debug,
    /// Also who has sent a signal, who has got it, and what is left at the end: `-vv`, `DUMB_INIT_DEBUG=2`.
    Trace,
}

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
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
    Translating {
        from: Signum,
        to: Option<Signum>,
    },
    Forwarded(Signum),
    NotForwarded,
    Suspending,
    ChildEnded {
        pid: Pid,
        status: ExitStatus,
    },
    Goodbye(ExitStatus),
    NoChdir(Errno),
    NoFork,
    NoSetsid(Errno),
    NotBlocked(Errno),
    NotUnblocked(Errno),
    NotFetched(Errno),
    FetchedOtherwise(Failure),
    NotDelivered {
        signum: Signum,
        pid: Pid,
        errno: Errno,
    },
    NoSubreaper(Errno),
    NoParentDeathSignal(Errno),
    NoProc,
    /// The look for descendants failed.
    NoLook(Errno),
    Hidden,
    Sender {
        signum: Signum,
        pid: Pid,
        uid: u32,
    },
    FromKernel(Signum),
    Holding(Signum, Duration),
    Draining,
    Lingering,
    Reaped(Pid),
}

/// What is to be said of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessMessage {
    /// It has had its time.
    Killed,
    /// It is sent this.
    Gets(Signum),
    /// It is still there when we end.
    LeftBehind,
}

impl Message {
    fn level(self) -> Level {
        match self {
            Self::NoFork
            | Self::NoSetsid(_)
            | Self::NotBlocked(_)
            | Self::NotUnblocked(_)
            | Self::NotFetched(_) => Level::Error,
            Self::NotDelivered { .. }
            | Self::FetchedOtherwise(_)
            | Self::NoParentDeathSignal(_)
            | Self::NoProc
            | Self::NoLook(_)
            | Self::Hidden
            | Self::Reaped(_) => Level::Warn,
            Self::Sender { .. } | Self::FromKernel(_) => Level::Trace,
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
            | Self::NoSubreaper(_)
            | Self::Holding(..)
            | Self::Draining
            | Self::Lingering
            | Self::NoChdir(_) => Level::Debug,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DebugMode => out.write_str("Running in debug mode."),
            Self::NotSetsidMode => out.write_str("Not running in setsid mode."),
            Self::NotDetached(errno) => {
                write!(out, "Unable to detach from controlling tty ({}).", Numbered(errno))
            }
            Self::DetachedAsLeader => out.write_str(
                "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.",
            ),
            Self::DetachedAsMember => {
                out.write_str("Detached from controlling tty, but was not session leader.")
            }
            Self::Spawned(pid) => write!(out, "Child spawned with PID {pid}."),
            Self::NotAttached(errno) => {
                write!(out, "Unable to attach to controlling tty ({}).", Numbered(errno))
            }
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
            Self::NotBlocked(errno) => write!(out, "Unable to block signals ({}).", Numbered(errno)),
            Self::NotUnblocked(errno) => {
                write!(out, "Unable to unblock signals ({}). Exiting.", Numbered(errno))
            }
            Self::NotFetched(errno) => {
                write!(out, "Unable to wait for signals ({}). Exiting.", Numbered(errno))
            }
            Self::FetchedOtherwise(Failure::TimedWait(errno)) => {
                write!(
                    out,
                    "Unable to wait by rt_sigtimedwait ({}), going on with signalfd.",
                    Numbered(errno)
                )
            }
            Self::FetchedOtherwise(Failure::SignalFd(errno)) => {
                write!(
                    out,
                    "Unable to wait by signalfd ({}), looking for signals every 100 ms.",
                    Numbered(errno)
                )
            }
            Self::NotDelivered { signum, pid, errno } => {
                write!(out, "Unable to forward signal {signum} to PID {pid} ({}).", Numbered(errno))
            }
            Self::NoSubreaper(errno) => write!(out, "Unable to adopt orphans ({}).", Numbered(errno)),
            Self::NoParentDeathSignal(errno) => {
                write!(out, "Unable to ask for a signal at the parent's death ({}).", Numbered(errno))
            }
            Self::NoProc => {
                out.write_str("Unable to find descendants: /proc does not show this PID namespace.")
            }
            Self::NoLook(errno) => {
                write!(
                    out,
                    "Unable to look for descendants ({}); only the command's group is signalled.",
                    Numbered(errno)
                )
            }
            Self::Hidden => {
                out.write_str("Unable to find all descendants: /proc hides other users' processes (hidepid).")
            }
            Self::Sender { signum, pid, uid } if pid.as_raw() == 0 => {
                write!(out, "{} comes from outside of this PID namespace (uid {uid}).", Name(signum))
            }
            Self::Sender { signum, pid, uid } => {
                write!(out, "{} comes from PID {pid} (uid {uid}).", Name(signum))
            }
            Self::FromKernel(signum) => write!(out, "{} comes from the kernel.", Name(signum)),
            Self::Holding(signum, duration) => write!(out, "Holding signal {signum} for {duration:?}."),
            Self::Draining => out.write_str("Draining: waiting for all descendants to end."),
            Self::Lingering => out.write_str("Lingering: waiting for all descendants to end."),
            Self::Reaped(pid) => write!(out, "Reaped an orphan, PID {pid}."),
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

/// Sets up what is said. Called once, before anything is said. There is no logger where it has nothing to do but for a
/// rare warning: to set one up takes a tenth of what a start takes.
pub(crate) fn init(verbosity: Verbosity) {
    let filter = match verbosity {
        Verbosity::Quiet => return ::log::set_max_level(LevelFilter::Warn),
        Verbosity::Debug => LevelFilter::Debug,
        Verbosity::Trace => LevelFilter::Trace,
    };
    set_up(filter);
}

#[cold]
fn set_up(filter: LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(filter).target(Target::Pipe(Box::new(Stderr)));
    builder.format(|out, record| {
        if record.target() == WARM_UP {
            io::Write::write_all(out, &[0; Text::CAPACITY])?;
            return Err(io::ErrorKind::Other.into());
        }
        io::Write::write_fmt(out, format_args!("{PREFIX}{}\n", record.args()))
    });
    // It fails only where a logger is set already.
    let _ = builder.try_init();
    WITHOUT_LOGGER.store(false, Ordering::Relaxed);
    ::log::error!(target: WARM_UP, "");
}

/// The target of a record that is never written. env_logger keeps the memory in which it makes a line for the next one,
/// and never asks for more once the longest was made. This one is as long, so that no line that is said while the command
/// runs needs memory, which there may not be (an allocation that fails would abort us).
const WARM_UP: &str = "warm-up";

/// Is there no logger, or is it out of use?
static WITHOUT_LOGGER: AtomicBool = AtomicBool::new(true);

/// Says it.
pub(crate) fn write(message: Message) {
    if WITHOUT_LOGGER.load(Ordering::Relaxed) {
        return write_without_logger(message);
    }
    ::log::log!(message.level(), "{message}");
}

/// Says it without the logger, which locks and allocates: where there is none, and for the child before its exec, which
/// shares our memory and could be killed in the middle.
pub(crate) fn write_without_logger(line: Message) {
    if line.level() <= ::log::max_level() {
        write_line(line);
    }
}

#[cold]
#[inline(never)]
fn write_line(line: Message) {
    write_to_stderr([Text::of(format_args!("{PREFIX}{line}\n")).bytes()]);
}

/// Is it worth finding out what is said of processes only at the highest verbosity?
pub(crate) fn traces() -> bool {
    ::log::max_level() >= LevelFilter::Trace
}

/// Says what happens to a process.
pub(crate) fn write_process(pid: Pid, name: &dyn fmt::Display, fate: ProcessMessage) {
    let text = match fate {
        ProcessMessage::Killed => {
            Text::of(format_args!("{PREFIX}Killing PID {pid} ({name}), which has not ended in time.\n"))
        }
        ProcessMessage::Gets(_) | ProcessMessage::LeftBehind if !traces() => return,
        ProcessMessage::Gets(signum) => {
            Text::of(format_args!("{PREFIX}{} goes to PID {pid} ({name}).\n", Name(signum)))
        }
        ProcessMessage::LeftBehind => Text::of(format_args!("{PREFIX}Still running: PID {pid} ({name}).\n")),
    };
    write_to_stderr([text.bytes()]);
}

/// Says that the end of a rewrite, which can be of any length, changes nothing.
pub(crate) fn write_ignored_text(rewrite: &[u8]) {
    let text =
        format!("{PREFIX}Ignoring what follows the second number in rewrite '{}'.\n", Escaped(rewrite));
    write_to_stderr([text.as_bytes()]);
}

/// Says that this program has panicked, and where.
pub(crate) fn write_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or_default();
    let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
    let place = Text::of(format_args!("{PREFIX}A bug: panic at {file}:{line}: "));
    write_to_stderr([place.bytes(), message.as_bytes(), b". Going on.\n"]);
}

/// Says that a script's `#!` line names no program, and which line it has to have.
pub(crate) fn write_no_program(script: &CStr, right_line: &[u8]) {
    let reason = b": its #! line names no program to run; write \"";
    write_to_stderr([PREFIX.as_bytes(), script.to_bytes(), reason, right_line, b"\"\n"]);
}

/// Says, in the child, that the command can't be executed. Its name is bytes and may be of any length.
pub(crate) fn write_not_executed(command: &CStr, errno: Errno) {
    let reason = Text::of(format_args!(": {}\n", Strerror(errno)));
    write_to_stderr([PREFIX.as_bytes(), command.to_bytes(), reason.bytes()]);
}

/// A text on the stack.
struct Text {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Text {
    const CAPACITY: usize = 256;

    /// What doesn't fit is left out; no line is that long.
    fn of(text: fmt::Arguments<'_>) -> Self {
        let mut written = Self { bytes: [0; Self::CAPACITY], len: 0 };
        let _ = written.write_fmt(text);
        written
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len.saturating_add(part.len());
        let free = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        free.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

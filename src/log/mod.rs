//! Every message of the running program, and its way to stderr.
//!
//! The texts are an interface: people search for them. A line is one write(2); if it fails, nothing else
//! changes. No variable changes the output: RUST_LOG belongs to the command.

use std::ffi::CStr;
use std::fmt;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::log::{Level, LevelFilter};
use env_logger::Target;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::log::escape::Escaped;
use crate::log::strerror::strerror;
use crate::signal::exit_status::ExitStatus;
use crate::signal::{Name, Signum};
use crate::sys::output::write_to_stderr;
use crate::sys::signals::Failure;

pub(crate) mod escape;
pub(crate) mod strerror;

/// Prefix of each message: the called name if it is that of another init, else dumb-init.
pub(crate) struct Prefix;

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}] ", name())
    }
}

/// The name of another init by which we were called.
static NAME: OnceLock<&str> = OnceLock::new();

fn name() -> &'static str {
    NAME.get().copied().unwrap_or("dumb-init")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors only: `TINI_VERBOSITY=0`.
    Errors,
    /// Warnings and errors.
    Quiet,
    /// Also every step: `-v`, `DUMB_INIT_DEBUG=1`.
    Debug,
    /// Also the senders and receivers of signals, and the remaining processes: `-vv`, `DUMB_INIT_DEBUG=2`.
    Trace,
}

/// A message of fixed length.
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
    Translating { from: Signum, to: Option<Signum> },
    Forwarded(Signum),
    NotForwarded,
    Suspending,
    ChildEnded { pid: Pid, status: ExitStatus },
    Goodbye(ExitStatus),
    NoChdir(Errno),
    NoFork,
    NoSetsid(Errno),
    NotBlocked(Errno),
    NotUnblocked(Errno),
    NotFetched(Errno),
    FetchedOtherwise(Failure),
    NotDelivered { signum: Signum, pid: Pid, errno: Errno },
    NoSubreaper(Errno),
    NoParentDeathSignal(Errno),
    NoProc,
    NoLook(Errno),
    Hidden,
    Sender { signum: Signum, pid: Pid, uid: u32 },
    FromKernel(Signum),
    Holding(Signum, Duration),
    Draining,
    Lingering,
    Reaped(Pid),
    ReceivedChild,
    NotReaping,
    OneWord,
    HookFailed(ExitStatus),
    HookTimedOut,
    NoHook(Errno),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessMessage {
    Killed,
    Gets(Signum),
    LeftBehind,
}

impl Message {
    fn level(self) -> Level {
        match self {
            Self::NoFork
            | Self::NoSetsid(_)
            | Self::NotBlocked(_)
            | Self::NotUnblocked(_)
            | Self::NotFetched(_)
            | Self::OneWord => Level::Error,
            Self::NotDelivered { .. }
            | Self::FetchedOtherwise(_)
            | Self::NoParentDeathSignal(_)
            | Self::NoProc
            | Self::NoLook(_)
            | Self::Hidden
            | Self::Reaped(_)
            | Self::NotReaping
            | Self::HookFailed(_)
            | Self::HookTimedOut
            | Self::NoHook(_) => Level::Warn,
            Self::Sender { .. } | Self::FromKernel(_) | Self::ReceivedChild => Level::Trace,
            _ => Level::Debug,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DebugMode => out.write_str("Running in debug mode."),
            Self::NotSetsidMode => out.write_str("Not running in setsid mode."),
            Self::NotDetached(errno) => failure(out, "detach from controlling tty", errno, "."),
            Self::DetachedAsLeader => out.write_str(
                "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.",
            ),
            Self::DetachedAsMember => {
                out.write_str("Detached from controlling tty, but was not session leader.")
            }
            Self::Spawned(pid) => write!(out, "Child spawned with PID {pid}."),
            Self::NotAttached(errno) => failure(out, "attach to controlling tty", errno, "."),
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
            Self::NoChdir(errno) => failure(out, "chdir(\"/\")", errno, ""),
            Self::NoFork => out.write_str("Unable to fork. Exiting."),
            Self::NoSetsid(errno) => failure(out, "setsid", errno, ". Exiting."),
            Self::NotBlocked(errno) => failure(out, "block signals", errno, "."),
            Self::NotUnblocked(errno) => failure(out, "unblock signals", errno, ". Exiting."),
            Self::NotFetched(errno) => failure(out, "wait for signals", errno, ". Exiting."),
            Self::FetchedOtherwise(Failure::TimedWait(errno)) => {
                failure(out, "wait by rt_sigtimedwait", errno, ", going on with signalfd.")
            }
            Self::FetchedOtherwise(Failure::SignalFd(errno)) => {
                failure(out, "wait by signalfd", errno, ", looking for signals every 100 ms.")
            }
            Self::NotDelivered { signum, pid, errno } => {
                failure(out, format_args!("forward signal {signum} to PID {pid}"), errno, ".")
            }
            Self::NoSubreaper(errno) => failure(out, "adopt orphans", errno, "."),
            Self::NoParentDeathSignal(errno) => {
                failure(out, "ask for a signal at the parent's death", errno, ".")
            }
            Self::NoProc => {
                out.write_str("Unable to find descendants: /proc does not show this PID namespace.")
            }
            Self::NoLook(errno) => {
                failure(out, "look for descendants", errno, "; only the command's group is signalled.")
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
            Self::Reaped(pid) => write!(out, "Reaped zombie process with pid={pid}"),
            Self::ReceivedChild => out.write_str("Received SIGCHLD"),
            Self::NotReaping => out.write_str(
                "Tini is not running as PID 1 and isn't registered as a child subreaper.\n\
                 Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n\
                 To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to \
                 register Tini as a child subreaper, or run Tini as PID 1.",
            ),
            Self::OneWord => {
                out.write_str("The command is one word with blanks; run a command line with sh -c '...'.")
            }
            Self::HookFailed(status) => write!(out, "The pre-stop hook {status}; shutting down."),
            Self::NoHook(errno) => failure(out, "start the pre-stop hook", errno, "."),
            Self::HookTimedOut => out.write_str("The pre-stop hook has not exited in time; terminating it."),
        }
    }
}

/// `Unable to ACTION (errno=25 Inappropriate ioctl for device)`, and the end of the line.
fn failure(out: &mut fmt::Formatter<'_>, action: impl fmt::Display, errno: Errno, end: &str) -> fmt::Result {
    write!(out, "Unable to {action} (errno={} {}){end}", errno as i32, strerror(errno))
}

/// The target of env_logger, which writes each record by one call.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        write_to_stderr([record]);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static HAS_LOGGER: AtomicBool = AtomicBool::new(false);

/// Prepares the output of messages, which begin with `name`, by default ours. For rare warnings no logger is
/// set up, which takes a tenth of the start.
pub(crate) fn init(verbosity: Verbosity, name: Option<&'static str>) {
    if let Some(name) = name {
        let _ = NAME.set(name);
    }
    let filter = match verbosity {
        Verbosity::Errors => return ::log::set_max_level(LevelFilter::Error),
        Verbosity::Quiet => return ::log::set_max_level(LevelFilter::Warn),
        Verbosity::Debug => LevelFilter::Debug,
        Verbosity::Trace => LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(filter).target(Target::Pipe(Box::new(Stderr)));
    builder.format(|out, record| writeln!(out, "{Prefix}{}", record.args()));
    HAS_LOGGER.store(builder.try_init().is_ok(), Ordering::Relaxed);
}

pub(crate) fn write(message: Message) {
    if HAS_LOGGER.load(Ordering::Relaxed) {
        ::log::log!(message.level(), "{message}");
    } else {
        write_without_logger(message);
    }
}

/// Writes a message without allocating or locking, which the child must not do before its exec.
pub(crate) fn write_without_logger(message: Message) {
    if message.level() <= ::log::max_level() {
        write_line(format_args!("{message}"));
    }
}

/// Formats a line on the stack and writes it.
fn write_line(text: fmt::Arguments<'_>) {
    write_to_stderr([format_in(&mut [0; 512], format_args!("{Prefix}{text}")), b"\n"]);
}

/// Formats a text into `room`, and truncates it there.
fn format_in<'a>(room: &'a mut [u8], text: fmt::Arguments<'_>) -> &'a [u8] {
    let mut free = &mut *room;
    let _ = free.write_fmt(text);
    let left = free.len();
    room.get(..room.len().saturating_sub(left)).unwrap_or_default()
}

/// Reports a variable of any length that has no effect, and the reason.
pub(crate) fn write_ignored(variable: &str) {
    if ::log::max_level() >= LevelFilter::Debug {
        write_to_stderr([format!("{Prefix}Ignoring {variable}.\n").as_bytes()]);
    }
}

/// Whether messages of the highest verbosity are written.
pub(crate) fn traces() -> bool {
    ::log::max_level() >= LevelFilter::Trace
}

pub(crate) fn write_process(pid: Pid, name: &dyn fmt::Display, message: ProcessMessage) {
    match message {
        ProcessMessage::Killed => {
            write_line(format_args!("Killing PID {pid} ({name}), which has not ended in time."));
        }
        _ if !traces() => {}
        ProcessMessage::Gets(signum) => {
            write_line(format_args!("{} goes to PID {pid} ({name}).", Name(signum)));
        }
        ProcessMessage::LeftBehind => write_line(format_args!("Still running: PID {pid} ({name}).")),
    }
}

/// Warns of a rewrite, of any length, whose end is ignored.
pub(crate) fn write_ignored_text(rewrite: &[u8]) {
    let text =
        format!("{Prefix}Ignoring what follows the second number in rewrite '{}'.\n", Escaped(rewrite));
    write_to_stderr([text.as_bytes()]);
}

/// Writes lines that have the prefix already.
pub(crate) fn write_report(lines: &str) {
    write_to_stderr([lines.as_bytes()]);
}

/// Reports that a file for the report, with a path of any length, cannot be written.
pub(crate) fn write_no_report(path: &CStr, errno: Errno) {
    let (path, number) = (Escaped(path.to_bytes()), errno as i32);
    let text = format!("{Prefix}Unable to write report {path} (errno={number} {}).\n", strerror(errno));
    write_to_stderr([text.as_bytes()]);
}

pub(crate) fn write_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let message = text.or(payload.downcast_ref().copied()).unwrap_or_default();
    let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
    write_line(format_args!("A bug: panic at {file}:{line}: {message}. Going on."));
}

/// Reports a failed allocation.
pub(crate) fn write_out_of_memory() {
    write_line(format_args!("Out of memory. Going on without options."));
}

/// Reports a script whose `#!` line names no program, and the correct line.
pub(crate) fn write_no_program(script: &CStr, right_line: &[u8]) {
    let reason = b": its #! line names no program to run; write \"";
    write_to_stderr([b"[", name().as_bytes(), b"] ", script.to_bytes(), reason, right_line, b"\"\n"]);
}

/// Reports, in a child, a property of a file that explains the failure of its exec.
pub(crate) fn write_reason(path: &CStr, reason: fmt::Arguments<'_>) {
    let (mut shown, mut room) = ([0; 1024], [0; 1280]);
    let path = format_in(&mut shown, format_args!("{}", Escaped(path.to_bytes())));
    let reason = format_in(&mut room, reason);
    write_to_stderr([b"[", name().as_bytes(), b"] ", path, b": ", reason, b".\n"]);
}

/// Writes advice of any length.
pub(crate) fn write_advice(advice: &[u8]) {
    write_to_stderr([b"[", name().as_bytes(), b"] ", advice, b"\n"]);
}

/// Reports that a helper has exited, by the text that it was given as.
pub(crate) fn write_helper(text: &[u8], pid: Pid, status: ExitStatus) {
    let line = format!("{Prefix}helper '{}' (PID {pid}) {status}; shutting down\n", Escaped(text));
    write_to_stderr([line.as_bytes()]);
}

/// Reports, in the child, that the command cannot be executed. Its name may be of any length.
pub(crate) fn write_not_executed(command: &CStr, errno: Errno) {
    let (name, text) = (name().as_bytes(), strerror(errno).as_bytes());
    write_to_stderr([b"[", name, b"] ", command.to_bytes(), b": ", text, b"\n"]);
}

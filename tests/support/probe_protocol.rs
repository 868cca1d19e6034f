//! Orders to the probe and its reports, as both sides write and read them.

#![allow(dead_code)] // Each side uses its part.

use std::fmt;
use std::str::FromStr;

/// Value in an order, a condition or a report.
pub trait Field: Sized {
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! parsed_fields {
    ($($type:ty)*) => {
        $(impl Field for $type {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

parsed_fields!(i32 u32 u64 i64 usize Disposition);

impl Field for &'static str {
    fn parse(text: &str) -> Option<Self> {
        Some(String::leak(text.to_owned()))
    }
}

/// Defines an enum whose variants are written as a word and fields behind it.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $name:ident, separated by $separator:literal
        $($(#[$doc:meta])* $variant:ident $(($($field:ident: $type:ty),+))? = $word:literal)*
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant $(($($type),+))?),*
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant $(($($field),+))? => {
                        out.write_str($word)?;
                        $($(write!(out, concat!($separator, "{}"), $field)?;)+)?
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let unknown = || format!("unknown {}: {text:?}", stringify!($name));
                let mut words = text.split($separator);
                let value = match words.next() {
                    $(Some($word) => {
                        Self::$variant $(($(words.next().and_then(<$type>::parse).ok_or_else(unknown)?),+))?
                    })*
                    _ => return Err(unknown()),
                };
                if words.next().is_none() { Ok(value) } else { Err(unknown()) }
            }
        }
    };
}

words! {
    /// Role of the probe.
    Order, separated by " "
    /// Waits for a signal to act on by default.
    Hang = "hang"
    /// Reports each signal, until the last one.
    Record(last: i32) = "record"
    RecordAs(user: u32, last: i32) = "record-as"
    /// Reports each signal from a handler, with the inherited mask, until the last one.
    Catch(last: i32) = "catch"
    /// Counts signals, and reports the counts whenever it receives this one.
    Count(report: i32) = "count"
    /// Reports each signal, and takes its time to shut down after the first SIGTERM.
    Work(name: &'static str, milliseconds: u64) = "work"
    /// Leaves such a program behind as an orphan.
    Daemon(name: &'static str, milliseconds: u64) = "daemon"
    /// Starts a random tree of such programs, or the part that begins with this member.
    RandomTree(seed: u64, size: usize, init: &'static str, begin: usize) = "random-tree"
    /// Starts a random tree of programs with different dispositions.
    RecordingTree(seed: u64, size: usize, init: &'static str, begin: usize) = "recording-tree"
    /// Reports signals with this disposition.
    Dispose(disposition: Disposition, name: &'static str) = "dispose"
    /// Forks repeatedly.
    ForkLoop = "fork-loop"
    /// Prints every property, hexadecimal arguments included. Arguments follow.
    Report = "report"
    /// Reports arguments, environment, and the signals of itself and of a process in its group.
    /// Arguments follow.
    Witness = "witness"
    /// Exits on the witness's marker. Other signals have their default effect.
    UntilMarker = "until-marker"
    Exit(status: i32) = "exit"
    Die(signum: i32) = "die"
    /// Leaves orphans behind that exit, and hangs.
    Orphans(count: u32) = "orphans"
    /// Leaves orphans behind that exit together on SIGUSR1, and hangs.
    WaitingOrphans(count: u32) = "waiting-orphans"
    /// Exits together with its children on SIGUSR1.
    ExitTogether(count: u32, status: i32) = "exit-together"
    /// Makes orphans on each SIGUSR1.
    Waves(size: u32) = "waves"
    /// Starts children that stop, exit, change the user and so on at random.
    Chaos(seed: u64, size: u32, status: i32) = "chaos"
    /// Asks its parent to trace it, and raises this signal.
    StopTraced(signum: i32) = "stop-traced"
    /// Reports the size of its terminal's window on each signal.
    Window = "window"
    /// Closes a descriptor, and hangs.
    Close(descriptor: i32) = "close"
    /// Shell with job control. A program and its arguments follow.
    Shell = "shell"
    /// Executes another program. Conditions, `--`, a program and its arguments follow.
    With = "with"
}

words! {
    /// Condition in which the probe executes another program.
    Condition, separated by "="
    Closed(descriptor: i32) = "closed"
    /// /dev/full at this descriptor: every write fails.
    Full(descriptor: i32) = "full"
    Null(descriptor: i32) = "null"
    /// Full pipe without a reader of its own at this descriptor.
    Clogged(descriptor: i32) = "clogged"
    /// File opened for writing at descriptor 5.
    Writes(path: &'static str) = "writes"
    Ignored(signum: i32) = "ignored"
    AllIgnored = "all-ignored"
    Blocked(signum: i32) = "blocked"
    AllBlocked = "all-blocked"
    Pending(signum: i32) = "pending"
    /// Zombie child with this exit status, whose SIGCHLD is gone.
    Zombie(status: i32) = "zombie"
    /// Waits for SIGUSR1. Blocked signals that arrive in the meantime stay pending.
    Waits = "waits"
    /// Pipe to a child as stdout, which copies its input.
    Logger = "logger"
    /// The same child asks to be traced after the end of its input.
    TracedLogger = "traced-logger"
    ListenPid = "listen-pid"
    /// Variables of a service that systemd starts with sockets and a watchdog.
    Service = "service"
    /// Controlling terminal of a new session.
    Terminal(path: &'static str) = "terminal"
    StderrAsStdout = "stderr-as-stdout"
    StderrAsStdin = "stderr-as-stdin"
    /// Gives the foreground to the group of another process.
    Background = "background"
    Tostop = "tostop"
    /// RLIMIT_NPROC
    Processes(limit: u64) = "processes"
    /// RLIMIT_FSIZE
    FileSize(limit: u64) = "file-size"
    /// System call that fails.
    Refused(call: libc::c_long, errno: i32) = "refused"
    /// Failure of each clone(2) that shares memory.
    RefusedCloneVm(errno: i32) = "refused-clone-vm"
    /// Empty directory at this path.
    Hidden(path: &'static str) = "hidden"
    /// /proc mounted with hidepid=2.
    Hidepid = "hidepid"
    WithoutCapKill = "without-cap-kill"
    WithoutCapPtrace = "without-cap-ptrace"
    /// Width of the terminal that is stdin.
    Columns(columns: i32) = "columns"
    User(uid: u32) = "user"
}

words! {
    /// Line of the probe. A name may precede it, see `by`.
    Report, separated by " "
    Ready = "ready"
    ReadyAs(pid: u32, disposition: Disposition) = "ready-as"
    Got(signum: i32) = "got"
    Finished = "finished"
    Waiting = "waiting"
    Resumed = "resumed"
    Wave = "wave"
    Started(pid: i32) = "started"
    JobStopped(signum: i32) = "job-stopped"
    JobResumed = "job-resumed"
    JobExited(status: i32) = "job-exited"
    WindowSize(rows: u32, columns: u32) = "window-size"
}

impl Report {
    /// Line of a program that has a name.
    pub fn by(self, name: impl fmt::Display) -> String {
        format!("{name} {self}")
    }
}

words! {
    /// Property of a process, printed as `name=value`.
    Property, separated by " "
    Pid = "pid"
    Ppid = "ppid"
    Pgid = "pgid"
    Sid = "sid"
    /// Whether its group is in the foreground.
    Foreground = "foreground"
    /// Whether it has a controlling terminal.
    Terminal = "terminal"
    Descriptors = "descriptors"
    /// Signals whose disposition is not the default.
    Dispositions = "dispositions"
    Blocked = "blocked"
    Cwd = "cwd"
    Words = "words"
    Environment = "environment"
    PidfdId = "pidfd-id"
    ListenPid = "listen-pid"
}

words! {
    /// Handling of all signals but the last, which makes the probe report.
    Disposition, separated by " "
    /// By a handler.
    Catches = "Catches"
    /// By sigwait(3).
    Waits = "Waits"
    /// By a signalfd(2).
    Reads = "Reads"
    /// By a handler that runs in the second thread; the first blocks all signals.
    CatchesInAThread = "CatchesInAThread"
    Ignores = "Ignores"
    Blocks = "Blocks"
    Dies = "Dies"
}

impl Disposition {
    pub const ALL: [Self; 7] = [
        Self::Catches,
        Self::Waits,
        Self::Reads,
        Self::CatchesInAThread,
        Self::Ignores,
        Self::Blocks,
        Self::Dies,
    ];
}

/// Separates the conditions from the program in an order `with`.
pub const END_OF_CONDITIONS: &str = "--";

/// Signal by which a witness reports that both processes have reported all earlier signals.
pub const MARKER: i32 = 63;
/// Signal that ends a witness.
pub const END_OF_WITNESS: i32 = 64;

//! A program that a test starts.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::outcome::Outcome;
use super::output::Output;
use super::terminal::Terminal;
use super::{Condition, END_OF_CONDITIONS, Order, deadline, namespace, probe_as, procfs};

/// Marks the processes of a test, so that they are found at its end.
pub const MARK: &str = "RUN_OF_DUMB_INIT_TEST";

/// A program to be started.
pub struct Start {
    program: OsString,
    /// Its argv[0].
    name: Option<OsString>,
    words: Vec<OsString>,
    conditions: Vec<Condition>,
    in_namespace: bool,
    own_group: bool,
    variables: Vec<(OsString, OsString)>,
    stdin: Option<File>,
    directory: Option<OsString>,
    mark: String,
}

/// Prefixes of the variables that inits read. They are removed from the environment of the tests.
const READ_BY_INITS: [&[u8]; 4] = [b"DUMB_INIT_", b"TINI_", b"CATATONIT_", b"POSIXLY_CORRECT"];

impl Start {
    /// An init at this path, called `dumb-init`.
    pub fn init(path: &Path) -> Self {
        Self { name: Some("dumb-init".into()), ..Self::program(path.as_os_str()) }
    }

    /// Any program.
    pub fn program(path: impl AsRef<OsStr>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self {
            program: path.as_ref().to_owned(),
            name: None,
            words: Vec::new(),
            conditions: Vec::new(),
            in_namespace: false,
            own_group: false,
            variables: Vec::new(),
            stdin: None,
            directory: None,
            mark: format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The same with another argv[0].
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same with a program at another path.
    pub fn program_at(mut self, path: &Path) -> Self {
        self.program = path.into();
        self
    }

    pub fn word(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    pub fn words<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn directory(mut self, path: &Path) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Gives it this as stdin, in place of /dev/null.
    pub fn stdin(mut self, file: impl Into<File>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    /// Runs the probe under the program.
    pub fn probe(self, order: Order) -> Self {
        self.words(probe_as(order))
    }

    /// Runs the program in a condition. Its argv[0] is its path then.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Runs it as PID 1 of a namespace. Its argv[0] is its path then.
    pub fn in_namespace(mut self) -> Self {
        self.in_namespace = true;
        self
    }

    /// Runs it in its own process group. The test is its parent, so the group is not orphaned, and
    /// SIGTSTP has an effect.
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    fn command(&mut self) -> Command {
        let mut line: Vec<OsString> = Vec::new();
        if self.in_namespace {
            line.extend(namespace().into_iter().map(OsString::from));
        }
        if !self.conditions.is_empty() {
            line.extend(probe_as(Order::With));
            line.extend(self.conditions.iter().map(|condition| condition.to_string().into()));
            line.push(END_OF_CONDITIONS.into());
        }
        let wrapped = !line.is_empty();
        line.push(self.program.clone());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(&self.words);
        if let Some(name) = self.name.as_ref().filter(|_| !wrapped) {
            command.arg0(name);
        }
        close_others_at_exec(&mut command);
        if self.own_group {
            command.process_group(0);
        }
        let is_read_by_inits =
            |name: &OsString| READ_BY_INITS.iter().any(|part| name.as_encoded_bytes().starts_with(part));
        for name in std::env::vars_os().map(|(name, _)| name).filter(is_read_by_inits) {
            command.env_remove(name);
        }
        command.env(MARK, &self.mark);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(self.stdin.take().map_or_else(Stdio::null, Stdio::from));
        command
    }

    /// Starts it, with pipes for its output.
    pub fn start(mut self) -> Running {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let stdout = Output::of(child.stdout.take().expect("a pipe"));
        let stderr = Output::of(child.stderr.take().expect("a pipe"));
        Running {
            line,
            child,
            stdout,
            stderr,
            mark: self.mark,
            in_namespace: self.in_namespace,
            status: None,
        }
    }

    /// Starts it as the leader of a session on a new terminal, with a pipe for stderr.
    pub fn start_on_terminal(mut self) -> (Running, Terminal) {
        let (terminal, path, output) = Terminal::open();
        // stderr stays a pipe, separate from the terminal's output.
        self.conditions.insert(0, Condition::Terminal(path.leak()));
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let line = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let stderr = Output::of(child.stderr.take().expect("a pipe"));
        let in_namespace = self.in_namespace;
        (
            Running { line, child, stdout: output, stderr, mark: self.mark, in_namespace, status: None },
            terminal,
        )
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().outcome()
    }
}

/// A program that runs. It is killed, with all its descendants, when this is dropped.
pub struct Running {
    line: String,
    child: Child,
    stdout: Output,
    stderr: Output,
    mark: String,
    in_namespace: bool,
    status: Option<ExitStatus>,
}

impl Running {
    /// The PID of the program, as we see it.
    pub fn pid(&self) -> Pid {
        let started = Pid::from_raw(self.child.id().cast_signed());
        if self.in_namespace {
            // unshare(1) is the parent of the namespace's PID 1.
            let mut children = Vec::new();
            procfs::wait_until("the namespace has a PID 1", || {
                children = procfs::children(started);
                !children.is_empty()
            });
            children[0]
        } else {
            started
        }
    }

    /// Whether the program is PID 1 of a namespace.
    pub fn is_in_namespace(&self) -> bool {
        self.in_namespace
    }

    /// The PID of the command, the program's first child.
    pub fn command_pid(&self) -> Pid {
        procfs::oldest_child(self.pid()).unwrap_or_else(|| panic!("no child\n{self}"))
    }

    /// Sends the program a signal.
    pub fn signal(&self, number: i32) {
        send(self.pid(), number);
    }

    /// Waits until stdout has this line.
    pub fn wait_for_line(&self, line: impl fmt::Display) {
        let line = line.to_string();
        let has = |text: &str| text.lines().any(|candidate| candidate.trim_end() == line);
        assert!(self.stdout.wait_until(has), "no line {line:?} on stdout\n{self}");
    }

    /// Waits until stdout is as wanted.
    pub fn wait_for_stdout(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        assert!(self.stdout.wait_until(wanted), "timeout: waited until stdout has {what}\n{self}");
    }

    /// Waits until stderr has a line with this in it.
    pub fn wait_for_debug_line(&self, part: &str) {
        assert!(self.stderr.wait_until(|text| text.contains(part)), "no {part:?} on stderr\n{self}");
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether the program has exited.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("waitpid");
        }
        self.status.is_some()
    }

    /// Waits for the exit of the program, not for that of its descendants.
    pub fn wait(&mut self) -> ExitStatus {
        let end = deadline();
        let mut status = None;
        while status.is_none() && Instant::now() < end {
            status = self.child.try_wait().expect("waitpid");
            if status.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        self.status = status;
        status.unwrap_or_else(|| panic!("does not end\n{self}"))
    }

    /// Waits for the end of the program and of everything that it has printed.
    pub fn outcome(mut self) -> Outcome {
        let status = self.wait();
        // One that executes another program at that very moment has no environment by which it
        // could be found.
        let end = deadline();
        while !(self.stdout.has_ended() && self.stderr.has_ended()) {
            assert!(Instant::now() < end, "a process holds the pipes\n{self}");
            self.kill_the_rest();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Outcome { line: self.line.clone(), status, stdout: self.stdout.bytes(), stderr: self.stderr.bytes() }
    }

    /// The processes that this run has started and that are still there, zombies not included.
    pub fn descendants(&self) -> Vec<Pid> {
        let mark = format!("{MARK}={}", self.mark);
        let is_marked = |pid: &Pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
            })
        };
        procfs::all().into_iter().filter(is_marked).collect()
    }

    fn kill_the_rest(&self) {
        // Repeated until none is left, since a process may fork in the meantime.
        let end = deadline();
        loop {
            let left = self.descendants();
            if left.is_empty() || Instant::now() > end {
                return;
            }
            for pid in left {
                send(pid, libc::SIGKILL);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.kill_the_rest();
    }
}

impl fmt::Display for Running {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        write!(out, "command: {}\nstatus: {:?}\nstdout:\n{stdout}\nstderr:\n{stderr}", self.line, self.status)
    }
}

/// Sends a signal, of the 64, to a process that may have ended.
pub fn send(pid: Pid, number: i32) {
    // SAFETY: touches no memory. nix has no real-time signals.
    let result = unsafe { libc::kill(pid.as_raw(), number) };
    let result = Errno::result(result);
    assert!(matches!(result, Ok(_) | Err(Errno::ESRCH)), "kill({pid}, {number}): {result:?}");
}

/// Closes descriptors that the tests have inherited at exec.
fn close_others_at_exec(command: &mut Command) {
    let close = || {
        // SAFETY: touches no memory.
        let result =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Errno::result(result).map(drop).map_err(std::io::Error::from)
    };
    // SAFETY: one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(close) };
}

//! Real containers, of the machine's engine or of a test's.

mod cgroups;
mod images;
mod own_engine;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use super::{Order, Start, procfs, send, skip};

pub use cgroups::remove_cgroups;
pub use images::{Base, derived, example_image, image, image_on, registry_image};
pub use own_engine::{OwnEngine, REMAPPED};

/// Whether the tests can see the processes of containers. If not, the test is skipped with a
/// message.
pub fn can_see_processes() -> bool {
    nix::unistd::geteuid().is_root() || skip("only root can see the processes of a container")
}

/// Engine of a container: the machine's, or one of a test.
#[derive(Clone)]
pub struct Engine {
    /// Options by which the client reaches it.
    options: Vec<OsString>,
    /// The /proc with the engine's PIDs.
    proc: PathBuf,
}

impl Engine {
    /// The machine's.
    pub fn of_the_machine() -> Self {
        Self { options: Vec::new(), proc: "/proc".into() }
    }

    /// The client, which can be given a command.
    fn client(&self) -> Start {
        // By its path: a program on a terminal is executed without a search in PATH.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let client =
            std::env::split_paths(&path).map(|directory| directory.join("docker")).find(|path| path.exists());
        Start::program(client.expect("docker(1)")).words(&self.options)
    }

    fn docker(&self, words: &[&str]) -> Result<Output, String> {
        run(Command::new("docker").args(&self.options).args(words))
    }
}

/// A process of a container, as those in the container see it.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub state: char,
    pub command_line: String,
}

impl Process {
    /// Those that the /proc at this path shows.
    fn all(proc: &Path) -> Vec<Self> {
        let entries = fs::read_dir(proc).unwrap_or_else(|error| panic!("{}: {error}", proc.display()));
        entries.flatten().filter_map(|entry| Self::read(&entry.path())).collect()
    }

    /// Process at this path in /proc, unless it has exited.
    fn read(path: &Path) -> Option<Self> {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let words = fs::read(path.join("cmdline")).ok()?;
        let command_line = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned();
        Some(Self { pid, parent, state, command_line })
    }
}

/// A container that is removed when this is dropped.
pub struct Container {
    name: String,
    engine: Engine,
}

/// Words that start the probe with this order in a container.
pub fn probe(order: Order) -> Vec<String> {
    format!("probe {order}").split(' ').map(str::to_owned).collect()
}

impl Container {
    pub fn new() -> Self {
        Self::of(&Engine::of_the_machine())
    }

    pub fn of(engine: &Engine) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("dumb-init-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { name, engine: engine.clone() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `docker run` with these options, an image and a command.
    pub fn run<W: AsRef<OsStr>>(&self, options: &[&str], image: &str, words: &[W]) -> Start {
        let start = self.engine.client().words(["run", "--network", "none", "--name", &self.name]);
        start.words(options).word(image).words(words)
    }

    /// `docker exec`
    pub fn exec<W: AsRef<OsStr>>(&self, words: &[W]) -> Start {
        self.engine.client().words(["exec", &self.name]).words(words)
    }

    /// `docker kill --signal`
    pub fn kill(&self, signal: &str) {
        self.engine.docker(&["kill", "--signal", signal, &self.name]).expect("docker kill");
    }

    /// `docker update`
    pub fn update(&self, options: &[&str]) {
        self.engine.docker(&[&["update"], options, &[&self.name]].concat()).expect("docker update");
    }

    /// A template's value, `docker inspect`.
    pub fn inspect(&self, template: &str) -> String {
        let output =
            self.engine.docker(&["inspect", "--format", template, &self.name]).expect("docker inspect");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Its stdout, including that before a restart.
    pub fn logs(&self) -> String {
        let output = self.engine.docker(&["logs", &self.name]).expect("docker logs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every process in its PID namespace, including zombies and processes that have entered it.
    pub fn processes(&self) -> Vec<Process> {
        Process::all(&self.proc())
    }

    /// The only process that runs the probe with this order. Waits until there is one.
    pub fn process(&self, order: Order) -> Process {
        self.process_with(&probe(order).join(" "))
    }

    /// The only process with this command line. Waits until there is one.
    pub fn process_with(&self, command_line: &str) -> Process {
        let proc = self.proc();
        let mut found = Vec::new();
        procfs::ask_until(&format!("there is one {command_line}"), || {
            found = Process::all(&proc);
            found.retain(|process| process.command_line == command_line);
            found.len() == 1
        });
        found.remove(0)
    }

    /// Waits until its processes are as wanted.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&[Process]) -> bool) {
        let proc = self.proc();
        let tell = || format!("{what}: {:#?}", Process::all(&proc));
        procfs::wait_or_tell(|| wanted(&Process::all(&proc)), tell);
    }

    /// Waits until it has no zombie. A process is one for a moment after its exit.
    pub fn expect_no_zombie(&self) {
        self.wait_until("there is no zombie", |processes| {
            processes.iter().all(|process| process.state != 'Z')
        });
    }

    /// Path of its own /proc.
    fn proc(&self) -> PathBuf {
        self.engine.proc.join(self.inspect("{{.State.Pid}}")).join("root/proc")
    }

    /// `docker stop`, with more time than anything takes.
    pub fn stop(&self) {
        self.stop_within(60);
    }

    /// `docker stop`, which kills after so many seconds.
    pub fn stop_within(&self, seconds: u32) {
        self.engine.docker(&["stop", "-t", &seconds.to_string(), &self.name]).expect("docker stop");
    }

    /// When the engine got the last line that the container printed, and when the container ended,
    /// in seconds of the same day.
    pub fn last_line_and_end(&self) -> (f64, f64) {
        let seconds = |time: &str| {
            let time = time.split_once('T').expect(time).1.trim_end_matches('Z');
            time.split(':')
                .map(|part| part.parse::<f64>().expect(time))
                .fold(0.0, |sum, part| sum * 60.0 + part)
        };
        let lines = self.engine.docker(&["logs", "--timestamps", &self.name]).expect("docker logs");
        let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
        let last = lines.lines().last().and_then(|line| line.split(' ').next()).expect("a line");
        (seconds(last), seconds(&self.inspect("{{.State.FinishedAt}}")))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.engine.docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// Runs a program, which must succeed in time.
pub fn run(command: &mut Command) -> Result<Output, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (has_ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let is_late = end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout);
        if is_late {
            send(pid, libc::SIGKILL);
        }
        is_late
    });
    let output = child.wait_with_output();
    drop(has_ended);
    let is_late = watch.join().expect("the watch");
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), is_late) {
        (true, _) => Ok(output),
        (false, true) => Err(format!("{command:?}: killed after {LONGEST:?}: {stderr}")),
        (false, false) => Err(format!("{command:?}: {stderr}")),
    }
}

/// A call of an engine that takes longer never comes back.
const LONGEST: Duration = Duration::from_mins(3);

pub fn docker(words: &[&str]) -> Result<Output, String> {
    Engine::of_the_machine().docker(words)
}

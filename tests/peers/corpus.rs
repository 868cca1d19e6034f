//! Command lines from public images (`corpus.md`), for the init and the packaged original.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::Names;
use crate::differential::normalised;
use crate::support::{
    Condition, END_OF_WITNESS, MARK, MARKER, Order, Running, Scratch, Start, can_have_pid_namespaces,
    count_lines, init_under_test, is_root, original, probe, procfs, send, skip,
};

/// Line of the table.
struct Line {
    source: &'static str,
    text: String,
    signals: Vec<i32>,
    differs: &'static str,
}

/// The table's lines.
fn lines() -> Vec<Line> {
    let rows = include_str!("corpus.md").lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" |").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "four cells: {row}");
        let signals = cells[2].split_whitespace().map(|number| number.parse().expect("a signal"));
        Line {
            source: cells[0].trim_start_matches("| "),
            text: cells[1].trim_matches(['|', ' ', '`']).replace("\\n", "\n").replace("\\|", "|"),
            signals: signals.filter(|&number| number != libc::SIGTERM).chain([libc::SIGTERM]).collect(),
            differs: cells[3],
        }
    })
    .collect()
}

/// Names of the inits in the lines, and the packaged program.
const INITS: [(&str, &str); 5] = [
    ("dumb-init", "dumb-init"),
    ("tini", "tini"),
    ("docker-init", "tini"),
    ("catatonit", "catatonit"),
    ("podman-init", "catatonit"),
];

/// The init of a line: its path there, and the packaged program.
fn init_of(text: &str) -> (&str, &'static str) {
    let found = text.split_whitespace().find_map(|word| {
        let path = word.trim_start_matches("#!");
        let name = path.rsplit('/').next()?;
        INITS.iter().find(|init| init.0 == name).map(|init| (path, init.1))
    });
    found.unwrap_or_else(|| panic!("no init: {text}"))
}

fn packaged(name: &str) -> Option<PathBuf> {
    let path = if name == "dumb-init" { original() } else { Some(Path::new("/usr/bin").join(name)) };
    let path = path.filter(|path| path.exists());
    if path.is_none() {
        skip(&format!("{name} is not installed"));
    }
    path
}

/// Directories in which lines run: one for the init under test, one for the packaged inits.
struct Roots {
    names: Names,
    command: PathBuf,
}

impl Roots {
    /// `None` if the original is under test, or with a message if the lines cannot run here.
    fn new() -> Option<Self> {
        let names = Names::new()?;
        let has_bash = Path::new("/bin/bash").exists() || skip("no /bin/bash");
        if !has_bash || !can_have_pid_namespaces() {
            return None;
        }
        // Only the witness takes arguments.
        let text = format!(
            "#!/bin/sh\n[ \"$ORDER\" = witness ] || set --\nexec {} $ORDER \"$@\"\n",
            probe().display()
        );
        let command = names.0.file("command", &text, 0o755);
        Some(Self { names, command })
    }

    /// The line with the program at the path of its init, in the directory of this name.
    fn text(&self, line: &str, kind: &str, program: &Path) -> String {
        let (path, _) = init_of(line);
        let name = path.rsplit('/').next().expect("a name");
        // A name alone is searched in PATH.
        let directory = if path == name { "bin" } else { path.rsplit_once('/').expect("a path").0 };
        let init = self.names.link(&format!("{kind}/{}", directory.trim_matches('/')), program, name);
        let line = line.replace("COMMAND", &self.command.display().to_string());
        if path == name { line } else { line.replacen(path, &init.display().to_string(), 1) }
    }

    /// The line as PID 1, with a command of this order.
    fn start(&self, line: &str, kind: &str, program: &Path, order: Order) -> Running {
        self.start_text(&self.text(line, kind, program), kind, order)
    }

    fn start_text(&self, text: &str, kind: &str, order: Order) -> Running {
        let root = self.names.0.path().join(kind);
        std::fs::create_dir_all(root.join("bin")).expect("a directory");
        let start = if text.starts_with("#!") {
            let body = format!("{text}\nexec {} \"$@\"\n", self.command.display());
            Start::program(self.names.0.file(format!("{kind}/script"), &body, 0o755)).words(["a", "b c", ""])
        } else {
            Start::program("/bin/bash").words(["-c", text, "bash", "a", "--b"])
        };
        start
            .in_namespace()
            .directory(&root)
            .variable("PATH", format!("{}/bin:/usr/bin:/bin", root.display()))
            .variable("ORDER", order.to_string())
            .start()
    }
}

/// The command of this order, and its init.
fn command_and_init(running: &Running, order: Order) -> (Pid, Pid) {
    let has_order = |pid: Pid| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split('\0').nth(1) == Some(&order.to_string())
    };
    let mut commands = running.descendants().into_iter().filter(|&pid| has_order(pid));
    let found = commands.find_map(|pid| {
        let parent = procfs::parent(pid).filter(|&parent| !has_order(parent))?;
        Some((pid, parent))
    });
    found.unwrap_or_else(|| panic!("no command\n{running}"))
}

/// What a line does with one of the inits.
struct Seen {
    status: i32,
    /// The same after each signal, if the signals have their default effect on the command.
    statuses: Vec<i32>,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

impl Seen {
    fn of(roots: &Roots, line: &Line, kind: &str, program: &Path) -> Self {
        let mut running = roots.start(&line.text, kind, program, Order::Witness);
        running.wait_for_line("command ready");
        let (_, init) = command_and_init(&running, Order::Witness);
        let marker = format!("command got {MARKER}");
        for (index, &number) in line.signals.iter().enumerate() {
            send(init, number);
            send(init, MARKER);
            procfs::wait_until("the command has its signals, or is dead", || {
                count_lines(&running.stdout(), &marker) == index + 1 || running.has_ended()
            });
        }
        send(init, END_OF_WITNESS);
        let outcome = running.outcome();
        let root = roots.names.0.path().join(kind).display().to_string();
        let comparable = |text: &str| -> Vec<String> {
            let text = text.replace(&root, "ROOT");
            let is_same = |line: &&str| !line.contains(MARK);
            text.lines().filter(is_same).map(str::to_owned).collect()
        };
        let mut stdout = comparable(&outcome.stdout());
        // The lines of each process have their order.
        stdout.sort_by_key(|line| line.starts_with("member"));
        let mut stderr = outcome.stderr();
        if init_of(&line.text).1 == "dumb-init" {
            stderr = normalised(&stderr);
        }
        let mut stderr = comparable(&stderr);
        // The kernel may merge those of two children.
        stderr.retain(|line| !line.ends_with("Received signal 17."));
        let statuses = line.signals.iter().map(|&number| {
            let running = roots.start(&line.text, kind, program, Order::UntilMarker);
            running.wait_for_line("ready");
            let (_, init) = command_and_init(&running, Order::UntilMarker);
            send(init, number);
            // A command that survives exits with 42.
            send(init, MARKER);
            running.outcome().code()
        });
        Self { status: outcome.code(), statuses: statuses.collect(), stdout, stderr }
    }

    fn lines(&self) -> Vec<String> {
        let status = format!("status {}, {:?}", self.status, self.statuses);
        [vec![status], self.stdout.clone(), vec!["stderr:".into()], self.stderr.clone()].concat()
    }

    /// The same without the parts of an intended difference.
    fn without(mut self, difference: &str) -> Self {
        match difference {
            "" => {}
            "log" => {
                let is_log = |line: &String| {
                    ["[INFO ", "[DEBUG", "[TRACE", "[WARN ", "[dumb-init] ", "[tini] ", "[catatonit] "]
                        .iter()
                        .any(|start| line.starts_with(start))
                };
                self.stdout.retain(|line| !is_log(line));
                self.stderr.retain(|line| !is_log(line));
            }
            "mask" => self.stdout.retain(|line| !line.starts_with("command blocked ")),
            _ => panic!("an unknown difference: {difference}"),
        }
        self
    }
}

#[test]
fn corpus_has_all_forms_with_a_source() {
    let lines = lines();
    assert!(lines.len() >= 35, "{}", lines.len());
    for line in &lines {
        assert!(line.source == "-" || line.source.contains('/'), "{}", line.source);
        assert!(line.text.starts_with("#!") || line.text.contains("COMMAND"), "{}", line.text);
    }
}

#[test]
fn corpus_lines_behave_like_the_packaged_init() {
    let Some(roots) = Roots::new() else { return };
    let mut failures = String::new();
    for line in lines() {
        let Some(original) = packaged(init_of(&line.text).1) else { continue };
        let [ours, theirs] = [("ours", init_under_test()), ("theirs", original)]
            .map(|(kind, program)| Seen::of(&roots, &line, kind, &program));
        let is_listed = line.differs.is_empty() || ours.lines() != theirs.lines();
        let [ours, theirs] = [ours, theirs].map(|seen| seen.without(line.differs).lines());
        if !is_listed || ours != theirs {
            let beyond = |lines: &[String], others: &[String]| -> Vec<String> {
                lines.iter().filter(|line| !others.contains(line)).cloned().collect()
            };
            let (here, there) = (beyond(&ours, &theirs), beyond(&theirs, &ours));
            let _ = writeln!(failures, "{}\n{}\nours: {here:#?}\ntheirs: {there:#?}", line.source, line.text);
        }
    }
    assert!(failures.is_empty(), "these lines, or the difference that they name:\n{failures}");
}

/// Signals that the command receives when the parent of its init dies. `None` if the init dies.
fn after_the_parent(roots: &Roots, line: &Line, kind: &str, program: &Path) -> Option<String> {
    let text = roots.text(line.text.trim_start_matches("exec "), kind, program);
    // The init's parent is a subshell. PID 1 waits for both children.
    let text = format!("tail -f /dev/null & ({text}; exit) & wait");
    let running = roots.start_text(&text, kind, Order::Witness);
    running.wait_for_line("command ready");
    let (_, init) = command_and_init(&running, Order::Witness);
    let marker = format!("command got {MARKER}");
    let before = running.stdout();
    send(procfs::parent(init).expect("a parent"), libc::SIGKILL);
    let mut lives = true;
    // The marker is the higher number. If the init has a signal of its own, it is dealt with first.
    procfs::wait_until("its parent is dead", || {
        lives = !matches!(procfs::state(init), None | Some('Z'));
        !lives || procfs::parent(init) == Some(running.pid())
    });
    send(init, MARKER);
    procfs::wait_until("the command has the signal, or the init is dead", || {
        lives = !matches!(procfs::state(init), None | Some('Z'));
        !lives || count_lines(&running.stdout(), &marker) == 1
    });
    let received = running.stdout()[before.len()..].to_owned();
    let received: Vec<&str> = received.lines().filter(|line| line.starts_with("command ")).collect();
    lives.then(|| received.join("\n"))
}

#[test]
fn corpus_parent_death_signals_are_those_of_tini() {
    let Some(roots) = Roots::new() else { return };
    let lines: Vec<Line> = lines().into_iter().filter(|line| line.text.contains(" -p ")).collect();
    assert!(lines.len() >= 3, "{}", lines.len());
    for line in lines {
        let Some(original) = packaged("tini") else { return };
        let [ours, theirs] = [("ours", init_under_test()), ("theirs", original)]
            .map(|(kind, program)| after_the_parent(&roots, &line, kind, &program));
        assert_eq!(ours, theirs, "{}", line.text);
        let expected = (!line.text.contains("SIGKILL")).then_some("command got 15\ncommand got 63");
        assert_eq!(ours.as_deref(), expected, "{}", line.text);
    }
}

/// kubernetes/ingress-nginx, rootfs/Dockerfile.
#[test]
fn file_with_capabilities_behaves_like_the_original() {
    let Some(original) = Names::new().and_then(|_| packaged("dumb-init")) else { return };
    if !can_have_pid_namespaces() || !is_root() {
        return;
    }
    let reports = [init_under_test(), original].map(|program| {
        let directory = Scratch::new();
        let init = directory.executable_copy(&program);
        let setcap = std::process::Command::new("setcap").arg("cap_net_bind_service=+ep").arg(&init).status();
        if !setcap.is_ok_and(|status| status.success()) {
            skip("setcap is missing, or the file system has no capabilities");
            return None;
        }
        let start = Start::program(&init).condition(Condition::User(65534)).in_namespace();
        let running = start.variable("A", "a b").word("--").probe(Order::Witness).start();
        running.wait_for_line("command ready");
        let (command, init) = command_and_init(&running, Order::Witness);
        let capabilities = [init, command].map(|pid| procfs::status_field(pid, "CapEff"));
        for number in [libc::SIGHUP, libc::SIGTERM, END_OF_WITNESS] {
            send(init, number);
        }
        let outcome = running.outcome();
        // The dynamic linker removes LD_LIBRARY_PATH if the file has capabilities. A static program has none.
        let differs = |line: &str| [MARK, "LD_LIBRARY_PATH"].iter().any(|name| line.contains(name));
        let mut lines: Vec<String> =
            outcome.stdout().lines().filter(|line| !differs(line)).map(str::to_owned).collect();
        lines.sort_by_key(|line| line.starts_with("member"));
        Some((capabilities, outcome.code(), lines, outcome.stderr()))
    });
    let [Some(ours), Some(theirs)] = reports else { return };
    assert_eq!(ours, theirs);
    assert!(ours.0[0] != ours.0[1] && ours.2.iter().any(|line| line == "member got 15"), "{ours:?}");
}

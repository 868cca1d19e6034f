//! Real programs with the settings of docs/recipes.md, each as PID 1 of a namespace.
//!
//! Each test takes its settings from the table of the page. Most of them show in addition that the program
//! loses something without the setting.

mod databases;
mod documentation;
mod jobs;
mod node;
mod scripts;
mod slow;
mod web;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::services::installed;
use crate::support::{
    Outcome, Running, Scratch, Start, can_have_pid_namespaces, init_beyond, patience, procfs,
};

const PAGE: &str = include_str!("../../docs/recipes.md");

/// Line of the table: program, settings, tried with, tests.
struct Row {
    program: &'static str,
    settings: Vec<&'static str>,
    tried: &'static str,
    tests: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("| program |")).skip(2);
    let code = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Row { program: cells[1], settings: code(cells[2]), tried: cells[3], tests: code(cells[4]) }
    };
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// The init as PID 1 with the settings of a program, or `None` if the test is skipped.
fn recipe(program: &str) -> Option<Start> {
    let row = rows().into_iter().find(|row| row.program == program);
    let row = row.unwrap_or_else(|| panic!("no row about {program}"));
    let variables = row.settings.iter().filter_map(|setting| setting.split_once('='));
    Some(variables.fold(without_settings()?, |start, (name, value)| start.variable(name, value)))
}

/// The init as PID 1, or `None` if the test is skipped.
fn without_settings() -> Option<Start> {
    init_beyond().filter(|_| can_have_pid_namespaces()).map(Start::in_namespace)
}

/// Directory of a test, which the workers of a server may enter. It is the home directory of the programs.
struct Place(Scratch);

impl Place {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let permissions = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(scratch.path(), permissions).expect("permissions");
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The text with the path of the directory for HERE.
    fn text(&self, text: &str) -> String {
        text.replace("HERE", &self.0.path().display().to_string())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        self.0.file(name, &self.text(text), 0o644)
    }

    /// Writes a script whose shell waits for its last program.
    fn script(&self, text: &str) -> PathBuf {
        self.0.file("start.sh", &format!("#!/bin/sh\n{}\necho ended\n", self.text(text)), 0o755)
    }

    fn start<W: AsRef<OsStr>>(&self, init: Start, words: impl IntoIterator<Item = W>) -> Running {
        init.directory(self.0.path()).variable("HOME", self.0.path()).words(words).start()
    }
}

/// The path of an installed program, also in directories that are only in root's `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() { Some(path) } else { installed(name) }
}

/// A program of the environment with celery (`TEST_CELERY`), or skips the test.
fn python_program(name: &str) -> Option<PathBuf> {
    let beside = std::env::var_os("TEST_CELERY").map(|celery| PathBuf::from(celery).with_file_name(name));
    beside.filter(|path| path.exists()).or_else(|| installed(name))
}

/// Sends a request as soon as the server listens. The thread returns all that was received.
fn request<S: Read + Write>(connect: impl Fn() -> io::Result<S> + Send + 'static) -> JoinHandle<String> {
    spawn(move || {
        let mut stream = None;
        procfs::ask_until("a server listens", || {
            stream = connect().ok();
            stream.is_some()
        });
        let mut stream = stream.expect("a connection");
        stream.write_all(b"GET /slow HTTP/1.0\r\nHost: test\r\n\r\n").expect("a request");
        let mut reply = Vec::new();
        // A server that exits resets the connection.
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    })
}

fn request_to_socket(path: PathBuf) -> JoinHandle<String> {
    request(move || {
        let stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(patience(Duration::from_secs(60))))?;
        Ok(stream)
    })
}

/// Stops the container during a request, and returns the reply and the outcome.
fn stop_during(request: JoinHandle<String>, running: Running, signal: i32) -> (String, Outcome) {
    running.signal(signal);
    let outcome = running.outcome();
    (request.join().expect("the request"), outcome)
}

/// A TCP port of the loopback interface that nothing listens on.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("an address").port()
}

//! Exit status and output of a program, and expectations about them.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::probe_protocol::{Property, Report};

/// Exit status and output of a program.
pub struct Outcome {
    pub(super) line: String,
    pub(super) status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The exit status, or minus the signal that ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().expect("a status or a signal"))
    }

    /// Value of a property that the probe has printed.
    pub fn report(&self, name: Property) -> String {
        property(&self.stdout(), name).unwrap_or_else(|| panic!("no {name} in the report\n{self}"))
    }

    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "exit status\n{self}");
        self
    }

    #[track_caller]
    pub fn expect_stdout(&self, text: &str) -> &Self {
        assert_eq!(self.stdout(), text, "stdout\n{self}");
        self
    }

    /// Expects these lines of the probe on stdout.
    #[track_caller]
    pub fn expect_reports(&self, reports: &[Report]) -> &Self {
        let lines: Vec<String> = reports.iter().map(Report::to_string).collect();
        self.expect_stdout(&(lines.join("\n") + "\n"))
    }

    #[track_caller]
    pub fn expect_stderr(&self, text: &str) -> &Self {
        assert_eq!(self.stderr(), text, "stderr\n{self}");
        self
    }
}

/// Value of a property that the probe has printed.
pub fn property(text: &str, name: Property) -> Option<String> {
    text.lines().find_map(|line| Some(line.trim_end().strip_prefix(&format!("{name}="))?.to_owned()))
}

/// Text of a value that the probe prints in hexadecimal digits.
pub fn decoded(hex: &str) -> String {
    let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("digits");
    String::from_utf8(hex.as_bytes().chunks(2).map(byte).collect()).expect("a text")
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        write!(out, "command: {}\nstatus: {:?}\nstdout:\n{stdout}\nstderr:\n{stderr}", self.line, self.status)
    }
}

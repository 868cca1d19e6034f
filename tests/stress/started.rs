//! A running init: its output and its end.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::state;
use crate::support::send;

/// Time limit for immediate effects.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// End of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Killed(i32),
}

/// An init that runs. It is killed, with its children's groups, when this is dropped.
pub struct Started {
    pub pid: Pid,
    pidfd: OwnedFd,
    pub stdout: Lines,
    pub stderr: Option<PipeReader>,
    end: Option<End>,
}

impl Started {
    /// The init with this PID, a child of this process.
    pub fn new(pid: Pid, stdout: PipeReader, stderr: Option<PipeReader>) -> Self {
        // SAFETY: touches no memory.
        let pidfd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
            .expect("pidfd_open");
        // SAFETY: pidfd_open(2) has just returned it; nothing else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd.try_into().unwrap()) };
        Self { pid, pidfd, stdout: Lines(BufReader::new(stdout)), stderr, end: None }
    }

    /// Waits for the first line of the command.
    pub fn wait_for_the_command(&mut self) -> String {
        let line = self.stdout.next_within(PATIENCE);
        line.expect("no word of the probe; is it this version's (`cargo build --examples`)?")
    }

    pub fn signal(&self, number: i32) {
        send(self.pid, number);
    }

    /// Waits for the end of the init. `None` after a timeout.
    pub fn end_within(&mut self, patience: Duration) -> Option<End> {
        if self.end.is_none() && is_readable(self.pidfd.as_raw_fd(), patience) {
            let mut status = 0;
            // SAFETY: writes the status.
            let result = unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, 0) };
            assert_eq!(result, self.pid.as_raw(), "waitpid: {}", Errno::last());
            self.end = Some(match libc::WIFEXITED(status) {
                true => End::Exited(libc::WEXITSTATUS(status)),
                false => End::Killed(libc::WTERMSIG(status)),
            });
        }
        self.end
    }

    /// Notes an end that a tracer has waited for.
    pub fn note_end(&mut self, end: End) {
        self.end = Some(end);
    }

    /// stderr of the init and its command, until their end.
    pub fn stderr(&mut self) -> String {
        let mut text = Vec::new();
        if let Some(stderr) = &mut self.stderr {
            while is_readable(stderr.as_raw_fd(), PATIENCE) {
                let mut buffer = [0; 4096];
                let count = stderr.read(&mut buffer).unwrap_or(0);
                text.extend_from_slice(&buffer[..count]);
                if count == 0 {
                    break;
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.end.is_none() {
            let children = state::children(self.pid);
            self.signal(libc::SIGKILL);
            children.into_iter().for_each(|child| {
                kill_group(child);
                send(child, libc::SIGKILL);
            });
            self.end_within(PATIENCE);
        }
    }
}

/// The lines that a program prints.
pub struct Lines(BufReader<PipeReader>);

impl Lines {
    /// The next line; `None` after a timeout or at the end. A line is printed in one write.
    pub fn next_within(&mut self, patience: Duration) -> Option<String> {
        if self.0.buffer().is_empty() && !is_readable(self.0.get_ref().as_raw_fd(), patience) {
            return None;
        }
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|&count| count > 0)?;
        Some(line.trim_end().to_owned())
    }

    /// Whether every writer ends in time.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.next_within(end.saturating_duration_since(Instant::now())).is_some() {}
        let fd = self.0.get_ref().as_raw_fd();
        is_readable(fd, Duration::ZERO) && self.0.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}

fn is_readable(fd: i32, patience: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: reads and writes one entry.
    unsafe { libc::poll(&raw mut poll, 1, patience.as_millis().try_into().unwrap()) > 0 }
}

/// Waits until a child ends or stops under a trace. nix does not support death by a real-time
/// signal.
pub fn wait_for_any() -> (Pid, i32) {
    let mut status = 0;
    // SAFETY: writes the status.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    (Pid::from_raw(pid), status)
}

/// Kills the members of a group that there may not be.
pub fn kill_group(leader: Pid) {
    // SAFETY: touches no memory.
    unsafe { libc::kill(-leader.as_raw(), libc::SIGKILL) };
}

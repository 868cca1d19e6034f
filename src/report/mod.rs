//! The report of `--report`: the reason for the exit, the last events before it, memory and zombies.
//!
//! [`Report`] collects them, and is written once, as the last act of the program. Without the option, nothing
//! of this runs.

use std::cmp::Reverse;
use std::mem;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::log::{self, escape::Escaped, strerror::strerror};
use crate::options::settings::Destination;
use crate::policy::{Deadline, Reason, Recipient, Request};
use crate::process::{self, Process, descendants::Tree};
use crate::signal::exit_status::ExitStatus;
use crate::signal::{Name, Signum};
use crate::sys::arguments::Arg;
use crate::sys::output;
use crate::sys::signals::Received;
use content::{Content, FIRST_EVENTS, Verdict};
use memory::{Cgroup, Memory};

mod content;
mod memory;

/// The number of events that are kept from before the shutdown: signals, and exits of helpers.
const EARLIER_EVENTS: usize = 3;
/// The number of events that are kept in memory.
const MOST_EVENTS: usize = 64;
/// The number of parents of zombies that are named.
const MOST_PARENTS: usize = 4;
/// The length of the longest name of a process. Then the lines that are never left out fit a report.
const NAME_BYTES: usize = 100;

/// Collects the events that led to the exit.
#[derive(Default)]
pub(crate) struct Report {
    destination: Destination,
    cgroup: Option<Cgroup>,
    /// The command and the helpers, in the order of their start.
    named: Vec<(Pid, Vec<Arg>)>,
    command: Option<Pid>,
    status: Option<ExitStatus>,
    /// The sender of the first of each signal that shuts down, and of the last of each other signal.
    senders: Vec<(Signum, Option<String>)>,
    /// The time of the first signal that shuts down, or of the command's exit.
    start: Option<Instant>,
    events: Vec<(Instant, String)>,
    left_out: usize,
    zombies: Option<Vec<(usize, String)>>,
}

impl Report {
    /// Starts a report, before the command starts. Reads the counter of OOM kills.
    pub(crate) fn new(destination: Destination) -> Self {
        Self { destination, cgroup: Cgroup::find(), ..Self::default() }
    }

    /// Names the command by its arguments.
    pub(crate) fn name_command(&mut self, pid: Pid, argv: &[Arg]) {
        self.command = Some(pid);
        self.name_helper(pid, argv);
    }

    /// Names a helper by its arguments. If it cannot be executed, no other program may be named after it.
    pub(crate) fn name_helper(&mut self, pid: Pid, argv: &[Arg]) {
        self.named.push((pid, argv.to_vec()));
    }

    /// Records the sender of a signal, before the signal is forwarded and ends the sender.
    pub(crate) fn received(&mut self, received: Received) {
        let Received { signum, sender, may_be_key } = received;
        let is_known = self.senders.iter().any(|(other, _)| *other == signum);
        if signum == Signum::CHLD || is_known && signum.shuts_down() {
            return;
        }
        self.senders.retain(|(other, _)| *other != signum);
        let sender = match sender.map(|sender| sender.pid) {
            Some(pid) if pid.as_raw() == 0 => Some("outside the container".to_owned()),
            Some(pid) => Some(match self.name(pid) {
                name if name.is_empty() => format!("PID {pid}"),
                name => format!("PID {pid} ({name})"),
            }),
            // The kernel sends SIGHUP when a terminal is closed.
            None => {
                let is_terminal = may_be_key && (signum.comes_from_a_key() || signum == Signum::HUP);
                is_terminal.then(|| "the terminal".to_owned())
            }
        };
        self.senders.push((signum, sender));
        if signum.shuts_down() {
            self.look_for_zombies();
        }
    }

    /// Records that a signal was sent to so many processes, or to a group of unknown size if that is 0.
    pub(crate) fn forwarded(&mut self, now: Instant, signum: Signum, recipient: Recipient, processes: usize) {
        let plural = |one, several| format!("{processes} {}", if processes == 1 { one } else { several });
        let recipient = match (recipient, processes) {
            (Recipient::Process(pid), _) => format!("process {pid}"),
            (Recipient::Group(leader), 0) => format!("process group {leader}"),
            (_, 0) | (Recipient::Nobody, _) => return,
            (Recipient::Group(leader) | Recipient::RestOfGroup(leader), _) => {
                format!("process group {leader} ({})", plural("process", "processes"))
            }
            (Recipient::Tree | Recipient::Unsignalled(_), _) => plural("descendant", "descendants"),
        };
        if signum.shuts_down() {
            self.start.get_or_insert(now);
        }
        self.record(now, format!("{} forwarded to {recipient}", Name(signum)));
    }

    /// Records the exit of a child, which is still a zombie. `deadline` if our SIGKILL has killed it.
    pub(crate) fn ended(&mut self, now: Instant, pid: Pid, status: ExitStatus, deadline: Option<Deadline>) {
        if self.command == Some(pid) {
            self.status = Some(status);
            self.start.get_or_insert(now);
            self.look_for_zombies();
        }
        // Orphans that are reaped while the command runs are no news.
        if self.start.is_some() || self.named.iter().any(|(named, _)| *named == pid) {
            self.record(now, self.ending(pid, status, deadline));
        }
    }

    /// Writes the report of a program that could not be started.
    pub(crate) fn write_not_started(mut self, argv: &[Arg], errno: Errno) {
        self.name_helper(Pid::from_raw(0), argv);
        self.write(Reason::NotStarted(errno), ExitStatus::FAILURE);
    }

    /// Writes the report, if it can be written. `status` is the exit status of the program.
    pub(crate) fn write(mut self, reason: Reason, status: ExitStatus) {
        let memory = self.cgroup.as_ref().map(Cgroup::memory);
        let destination = mem::take(&mut self.destination);
        let content = self.finish(reason, status, memory);
        match destination {
            Destination::Stderr => {
                log::write_report(&content.fit(|content| content.text(&log::Prefix.to_string())));
            }
            Destination::File(path, format) => {
                let report = content.fit(|content| content.in_format(format));
                if let Err(errno) = output::write_file(&path, report.as_bytes()) {
                    log::write_no_report(&path, errno);
                }
            }
        }
    }

    fn record(&mut self, at: Instant, event: String) {
        self.events.push((at, event));
        if self.start.is_none() && self.events.len() > EARLIER_EVENTS {
            self.events.remove(0);
        } else if self.events.len() > MOST_EVENTS {
            self.events.remove(FIRST_EVENTS);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// The command line of a process that we have started, otherwise the kernel's name. Another process's
    /// command line is in its memory, and a read of that can block.
    fn name(&self, pid: Pid) -> String {
        let argv = self.named.iter().find(|(named, _)| *named == pid).map(|(_, argv)| command_line(argv));
        let name = || Some(Process::read(pid).ok()??.name.to_string());
        argv.or_else(name).unwrap_or_default()
    }

    /// The name and the PID.
    fn process(&self, pid: Pid) -> String {
        let name = self.name(pid);
        if name.is_empty() { format!("PID {pid}") } else { format!("{name} (PID {pid})") }
    }

    fn ending(&self, pid: Pid, status: ExitStatus, deadline: Option<Deadline>) -> String {
        let process = self.process(pid);
        match (status, deadline) {
            (ExitStatus::Exited(code), _) => format!("{process} exited with status {code}"),
            (ExitStatus::Killed(Signum::KILL), Some(deadline)) => {
                let (name, duration) = match deadline {
                    Deadline::Drain(duration) => ("drain", duration),
                    Deadline::KillAfter(duration) => ("kill-after", duration),
                };
                let mut time = format!("{duration:?}");
                time.insert(time.find(char::is_alphabetic).unwrap_or(0), ' ');
                format!("{process} killed by dumb-init: {name} deadline ({time})")
            }
            (ExitStatus::Killed(signum), _) => format!("{process} killed by {}", Name(signum)),
        }
    }

    /// Counts the zombies of living descendants. This is done once, at the beginning of the shutdown, since
    /// zombies become our children when their parent exits.
    fn look_for_zombies(&mut self) {
        if self.zombies.is_none() {
            let tree = Tree::new(process::snapshot().unwrap_or_default());
            let zombies = |parent| tree.children(parent).iter().filter(|child| !child.is_alive()).count();
            let parents = tree.descendants(getpid(), |_| false, |_| false);
            let counts = parents.iter().map(|parent| (zombies(parent.pid), parent.pid));
            let mut counts: Vec<_> = counts.filter(|(count, _)| *count > 0).collect();
            counts.sort_by_key(|(count, _)| Reverse(*count));
            let counts = counts.into_iter().take(MOST_PARENTS);
            self.zombies = Some(counts.map(|(count, parent)| (count, self.process(parent))).collect());
        }
    }

    fn finish(self, reason: Reason, status: ExitStatus, memory: Option<Memory>) -> Content {
        Content {
            verdict: self.verdict(reason, status, memory),
            status: status.code(),
            start: self.start,
            events: self.events,
            left_out: self.left_out,
            memory,
            zombies: self.zombies.unwrap_or_default(),
        }
    }

    fn verdict(&self, reason: Reason, status: ExitStatus, memory: Option<Memory>) -> Verdict {
        const KILLED: ExitStatus = ExitStatus::Killed(Signum::KILL);
        // A shell reports the death of its child as 137.
        let is_kill = self.status.unwrap_or(status).code() == KILLED.code();
        let is_out_of_memory = is_kill && memory.and_then(|memory| memory.kills).unwrap_or(0) > 0;
        let (words, detail, signal) = match (reason, self.status) {
            (Reason::ByItself | Reason::Killed(Signum::KILL), _) if is_out_of_memory => {
                let victim = if self.status == Some(KILLED) { "the command" } else { "a process" };
                ("out of memory", format!("the OOM killer has killed {victim}"), None)
            }
            (Reason::ByItself, Some(ExitStatus::Killed(signum))) => {
                ("exited by itself", format!("killed by {}", Name(signum)), Some(signum))
            }
            (Reason::ByItself, _) => ("exited by itself", String::new(), None),
            (Reason::Requested(request), _) => return self.request(request),
            (Reason::Killed(signum), _) => ("killed from outside", Name(signum).to_string(), Some(signum)),
            (Reason::Deadline(Deadline::Drain(time)), _) => {
                ("killed at the deadline", format!("--drain {time:?}"), None)
            }
            (Reason::Deadline(Deadline::KillAfter(time)), _) => {
                ("killed at the deadline", format!("--kill-after {time:?}"), None)
            }
            (Reason::Helper { pid, status }, _) => ("a helper exited", self.ending(pid, status, None), None),
            (Reason::NotStarted(errno), _) => {
                let program = self.named.last().and_then(|(_, argv)| argv.get(..1)).unwrap_or_default();
                ("not started", format!("{}: {}", command_line(program), strerror(errno)), None)
            }
        };
        Verdict { words, detail, signal, sender: None }
    }

    fn request(&self, Request { received, sent }: Request) -> Verdict {
        let sender = self.senders.iter().find(|(signum, _)| *signum == received);
        let sender = sender.and_then(|(_, sender)| sender.clone());
        let mut detail = Name(sent).to_string();
        if received != sent {
            detail = format!("{detail} (received as {})", Name(received));
        }
        if let Some(sender) = &sender {
            detail = format!("{detail} from {sender}");
        }
        Verdict { words: "stopped on request", detail, signal: Some(sent), sender }
    }
}

/// The words of a command, escaped and cut.
fn command_line(argv: &[Arg]) -> String {
    const END: usize = NAME_BYTES - 3;
    let bytes = argv.iter().flat_map(|word| [b" ", word.to_bytes()]).flatten().skip(1);
    // If the last character is incomplete, it is cut below.
    let bytes: Vec<u8> = bytes.copied().take(NAME_BYTES + 4).collect();
    let mut name = Escaped(&bytes).to_string();
    if name.len() > NAME_BYTES {
        name.truncate((0..=END).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0));
        name.push_str("...");
    }
    name
}

#[cfg(test)]
mod tests;

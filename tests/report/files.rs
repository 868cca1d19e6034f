//! The file of the report.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Report, command_of, sender, start_waiting};
use crate::shutdown::in_both_settings;
use crate::support::{
    Condition, Order, Report as Line, Scratch, init_beyond, init_under_test, is_root, procfs, skip,
    without_pids,
};

#[test]
fn file_is_replaced_and_has_the_lines_without_prefix() {
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let old = scratch.file("old", &"old text\n".repeat(999), 0o600);
        let link = scratch.path().join("link");
        symlink(&old, &link).expect("a link");
        let outcome = start.word("--report").word(&link).words(["sh", "-c", "exit 7"]).run();
        outcome.expect_code(7).expect_stderr("");
        let text = fs::read_to_string(&old).expect("the report");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("exited by itself; exit status 7"), "{text}");
        let event = without_pids(lines.next().expect("a line"));
        assert_eq!(event, "   0.000 s  sh -c exit 7 (PID N) exited with status 7");
        assert!(lines.all(|line| line.starts_with("memory: ")) && text.ends_with('\n'), "{text}");
        assert_eq!(fs::metadata(&old).expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    });
}

#[test]
fn file_is_opened_only_at_the_end_and_readable() {
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let path = scratch.path().join("report");
        let start = start.variable("DUMB_INIT_REPORT", &path);
        let (running, input) = start_waiting(start, "umask 077; echo ready; read line");
        running.wait_for_line("ready");
        assert!(!path.exists());
        drop(input);
        running.outcome().expect_code(1).expect_stderr("");
        let umask = procfs::status_field(nix::unistd::getpid(), "Umask").expect("the umask");
        let umask = u32::from_str_radix(&umask, 8).expect("a number");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o644 & !umask);
    });
}

/// Expects the exit status of the command, and a line about this error, without a delay.
fn expect_failure(path: &Path, error: &str) {
    in_both_settings(|start| {
        let begin = Instant::now();
        let outcome = start.word("--report").word(path).words(["sh", "-c", "exit 7"]).run();
        let line = format!("[dumb-init] Unable to write report {} ({error}).\n", path.display());
        outcome.expect_code(7).expect_stderr(&line);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    });
}

#[test]
fn file_that_cannot_be_written_is_one_line() {
    let scratch = Scratch::new();
    expect_failure(&scratch.path().join("no/report"), "errno=2 No such file or directory");
    expect_failure(scratch.path(), "errno=21 Is a directory");
    expect_failure(Path::new("/dev/full"), "errno=28 No space left on device");
}

#[test]
fn fifo_without_a_reader_or_room_does_not_block() {
    let scratch = Scratch::new();
    let path = scratch.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    expect_failure(&path, "errno=6 No such device or address");
    // We are its reader, too, and never read.
    let mut fifo =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("a FIFO");
    while fifo.write(&[b'x'; 4096]).is_ok() {}
    expect_failure(&path, "errno=11 Resource temporarily unavailable");
}

#[test]
fn directory_of_another_user_is_one_line() {
    if !is_root() {
        return;
    }
    let Some(start) = init_beyond() else { return };
    let scratch = Scratch::new();
    let start = start.program_at(&scratch.executable_copy(&init_under_test()));
    let path = scratch.path().join("report");
    let start = start.condition(Condition::User(65534)).word("--report").word(&path);
    let line =
        format!("[dumb-init] Unable to write report {} (errno=13 Permission denied).\n", path.display());
    start.words(["sh", "-c", "exit 7"]).run().expect_code(7).expect_stderr(&line);
}

#[test]
fn report_of_hundreds_of_exits_has_at_most_4096_bytes() {
    in_both_settings(|start| {
        let start = start.words(["--report", "-", "--drain", "60s"]).probe(Order::WaitingOrphans(300));
        let running = start.start();
        running.wait_for_line(Line::Ready);
        // All are in the command's group.
        running.signal(libc::SIGTERM);
        let outcome = running.outcome();
        assert!((3700..=4096).contains(&outcome.stderr.len()), "{}\n{outcome}", outcome.stderr.len());
        let report = Report::of(&outcome);
        assert!(report.verdict.ends_with("; exit status 143"), "{outcome}");
        assert!(report.events[0].1.ends_with(" (301 processes)"), "{outcome}");
        // The line is behind the first six events.
        let line = outcome.stderr().lines().nth(7).expect("a line").to_owned();
        let left_out =
            line.strip_prefix("[dumb-init] ... ").and_then(|line| line.strip_suffix(" lines left out"));
        let left_out: usize = left_out.and_then(|number| number.parse().ok()).expect(&line);
        assert_eq!(report.events.len() + left_out, 302, "{outcome}");
    });
}

/// Prints the verdict, the names of the keys, and the first event of a report.
const READER: &str = "
import json, sys
report = json.load(open(sys.argv[1], encoding='utf-8'))
assert all(type(event['time']) is float and set(event) == {'time', 'text'} for event in report['events'])
assert report['memory'] is None or set(report['memory']) == {'peak', 'limit', 'oom_kills'}
assert report['zombies'] == [] and report['left_out'] == 0
print(*sorted(report))
for key in ['verdict', 'detail', 'signal', 'sender', 'exit_status']:
    print(report[key])
for event in report['events']:
    print(ascii(event['text']))
";

/// What the reader prints of a report.
fn read_json(path: &Path) -> Option<Vec<String>> {
    let Ok(output) = Command::new("python3").args(["-c", READER]).arg(path).output() else {
        skip("no python3 is installed");
        return None;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{}", fs::read_to_string(path).unwrap_or_default());
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

const KEYS: &str = "detail events exit_status left_out memory sender signal verdict zombies";

#[test]
fn json_report_is_one_object_with_all_keys() {
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let path = scratch.path().join("report.json");
        let start = start.word("--report").word(&path);
        let (running, _input) = start_waiting(start, "echo ready; read line");
        running.wait_for_line("ready");
        let (sender, command) = (sender(&running), command_of(&running));
        running.signal(libc::SIGTERM);
        running.outcome().expect_code(143).expect_stderr("");
        let Some(lines) = read_json(&path) else { return };
        let detail = format!("SIGTERM from {sender}");
        assert_eq!(lines[..6], [KEYS, "stopped on request", &detail, "SIGTERM", &sender, "143"]);
        let forwarded = format!("'SIGTERM forwarded to process group {command} (1 process)'");
        let killed = format!("'sh -c echo ready; read line (PID {command}) killed by SIGTERM'");
        assert_eq!(lines[6..], [forwarded, killed]);
    });
}

#[test]
fn odd_bytes_in_a_name_are_escaped() {
    for name in ["report", "report.json"] {
        in_both_settings(|start| {
            let scratch = Scratch::new();
            let path = scratch.path().join(name);
            let odd = std::ffi::OsStr::from_bytes(b"a\n\x1b[2J\xff\"\\\xe2\x80\xaeb");
            let start = start.word("--report").word(&path);
            start.words(["sh", "-c", "exit 7"]).word(odd).run().expect_code(7).expect_stderr("");
            let escaped = "sh -c exit 7 a\\n\\u{1b}[2J\\xff\"\\\\u{202e}b (PID N) exited with status 7";
            let text = fs::read_to_string(&path).expect("UTF-8");
            if name == "report" {
                let line = text.lines().nth(1).expect("a line");
                assert_eq!(without_pids(line), format!("   0.000 s  {escaped}"));
            } else if let Some(lines) = read_json(&path) {
                let shown = escaped.replace('\\', "\\\\");
                let expected = [KEYS, "exited by itself", "", "None", "None", "7", &format!("'{shown}'")];
                let lines: Vec<String> = lines.iter().map(|line| without_pids(line)).collect();
                assert_eq!(lines, expected);
            }
        });
    }
}

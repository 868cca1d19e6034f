use std::time::Duration;

use super::content::MOST_BYTES;
use super::*;
use crate::options::settings::Format;

const COMMAND: Pid = Pid::from_raw(i32::MAX);
const HELPER: Pid = Pid::from_raw(i32::MAX - 1);
const KILLED: ExitStatus = ExitStatus::Killed(Signum::KILL);

fn report() -> Report {
    let mut report = Report::default();
    report.name_helper(HELPER, &[c"crond", c"-f"]);
    report.name_command(COMMAND, &[c"/bin/sh", c"/start.sh"]);
    report
}

fn request(received: Signum, sent: Signum) -> Reason {
    Reason::Requested(Request { received, sent })
}

/// A signal without a sender.
fn received(signum: Signum, may_be_key: bool) -> Received {
    Received { signum, sender: None, may_be_key }
}

fn memory(kills: u64) -> Memory {
    Memory { peak: Some(490 << 20), limit: Some(512 << 20), kills: Some(kills) }
}

#[test]
fn verdict_is_one_line_for_each_reason() {
    let segv = Signum::new(libc::SIGSEGV).unwrap();
    let by_137 = ExitStatus::Exited(137);
    let killed = Reason::Killed(Signum::KILL);
    let requested = request(Signum::TERM, Signum::TERM);
    let deadline = Reason::Deadline(Deadline::KillAfter(Duration::from_secs(2)));
    let helper = Reason::Helper { pid: HELPER, status: ExitStatus::Exited(1) };
    let by_helper = "a helper exited: crond -f (PID 2147483646) exited with status 1; exit status 1";
    let not_found = "not started: /bin/sh: No such file or directory; exit status 2";
    for (reason, status, kills, expected) in [
        (Reason::ByItself, ExitStatus::SUCCESS, 1, "exited by itself; exit status 0"),
        (
            Reason::ByItself,
            ExitStatus::Killed(segv),
            1,
            "exited by itself: killed by SIGSEGV; exit status 139",
        ),
        (Reason::ByItself, by_137, 0, "exited by itself; exit status 137"),
        (Reason::ByItself, by_137, 1, "out of memory: the OOM killer has killed a process; exit status 137"),
        (killed, KILLED, 0, "killed from outside: SIGKILL; exit status 137"),
        (killed, KILLED, 2, "out of memory: the OOM killer has killed the command; exit status 137"),
        (deadline, KILLED, 1, "killed at the deadline: --kill-after 2s; exit status 137"),
        (helper, ExitStatus::FAILURE, 0, by_helper),
        (Reason::NotStarted(Errno::ENOENT), ExitStatus::NOT_EXECUTED, 0, not_found),
        (requested, by_137, 1, "stopped on request: SIGTERM; exit status 137"),
    ] {
        let report = Report { status: Some(status), ..report() };
        let text = report.finish(reason, status, Some(memory(kills))).text("");
        assert_eq!(text.lines().next(), Some(expected));
    }
}

#[test]
fn request_names_the_first_sender_and_a_rewritten_signal() {
    let verdict = |signum, sender: &str| {
        let mut report = Report { senders: vec![(Signum::TERM, Some(sender.to_owned()))], ..report() };
        // The second one is not the reason.
        report.received(received(Signum::TERM, false));
        report.received(received(Signum::WINCH, true));
        report.finish(request(Signum::TERM, signum), ExitStatus::SUCCESS, None).text("")
    };
    let outside = "stopped on request: SIGTERM from outside the container; exit status 0\n";
    assert_eq!(verdict(Signum::TERM, "outside the container"), outside);
    let rewritten = "stopped on request: SIGQUIT (received as SIGTERM) from PID 12 (sh); exit status 0\n";
    assert_eq!(verdict(Signum::QUIT, "PID 12 (sh)"), rewritten);
    let mut key = report();
    key.received(received(Signum::INT, true));
    // The way in which it is fetched does not show the sender.
    key.received(received(Signum::QUIT, false));
    assert_eq!(key.senders, [(Signum::INT, Some("the terminal".to_owned())), (Signum::QUIT, None)]);
}

#[test]
fn events_are_timed_from_the_first_signal_that_shuts_down() {
    let (mut report, start) = (report(), Instant::now());
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let orphan = Pid::from_raw(i32::MAX - 2);
    report.ended(at(0), orphan, ExitStatus::SUCCESS, None);
    for milliseconds in 0..9 {
        report.forwarded(at(milliseconds), Signum::HUP, Recipient::Process(COMMAND), 1);
    }
    report.forwarded(at(10), Signum::WINCH, Recipient::Nobody, 0);
    report.ended(at(10), HELPER, ExitStatus::SUCCESS, None);
    report.forwarded(at(2010), Signum::TERM, Recipient::Group(Pid::from_raw(7)), 4);
    report.ended(at(2011), COMMAND, ExitStatus::Killed(Signum::TERM), None);
    report.forwarded(at(2012), Signum::TERM, Recipient::RestOfGroup(COMMAND), 0);
    report.forwarded(at(2012), Signum::TERM, Recipient::Tree, 1);
    report.ended(at(12_011), orphan, KILLED, Some(Deadline::Drain(Duration::from_secs(10))));
    report.zombies = Some(vec![(44, "node (PID 12)".to_owned())]);
    let expected = "exited by itself: killed by SIGTERM; exit status 0
  -2.003 s  SIGHUP forwarded to process 2147483647
  -2.002 s  SIGHUP forwarded to process 2147483647
  -2.000 s  crond -f (PID 2147483646) exited with status 0
   0.000 s  SIGTERM forwarded to process group 7 (4 processes)
   0.001 s  /bin/sh /start.sh (PID 2147483647) killed by SIGTERM
   0.002 s  SIGTERM forwarded to 1 descendant
  10.001 s  PID 2147483645 killed by dumb-init: drain deadline (10 s)
memory: 490 MiB peak of 512 MiB, OOM kills: 0
unreaped zombies: 44, parent node (PID 12)
";
    assert_eq!(report.finish(Reason::ByItself, ExitStatus::SUCCESS, Some(memory(0))).text(""), expected);
}

#[test]
fn report_that_is_too_long_loses_middle_lines() {
    let flood = || {
        let mut report = Report::default();
        report.name_command(COMMAND, &[c"\x1b\xff\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\"; 99]);
        report.forwarded(Instant::now(), Signum::TERM, Recipient::Process(COMMAND), 1);
        for _ in 1..1000 {
            report.ended(Instant::now(), COMMAND, KILLED, Some(Deadline::Drain(Duration::MAX)));
        }
        assert_eq!(report.name(COMMAND).len(), NAME_BYTES);
        report.zombies = Some(vec![(usize::MAX, report.process(COMMAND)); MOST_PARENTS]);
        report.finish(Reason::Helper { pid: COMMAND, status: KILLED }, KILLED, Some(memory(u64::MAX)))
    };
    let text = flood().fit(|content| content.text(&log::Prefix.to_string()));
    assert!((3800..=MOST_BYTES).contains(&text.len()), "{}", text.len());
    assert!(text.contains("    0.000 s  SIGTERM forwarded to process 2147483647\n"));
    let left_out = 1000 - text.matches(" s  ").count();
    let line = text.lines().nth(FIRST_EVENTS + 1).unwrap();
    assert_eq!(line, format!("{}... {left_out} lines left out", log::Prefix));
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()));
    let json = flood().fit(|content| content.in_format(Format::Json));
    assert!((3500..=MOST_BYTES).contains(&json.len()), "{}", json.len());
    assert!(json.contains(&format!("\"left_out\":{}", 1000 - json.matches("\"time\":").count())));
}

#[test]
fn json_has_every_key_and_escapes_names() {
    let mut report = Report { senders: vec![(Signum::TERM, Some("PID 12 (sh)".to_owned()))], ..report() };
    report.named.push((Pid::from_raw(7), vec![c"a \"b\"\\\n"]));
    report.forwarded(Instant::now(), Signum::TERM, Recipient::Process(COMMAND), 1);
    report.ended(Instant::now(), Pid::from_raw(7), ExitStatus::SUCCESS, None);
    report.events[1].0 = report.events[0].0;
    report.zombies = Some(vec![(44, "node (PID 12)".to_owned())]);
    let memory = Memory { peak: Some(1), limit: None, kills: Some(0) };
    let content = report.finish(request(Signum::TERM, Signum::TERM), ExitStatus::SUCCESS, Some(memory));
    let expected = r#"{"verdict":"stopped on request","detail":"SIGTERM from PID 12 (sh)",
"signal":"SIGTERM","sender":"PID 12 (sh)","exit_status":0,"events":[
{"time":0.000,"text":"SIGTERM forwarded to process 2147483647"},
{"time":0.000,"text":"a \"b\"\\\\n (PID 7) exited with status 0"}],"left_out":0,
"memory":{"peak":1,"limit":null,"oom_kills":0},"zombies":[{"count":44,"parent":"node (PID 12)"}]}"#;
    assert_eq!(content.in_format(Format::Json), expected.replace('\n', "") + "\n");
}

#[test]
fn file_that_cannot_be_written_at_once_is_an_error() {
    let path = std::env::temp_dir().join(format!("dumb-init-report-{}", std::process::id()));
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    output::write_file(&name, b"longer").unwrap();
    output::write_file(&name, b"text").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(output::write_file(&name, b""), Err(Errno::ENXIO));
    std::fs::remove_file(&path).unwrap();
}

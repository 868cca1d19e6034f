//! Pipe readers are signalled after their writers.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{count_lines, expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{
    Condition, Order, Outcome, Report, Running, Scratch, Start, init, init_beyond, init_under_test, is_fast,
    patience, procfs, skip,
};

/// Copies its input, names itself at the end of file, and reports a SIGTERM on stderr.
const COPY: &str = r#"trap 'echo "$1 got 15" >&2' TERM
while read -r line; do echo "$line"; done
echo "$1 eof""#;

/// Takes its time to clean up after SIGTERM, and prints that.
const APP: &str = "trap 'echo app stops; sleep 0.2; echo app cleaned up; exit' TERM
echo app ready
while :; do sleep 0.05 & wait; done";

/// The ways to ask for a shutdown that reaches pipelines.
const OPTIONS: [&[&str]; 5] = [
    &["--drain", "60s"],
    &["--forward", "tree"],
    &["--linger"],
    &["--forward", "tree", "--drain", "60s"],
    &["--linger", "--drain", "60s"],
];

/// Scripts for a pipeline, and the words that run bash on `text`, in which they are called COPY and APP.
struct Bash(Scratch);

impl Bash {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.file("copy.sh", COPY, 0o644);
        scratch.file("app.sh", APP, 0o644);
        Self(scratch)
    }

    fn words(&self, text: impl AsRef<str>) -> [String; 3] {
        let path = self.0.path().display();
        let text = text
            .as_ref()
            .replace("COPY", &format!("bash {path}/copy.sh"))
            .replace("APP", &format!("sh {path}/app.sh"));
        let [_, option, text] = script(text.replace("SCRATCH", &path.to_string()));
        ["bash".into(), option, text]
    }
}

/// Stops a run as soon as it has these lines.
fn stop(running: Running, lines: &[&str]) -> Outcome {
    wait_for_lines(&running, lines);
    running.signal(libc::SIGTERM);
    running.outcome()
}

#[test]
fn pipeline_ends_in_order_by_end_of_file() {
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            // The shell waits for its pipeline.
            let text = "trap : TERM; APP | COPY b | COPY c; exit 5";
            let outcome = stop(start.words(options).words(bash.words(text)).start(), &["app ready"]);
            outcome.expect_code(5).expect_stderr("");
            outcome.expect_stdout("app ready\napp stops\napp cleaned up\nb eof\nc eof\n");
        });
    }
}

#[test]
fn pipeline_outlives_the_shell_that_has_started_it() {
    for options in
        [&["--drain", "60s"][..], &["-c", "--drain", "60s"], &["--linger"], &["--linger", "--drain", "60s"]]
    {
        in_both_settings(|start| {
            let bash = Bash::new();
            let outcome =
                stop(start.words(options).words(bash.words("APP | COPY b; :")).start(), &["app ready"]);
            outcome.expect_code(143);
            assert!(!outcome.stderr().contains("got"), "{outcome}");
            outcome.expect_stdout("app ready\napp stops\napp cleaned up\nb eof\n");
        });
    }
}

#[test]
fn reader_of_stderr_is_spared() {
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            // The reader's own stderr is the harness's, so that it can report a signal.
            let text = "trap : TERM; exec 7>&2; APP 2> >(exec COPY b 2>&7) >&2 & wait; wait; wait; exit 5";
            let outcome = stop(start.words(options).words(bash.words(text)).start(), &["app ready"]);
            outcome.expect_code(5).expect_stderr("");
            outcome.expect_stdout("app ready\napp stops\napp cleaned up\nb eof\n");
        });
    }
}

#[test]
fn reader_of_named_fifo_is_spared() {
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            let text = "trap : TERM; mkfifo SCRATCH/fifo; COPY b <SCRATCH/fifo & APP >SCRATCH/fifo & wait; wait; wait; exit 5";
            let outcome = stop(start.words(options).words(bash.words(text)).start(), &["app ready"]);
            outcome.expect_code(5).expect_stderr("");
            outcome.expect_stdout("app ready\napp stops\napp cleaned up\nb eof\n");
        });
    }
}

/// Reports its signals by descriptor 3.
const MEMBER: &str =
    r#"trap 'echo "$1 got 15" >&3; exit' TERM; echo "$1 ready" >&3; while :; do sleep 0.05 & wait; done"#;

#[test]
fn members_of_a_cycle_are_signalled_at_once() {
    let fifos = "mkfifo SCRATCH/f SCRATCH/g; sh SCRATCH/member.sh a <SCRATCH/f >SCRATCH/g & \
                 sh SCRATCH/member.sh b >SCRATCH/f <SCRATCH/g & wait; wait; wait; exit 5";
    let coproc = "coproc exec sh SCRATCH/member.sh b; \
                  exec 8<&\"${COPROC[0]}\" 9>&\"${COPROC[1]}\"; sh SCRATCH/member.sh a <&8 >&9 8<&- 9>&- & \
                  exec 8<&- 9>&-; wait; wait; wait; exit 5";
    for text in [fifos, coproc] {
        for options in OPTIONS {
            in_both_settings(|start| {
                let bash = Bash::new();
                bash.0.file("member.sh", MEMBER, 0o644);
                let text = format!("trap : TERM; exec 3>&1; {text}");
                let begin = Instant::now();
                let outcome =
                    stop(start.words(options).words(bash.words(&text)).start(), &["a ready", "b ready"]);
                assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
                expect_lines(&outcome, &[(Report::Got(15).by("a"), 1), (Report::Got(15).by("b"), 1)]);
            });
        }
    }
}

#[test]
fn reader_that_stays_gets_the_signal_once_and_a_second_later() {
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            let app = "sh -c 'trap \"echo app stops >&2; exit\" TERM; echo app ready >&2; while :; do sleep 0.05 & wait; done'";
            let text =
                format!("trap : TERM; {app} | probe {stays}; exit 5", stays = Order::Work("stays", 50));
            let running = start.words(options).words(bash.words(&text)).start();
            running.wait_for_line(Report::Ready.by("stays"));
            running.wait_for_debug_line("app ready");
            running.signal(libc::SIGTERM);
            running.wait_for_debug_line("app stops");
            let begin = Instant::now();
            running.wait_for_line(Report::Got(15).by("stays"));
            let time = begin.elapsed();
            let expected = Duration::from_millis(700)..Duration::from_secs(10);
            assert!(expected.contains(&time), "{time:?} {options:?}\n{running}");
            let outcome = running.outcome();
            outcome.expect_code(5).expect_stderr("app ready\napp stops\n");
            expect_lines(&outcome, &[(Report::Got(15).by("stays"), 1), (Report::Finished.by("stays"), 1)]);
        });
    }
}

#[test]
fn standard_input_from_outside_makes_no_reader() {
    for is_at_its_end in [false, true] {
        for options in OPTIONS {
            in_both_settings(|start| {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                let writer = (!is_at_its_end).then_some(writer);
                let text = format!(
                    "exec 3<&0; trap : TERM; probe {first} <&3 & probe {second} <&3 & wait; wait; wait; exit 5",
                    first = Order::Work("first", 50),
                    second = Order::Work("second", 50)
                );
                let start =
                    start.words(options).words(script(text)).stdin(std::os::fd::OwnedFd::from(reader));
                let begin = Instant::now();
                let outcome = stop(start.start(), &["first ready", "second ready"]);
                assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
                expect_lines(
                    &outcome,
                    &[
                        (Report::Finished.by("first"), 1),
                        (Report::Finished.by("second"), 1),
                        (Report::Got(15).by("first"), 1),
                    ],
                );
                drop(writer);
            });
        }
    }
}

#[test]
fn child_fed_by_another_descriptor_is_signalled_at_once() {
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            let text = format!(
                "trap : TERM; exec 5> >(exec probe {child} 5>&-); child=$!; echo parent ready; \
                        wait $child; wait $child; exit 5",
                child = Order::Work("child", 50)
            );
            let begin = Instant::now();
            let outcome =
                stop(start.words(options).words(bash.words(text)).start(), &["parent ready", "child ready"]);
            assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
            expect_lines(&outcome, &[(Report::Got(15).by("child"), 1), (Report::Finished.by("child"), 1)]);
        });
    }
}

/// A shell that executes the init, as PID 1 of a namespace or not.
fn in_both_settings_by_a_shell(scenario: impl Fn(Start)) {
    if init_beyond().is_none() {
        return;
    }
    scenario(Start::program("/bin/bash"));
    if crate::support::can_have_pid_namespaces() {
        scenario(Start::program("/bin/bash").in_namespace());
    }
}

#[test]
fn command_that_is_a_reader_is_signalled_at_once() {
    for options in ["--drain 60s", "-c --drain 60s", "--linger", "--forward tree"] {
        in_both_settings_by_a_shell(|start| {
            let bash = Bash::new();
            let init = init_under_test();
            let text = format!(
                "exec {} {options} probe {command} < <(exec sh -c 'trap \"exit\" TERM; while :; do sleep 0.05 & wait; done')",
                init.display(),
                command = Order::Work("command", 50)
            );
            let begin = Instant::now();
            let [_, option, text] = bash.words(&text);
            let outcome = stop(start.words([option, text]).start(), &["command ready"]);
            assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{outcome}");
            outcome.expect_code(0);
            expect_lines(
                &outcome,
                &[(Report::Got(15).by("command"), 1), (Report::Finished.by("command"), 1)],
            );
        });
    }
}

#[test]
fn logger_of_the_init_loses_nothing() {
    // The init waits a second for its logger, which starts sleep(1) three times.
    if !is_fast() {
        return;
    }
    for options in ["--drain 60s", "-c --drain 60s", "--linger --drain 60s", "--linger"] {
        in_both_settings_by_a_shell(|start| {
            let bash = Bash::new();
            let slow =
                bash.0.file("slow.sh", &COPY.replace("echo \"$line\"", "sleep 0.1; echo \"$line\""), 0o644);
            let text = format!(
                "exec {} {options} sh -c 'echo 1; echo 2; echo 3; exit 5' > >(exec bash {} logger)",
                init_under_test().display(),
                slow.display()
            );
            let [_, option, text] = bash.words(&text);
            let mut running = start.words([option, text]).start();
            assert_eq!(running.wait().code(), Some(5), "{running}");
            procfs::wait_until("no descendant is left", || running.descendants().is_empty());
            running.wait_for_stdout("the last line", |text| text.contains("logger eof"));
            assert_eq!(
                (running.stdout(), running.stderr()),
                ("1\n2\n3\nlogger eof\n".into(), String::new()),
                "{running}"
            );
        });
    }
}

#[test]
fn logger_of_the_init_that_stays_gets_the_signal() {
    for options in ["--drain 60s", "-c --drain 60s", "--linger --drain 60s"] {
        in_both_settings_by_a_shell(|start| {
            let bash = Bash::new();
            let init = init_under_test();
            let text = format!(
                "exec {} {options} sh -c 'trap \"exit 5\" TERM; echo ready >&2; while :; do sleep 0.05 & wait; done' > >(exec probe {stays})",
                init.display(),
                stays = Order::Work("stays", 50)
            );
            let [_, option, text] = bash.words(&text);
            let running = start.words([option, text]).start();
            running.wait_for_debug_line("ready");
            running.wait_for_line(Report::Ready.by("stays"));
            let begin = Instant::now();
            running.signal(libc::SIGTERM);
            running.wait_for_line(Report::Got(15).by("stays"));
            let time = begin.elapsed();
            let expected = Duration::from_millis(900)..Duration::from_secs(10);
            assert!(expected.contains(&time), "{time:?} {options:?}\n{running}");
            let outcome = running.outcome();
            outcome.expect_code(5).expect_stderr("ready\n");
            expect_lines(&outcome, &[(Report::Got(15).by("stays"), 1), (Report::Finished.by("stays"), 1)]);
        });
    }
}

#[test]
fn deadline_kills_a_reader_too() {
    let trap = "trap : TERM; ";
    for (options, trap) in [
        (&["--drain", "1s"][..], ""),
        (&["--forward", "tree", "--kill-after", "1s"], trap),
        (&["--linger", "--drain", "1s"], ""),
        (&["--drain", "60s", "--kill-after", "1s"], trap),
    ] {
        in_both_settings(|start| {
            let bash = Bash::new();
            // The writer cannot say that it is ready.
            let writer =
                format!("(trap '' TERM; exec probe {stubborn})", stubborn = Order::Work("stubborn", 999_999));
            let text =
                format!("{trap}{writer} | probe {reader}; exit 5", reader = Order::Work("reader", 999_999));
            let running = start.words(options).words(bash.words(&text)).start();
            running.wait_for_line(Report::Ready.by("reader"));
            find(&running, "stubborn");
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            expect_lines(&outcome, &[(Report::Got(15).by("reader"), 0), (Report::Finished.by("reader"), 0)]);
            for name in ["work stubborn", "work reader"] {
                let lines = outcome
                    .stderr()
                    .lines()
                    .filter(|line| line.contains("Killing") && line.contains(name))
                    .count();
                assert_eq!(lines, 1, "{name} {outcome}");
            }
        });
    }
}

#[test]
fn non_termination_signal_is_not_deferred() {
    for options in [&["--drain", "60s"][..], &["--forward", "tree"], &["--linger"]] {
        in_both_settings(|start| {
            let bash = Bash::new();
            let app = "sh -c 'trap : USR1; trap exit TERM; echo app ready >&2; while :; do sleep 0.05 & wait; done'";
            let text = format!(
                "trap : TERM USR1; {app} | probe {reader}; exit 5",
                reader = Order::Work("reader", 50)
            );
            let running = start.words(options).words(bash.words(&text)).start();
            running.wait_for_line(Report::Ready.by("reader"));
            running.wait_for_debug_line("app ready");
            running.signal(libc::SIGUSR1);
            running.wait_for_line(Report::Got(10).by("reader"));
            assert_eq!(count_lines(&running.stdout(), &Report::Got(15).by("reader")), 0, "{running}");
            running.signal(libc::SIGTERM);
            running.wait_for_line(Report::Finished.by("reader"));
        });
    }
}

#[test]
fn pipe_readers_are_signalled_without_options() {
    for start in [Some(init()), crate::support::can_have_pid_namespaces().then(|| init().in_namespace())]
        .into_iter()
        .flatten()
    {
        let bash = Bash::new();
        // Killed by SIGTERM, the reader prints nothing.
        let text =
            format!("trap : TERM; probe {app} | COPY b 2>&1; exit 5", app = Order::Work("app", 999_999));
        let running = start.words(bash.words(text)).start();
        running.wait_for_line(Report::Ready.by("app"));
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Got(15).by("b"));
    }
}

#[test]
fn reader_is_spared_while_its_writer_redirects_its_output() {
    // The shell keeps the pipe under another number.
    const REDIRECTED: &str =
        "trap 'end=1' TERM; echo app ready; { echo ready >&2; until [ \"$end\" ]; do sleep 0.05 & wait; done; } >/dev/null
        echo app cleaned up";
    for options in OPTIONS {
        in_both_settings(|start| {
            let bash = Bash::new();
            bash.0.file("redirected.sh", REDIRECTED, 0o644);
            let text = "trap : TERM; sh SCRATCH/redirected.sh | COPY b; exit 5";
            let running = start.words(options).words(bash.words(text)).start();
            running.wait_for_line(Report::Ready.by("app"));
            running.wait_for_debug_line("ready");
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            outcome
                .expect_code(5)
                .expect_stdout("app ready\napp cleaned up\nb eof\n")
                .expect_stderr("ready\n");
        });
    }
}

/// Starts the init without permission to inspect the descriptors of other users' processes.
fn beside_hidden_process(scenario: impl Fn(Start) + Sync) {
    if nix::unistd::geteuid().is_root() {
        in_both_settings(|start| scenario(start.condition(Condition::WithoutCapPtrace)));
    } else {
        skip("only root can start a process of another user");
    }
}

#[test]
fn reader_without_writer_is_signalled_beside_hidden_process() {
    beside_hidden_process(|start| {
        // The writer has ended, and the reader never reads.
        let text = format!(
            "probe {with} {user} -- probe {hidden} & echo secret | probe {daemon} & \
                    exec probe {main}",
            with = Order::With,
            user = Condition::User(1000),
            hidden = Order::Work("hidden", 999_999),
            daemon = Order::Work("daemon", 50),
            main = Order::Work("main", 50)
        );
        let running = start.words(["--drain", "4s"]).words(script(text)).start();
        let outcome = stop(running, &["hidden ready", "daemon ready", "main ready"]);
        outcome.expect_code(0);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("daemon"), 1),
                (Report::Finished.by("daemon"), 1),
                (Report::Got(15).by("hidden"), 1),
            ],
        );
    });
}

#[test]
fn child_fed_by_parent_is_signalled_beside_hidden_process() {
    beside_hidden_process(|start| {
        let text = format!(
            "probe {with} {user} -- probe {hidden} & \
                    exec 5> >(exec probe {child} 5>&-); child=$!; \
                    trap 'wait $child; echo child first; exit 5' TERM; echo parent ready; while :; do sleep 0.05 & wait $!; done",
            with = Order::With,
            user = Condition::User(1000),
            hidden = Order::Work("hidden", 999_999),
            child = Order::Work("child", 50)
        );
        let bash = Bash::new();
        let running = start.words(["--drain", "1s"]).words(bash.words(text)).start();
        let outcome = stop(running, &["hidden ready", "child ready", "parent ready"]);
        outcome.expect_code(5);
        expect_lines(
            &outcome,
            &[
                (Report::Got(15).by("child"), 1),
                ("child first".to_owned(), 1),
                (Report::Got(15).by("hidden"), 1),
            ],
        );
    });
}

/// A process that uses a core until this is dropped.
struct Busy(std::process::Child);

impl Busy {
    fn start() -> Self {
        let command = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self(command.expect("a shell"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn last_line_before_a_failure_reaches_the_log() {
    let _busy = Busy::start();
    for _ in 0..25 {
        in_both_settings(|start| {
            let bash = Bash::new();
            let text = "exec > >(tee SCRATCH/log); echo FATAL; exit 1";
            let outcome = start.words(["--drain", "10s"]).words(bash.words(text)).run();
            outcome.expect_code(1).expect_stdout("FATAL\n").expect_stderr("");
            assert_eq!(
                fs::read_to_string(bash.0.path().join("log")).unwrap_or_default(),
                "FATAL\n",
                "{outcome}"
            );
        });
    }
}

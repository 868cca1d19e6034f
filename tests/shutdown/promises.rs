//! The promises of a drain on terminals, in pipelines and below supervisors.

use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::{expect_lines, find, in_both_settings, script, wait_for_lines};
use crate::support::{
    Condition, Order, Report, Running, Scratch, Start, can_have_pid_namespaces, init_beyond, init_under_test,
    is_fast, patience, procfs, send, skip,
};

/// Programs without a handler for SIGHUP.
///
/// The kernel sends SIGHUP to the foreground group if the leader of a terminal's session exits.
const PROGRAMS: &str = r#"trap 'exit 5' TERM
for name in first second third; do
    sh -c 'trap "sleep 0.3; sleep 0.3; echo $0 finished; exit" TERM; echo $0 ready; while :; do sleep 0.05; done' $name &
done
while :; do sleep 0.05; done"#;

#[test]
fn drain_on_terminal_lets_all_programs_finish() {
    for options in [&["--drain", "60s"][..], &["--linger", "--drain", "60s"]] {
        in_both_settings(|start| {
            let (running, _terminal) = start.words(options).words(["sh", "-c", PROGRAMS]).start_on_terminal();
            wait_for_lines(
                &running,
                &[Report::Ready.by("first"), Report::Ready.by("second"), Report::Ready.by("third")],
            );
            running.signal(libc::SIGTERM);
            let outcome = running.outcome();
            let finished =
                outcome.stdout().lines().filter(|line| line.trim_end().ends_with(" finished")).count();
            assert_eq!((finished, outcome.code()), (3, 5), "{outcome}");
        });
    }
}

#[test]
fn orphan_of_supervisor_is_signalled_within_seconds() {
    in_both_settings(|start| {
        let scratch = Scratch::new();
        // The init adopts the child when the parent exits, but receives no SIGCHLD for that.
        let parent = format!(
            "trap 'sleep 0.3; probe {orphan}; exit' TERM; echo parent ready; while :; do sleep 0.05; done",
            orphan = Order::Daemon("orphan", 100)
        );
        let parent = scratch.file("parent.sh", &script(parent)[2], 0o644);
        let supervisor = format!(
            "sh {} & trap 'kill -TERM $!; exec probe {record}' TERM; while :; do wait; done",
            parent.display(),
            record = Order::Record(10)
        );
        let supervisor = scratch.file("supervisor.sh", &script(&supervisor)[2], 0o644);
        let text = format!("setsid sh {} & exec probe {hang}", supervisor.display(), hang = Order::Hang);
        let running = start.words(["--drain", "20s"]).words(script(&text)).start();
        wait_for_lines(&running, &[Report::Ready.by("parent"), Report::Ready.to_string()]);
        running.signal(libc::SIGTERM);
        running.wait_for_line(Report::Ready.by("orphan"));
        let begin = Instant::now();
        running.wait_for_line(Report::Got(15).by("orphan"));
        let time = begin.elapsed();
        assert!(time < patience(Duration::from_millis(2500)), "{time:?}\n{running}");
        send(find(&running, "10"), libc::SIGUSR1);
        let outcome = running.outcome();
        outcome.expect_code(143);
        expect_lines(&outcome, &[(Report::Got(15).by("orphan"), 1), (Report::Finished.by("orphan"), 1)]);
    });
}

#[test]
fn logger_of_another_user_reads_to_end_of_file() {
    // The logger has a second after the end of its input, and starts sleep(1) three times.
    if init_beyond().is_none() || !is_fast() {
        return;
    }
    if !geteuid().is_root() {
        skip("only root can start a process of another user");
        return;
    }
    let settings = [
        Some(Start::program("/bin/bash")),
        can_have_pid_namespaces().then(|| Start::program("/bin/bash").in_namespace()),
    ];
    for start in settings.into_iter().flatten() {
        let scratch = Scratch::new();
        let log = scratch.file("log", "", 0o666);
        let log = log.display();
        // Slower than the command, so that lines are left in the pipe when that exits.
        let logger = "echo begun >>\"$0\"; while read -r line; do sleep 0.1; echo \"$line\" >>\"$0\"; done; echo end >>\"$0\"";
        let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let command =
            format!("until grep -q begun {log}; do sleep 0.01; done; printf \"1\\n2\\n3\\n\"; exit 5");
        let init = init_under_test();
        let text = format!(
            "exec {} --drain 10s sh -c '{command}' > >(exec {user} sh -c '{logger}' {log})",
            init.display()
        );
        // A process without this capability cannot read the descriptors of other users' processes.
        let mut running = start.condition(Condition::WithoutCapPtrace).words(["-c", &text]).start();
        assert_eq!(running.wait().code(), Some(5), "{running}");
        wait_for_the_end_of_descendants(&running);
        assert_eq!(
            fs::read_to_string(log.to_string()).expect("the log"),
            "begun\n1\n2\n3\nend\n",
            "{running}"
        );
    }
}

#[test]
fn pipe_reader_that_is_being_set_up_is_spared() {
    // The reader has a second after the end of its input, and starts sleep(1) and tee(1).
    if init_beyond().is_none() || !can_have_pid_namespaces() || !is_fast() {
        return;
    }
    // The state of bash's `exec > >(tee log)` for a moment: the child has forked, but has neither
    // made the pipe its standard input nor executed tee.
    in_both_settings(|start| {
        let scratch = Scratch::new();
        let log = scratch.path().join("log");
        let text = "exec 9<>\"$0\"/pipe; (exec 8<\"$0\"/pipe 9<&-; sleep 0.2; exec tee \"$0\"/log <&8 8<&-) & \
                    exec >\"$0\"/pipe; until [ -p /proc/$!/fd/8 ]; do sleep 0.01; done; exec 9<&-; echo FATAL; exit 1";
        let text = format!("mkfifo \"$0\"/pipe; {text}");
        let mut running = start.words(["--drain", "10s", "bash", "-c", &text]).word(scratch.path()).start();
        assert_eq!(running.wait().code(), Some(1), "{running}");
        wait_for_the_end_of_descendants(&running);
        assert_eq!(fs::read_to_string(log).unwrap_or_default(), "FATAL\n", "{running}");
    });
}

#[test]
fn stopped_pipe_reader_reads_to_end_of_file() {
    if init_beyond().is_none() {
        return;
    }
    // The reader is stopped before the drain, or by its writer during the drain.
    for (at_the_end, before) in
        [("echo bye; exit", "kill -STOP $(cat $0/pid)"), ("kill -STOP $(cat $0/pid); echo bye; exit", ":")]
    {
        in_both_settings(|start| {
            let scratch = Scratch::new();
            let log = scratch.path().join("log");
            let writer = format!(
                "trap \"{at_the_end}\" TERM; until [ -s $0/pid ]; do sleep 0.01; done; {before}; echo >$0/up; while :; do sleep 0.05; done",
            );
            let text = "mkfifo $0/pipe; sh -c \"$1\" $0 >$0/pipe & \
                        sh -c 'echo $$ >$0/pid; exec cat >$0/log' $0 <$0/pipe & \
                        until [ -e $0/up ]; do sleep 0.01; done; exit 1";
            let start = start.words(["--drain", "60s", "bash", "-c", text]).word(scratch.path());
            let mut running = start.word(writer).start();
            let begin = Instant::now();
            assert_eq!(running.wait().code(), Some(1), "{running}");
            // A stopped reader would stay until half-time.
            assert!(begin.elapsed() < patience(Duration::from_secs(20)), "{running}");
            assert_eq!(fs::read_to_string(log).unwrap_or_default(), "bye\n", "{running}");
        });
    }
}

fn wait_for_the_end_of_descendants(running: &Running) {
    procfs::wait_until("no descendant is left", || running.descendants().is_empty());
}

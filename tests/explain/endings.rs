//! What is said of the end: who waits for whom, and until when.

use super::{TWO, explain, wait_for_two};
use crate::shutdown::in_both_settings;
use crate::support::{
    Disposition, Order, Report, Start, can_have_pid_namespaces, init, init_beyond, init_under_test, probe,
    procfs, send, skip,
};

#[test]
fn explain_reports_the_deadline_of_the_drain() {
    let main = TWO.join(" ");
    for (words, code, sentence) in [
        (
            &["--drain", "5s"][..],
            0,
            format!(
                "dumb-init waits for the last process, and kills the remaining ones 5s after {main} exits."
            ),
        ),
        (&["--drain", "forever"], 0, "dumb-init waits for the last process.".into()),
        (&["--linger"], 0, "dumb-init waits for the last process.".into()),
        (
            &["--linger", "--drain", "5s"],
            0,
            "dumb-init waits for the last process, and kills the remaining ones 5s after the signal.".into(),
        ),
        (
            &["--drain", "5s", "--kill-after", "1s"],
            0,
            "dumb-init waits for the last process, and kills the remaining ones 1s after the signal.".into(),
        ),
        (&["--kill-after", "1s"], 1, "Remaining processes are killed 1s after the signal.".into()),
    ] {
        let Some(start) = init_beyond() else { return };
        let running = start.words(words).words(TWO).start();
        wait_for_two(&running);
        explain(&running, "--explain")
            .expect_code(code)
            .expect_part(&format!("Every process receives the signal. {sentence}"));
    }
    // As PID 1 it has an engine that may be faster.
    if can_have_pid_namespaces() {
        for (words, time) in [
            (&["--drain", "5s"][..], format!("5s after {main} has exited")),
            (&["--drain", "5s", "--delay", "TERM:1500ms"], format!("6.5s after {main} has exited")),
            (&["--linger", "--delay", "TERM:2s"], "2s until the last process has exited".into()),
            (&["--delay", "TERM:2s"], format!("2s until {main} has exited")),
            (&["--drain", "5s", "-r", "TERM:0"], String::new()),
            (&["--drain", "5s", "--kill-after", "1s"], "1s".into()),
            (&["--drain", "forever"], String::new()),
        ] {
            let Some(start) = init_beyond() else { return };
            let running = start.in_namespace().words(words).words(TWO).start();
            wait_for_two(&running);
            let told = explain(&running, "--explain");
            let sentence = format!("The shutdown may take {time}: docker stop kills everything after 10s ");
            let is_said = told.outcome.stderr().contains(if time.is_empty() {
                "The shutdown may take"
            } else {
                &sentence
            });
            assert_eq!(is_said, !time.is_empty(), "{told}");
            // That needs not end anything.
            let told = explain(&running, "--explain=HUP");
            assert!(!told.outcome.stderr().contains("The shutdown may take"), "{told}");
        }
    }
    // No drain begins with a SIGHUP, and nobody is killed.
    let Some(start) = init_beyond() else { return };
    let running = start.words(["--linger", "--drain", "5s"]).words(TWO).start();
    wait_for_two(&running);
    explain(&running, "--explain=HUP").expect_part("dumb-init waits for the last process.\n");
}

#[test]
fn signal_reaches_all_after_command_exit() {
    // It lingers, or it drains, which asks everybody to end; but nobody here does.
    for options in [&["--linger", "--drain", "60s", "-c"][..], &["--drain", "60s", "-c"]] {
        in_both_settings(|start| {
            let probe = probe().display().to_string();
            let two = format!(
                "{probe} {one} & setsid {probe} {two}",
                one = Order::Dispose(Disposition::Catches, "one"),
                two = Order::Dispose(Disposition::Waits, "two")
            );
            let script =
                format!("{two} & exec {probe} {main}", main = Order::Dispose(Disposition::Dies, "main"));
            let running = start.words(options).words(["sh", "-c", &script]).start();
            running.wait_for_stdout("all are ready", |text| text.matches(" ready-as ").count() == 3);
            send(running.command_pid(), libc::SIGKILL);
            procfs::wait_until("they are orphans", || {
                // And the command is reaped.
                procfs::children(running.pid()).len() == 2
            });
            let told = explain(&running, "--explain=USR1");
            assert!(told.rows.iter().all(|row| row.fate != "not signalled"), "{told}");
            running.signal(libc::SIGUSR1);
            for name in ["one", "two"] {
                running.wait_for_line(Report::Got(10).by(name));
            }
        });
    }
}

#[test]
fn drain_signal_follows_another_signal() {
    in_both_settings(|start| {
        let (init, probe) = (init_under_test().display().to_string(), probe().display().to_string());
        let script = format!(
            "{init} -r INT:0 -- {probe} {inner} & exec {probe} {main}",
            inner = Order::Dispose(Disposition::Catches, "inner"),
            main = Order::Dispose(Disposition::Dies, "main")
        );
        let running = start.words(["--drain", "60s", "sh", "-c", &script]).start();
        running.wait_for_stdout("both are ready", |text| text.matches(" ready-as ").count() == 2);
        let told = explain(&running, "--explain=INT");
        told.expect_code(0).expect("dispose Dies main", "terminates");
        let inner = told.rows.iter().find(|row| {
            row.command == format!("{probe} {inner}", inner = Order::Dispose(Disposition::Catches, "inner"))
        });
        assert_eq!(inner.map(|row| &*row.fate), Some("catches it, later"), "{told}");
        running.signal(libc::SIGINT);
        running.wait_for_line(Report::Got(15).by("inner"));
    });
}

#[test]
fn nested_draining_init_waits_for_all() {
    if init_beyond().is_none() || !can_have_pid_namespaces() {
        return;
    }
    let ours = init_under_test().display().to_string();
    let tini = "/usr/bin/tini";
    if !std::path::Path::new(tini).exists() {
        skip("tini is not installed");
        return;
    }
    for outer in [tini, &ours] {
        let running =
            Start::program(outer).words(["--", &ours, "--drain", "10s"]).words(TWO).in_namespace().start();
        wait_for_two(&running);
        explain(&running, "--explain")
            .expect_code(0)
            .expect_part("Every process receives the signal.")
            .expect_no_advice();
    }
}

#[test]
fn stopped_init_is_reported() {
    let running = init().words(["sleep", "600"]).start();
    let directory = || std::fs::read_link(format!("/proc/{}/cwd", running.pid()));
    procfs::wait_until("the init has started its command", || {
        directory().is_ok_and(|path| path.as_os_str() == "/")
    });
    send(running.pid(), libc::SIGSTOP);
    procfs::wait_for_state(running.pid(), 'T');
    let told = explain(&running, "--explain");
    told.expect_code(1).expect_line("It is stopped: nothing of this happens before it is continued.");
}

//! stderr is closed, full, or a pipe that nobody reads: nothing changes but that the lines are lost.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::support::differences::{Original, wanted_difference};
use crate::support::{Start, can_have_pid_namespaces, init, init_under_test, probe, procfs, role, send};

fn with(condition: &str, words: &[&str], command: [&str; 2]) -> i32 {
    let start = Start::init(&init_under_test()).condition(condition).words(words).words(role(command));
    start.run().code()
}

#[test]
fn a_stderr_that_takes_no_line_changes_no_exit_status() {
    for condition in ["closed=2", "full=2"] {
        for options in [&["-v"][..], &["-vc"], &["-c"], &[]] {
            assert_eq!(with(condition, options, ["exit", "7"]), 7, "{condition} {options:?}");
            assert_eq!(with(condition, options, ["die", "15"]), 143, "{condition} {options:?}");
        }
        let start = || Start::init(&init_under_test()).condition(condition);
        start().words(["-v", "/nonexistent"]).run().expect_code(2);
        start().words(["/nonexistent"]).run().expect_code(2);
        start().words(["--yolo"]).run().expect_code(1);
        start().words(["-r", "bad", "true"]).run().expect_code(1);
        start().words(["--version"]).run().expect_code(0);
        start().words(["--help"]).run().expect_code(0);
    }
}

/// A pipe whose reader is gone, as the program's stderr.
fn unread_stderr(words: &[&str]) -> Start {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    // The probe takes its stdin for stderr, and /dev/null for stdin.
    let writer = File::from(OwnedFd::from(writer));
    Start::init(&init_under_test()).stdin(writer).condition("stderr-as-stdin").condition("null=0").words(words)
}

#[test]
fn a_stderr_without_a_reader_does_not_end_it_early() {
    unread_stderr(&["/nonexistent"]).run().expect_code(2);
    unread_stderr(&[]).words(role(["exit", "7"])).run().expect_code(7);
}

#[test]
fn a_stderr_without_a_reader_makes_no_signal_of_its_own() {
    wanted_difference("6. A stderr without a reader", Original::IsNotTried, || {
        for options in ["-v", "-vc"] {
            unread_stderr(&[options]).words(role(["exit", "7"])).run().expect_code(7);
            unread_stderr(&[options, "/nonexistent"]).run().expect_code(2);
            // What the command gets is what was sent, and no SIGPIPE before it.
            let running = unread_stderr(&[options]).words(role(["record", "12"])).start();
            running.wait_for_line("ready");
            running.signal(libc::SIGUSR1);
            running.wait_for_line("got 10");
            running.signal(libc::SIGPIPE);
            running.wait_for_line("got 13");
            running.signal(libc::SIGUSR2);
            running.outcome().expect_code(42).expect_stdout("ready\ngot 10\ngot 13\ngot 12\n");
        }
    });
}

#[test]
fn a_stderr_that_nobody_empties_holds_nothing_up() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        for options in ["-v", "-vc"] {
            // Full from the beginning. The reader is there, and doesn't read.
            let (_reader, mut writer) = std::io::pipe().expect("a pipe");
            fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
            while writer.write(&[b'x'; 4096]).is_ok() {}
            fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
            let writer = File::from(OwnedFd::from(writer));
            let running = init()
                .stdin(writer)
                .condition("stderr-as-stdin")
                .condition("null=0")
                .word(options)
                .words(role(["record", "12"]))
                .start();
            running.wait_for_line("ready");
            running.signal(libc::SIGTERM);
            running.wait_for_line("got 15");
            running.signal(libc::SIGUSR2);
            running.outcome().expect_code(42);
        }
    });
}

#[test]
fn nothing_takes_the_place_of_a_closed_stderr_when_orphans_are_reaped() {
    if !can_have_pid_namespaces() {
        return;
    }
    let text = "(\"$0\" hang &); exec \"$0\" record 64";
    let running = init().in_namespace().condition("closed=2").words(["sh", "-c", text]).word(probe()).start();
    procfs::wait_until("both are ready, and the orphan is adopted", || {
        running.stdout().matches("ready\n").count() == 2 && procfs::children(running.pid()).len() == 2
    });
    let command = running.command_pid();
    let orphan = procfs::children(running.pid()).into_iter().find(|&child| child != command).expect("an orphan");
    send(orphan, libc::SIGKILL);
    procfs::wait_until("the orphan is reaped", || procfs::state(orphan).is_none());
    // Whatever its reaping led to has happened when the next signal has been forwarded.
    running.signal(10);
    running.wait_for_line("got 10");
    let path = format!("/proc/{}/fd/2", running.pid());
    assert!(std::fs::symlink_metadata(&path).is_err(), "{path} leads to {:?}", std::fs::read_link(&path));
    running.signal(64);
    running.outcome().expect_code(42);
}

//! stderr is closed, full, or a pipe without a reader: only the log lines are lost.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{FlowArg, tcflow};

use crate::support::differences::{Original, tests_the_original, wanted_difference};
use crate::support::trace::Traced;
use crate::support::{
    Condition, Order, Report, Scratch, Start, Terminal, can_have_pid_namespaces, can_inject_faults, init,
    init_under_test, injecting, probe, procfs, send,
};

#[test]
fn failing_stderr_leaves_exit_status_unchanged() {
    for condition in [Condition::Closed(2), Condition::Full(2)] {
        let start = || Start::init(&init_under_test()).condition(condition);
        for options in [&["-v"][..], &["-vc"], &["-c"], &[]] {
            start().words(options).probe(Order::Exit(7)).run().expect_code(7);
            start().words(options).probe(Order::Die(15)).run().expect_code(143);
        }
        start().words(["-v", "/nonexistent"]).run().expect_code(2);
        start().words(["/nonexistent"]).run().expect_code(2);
        start().words(["--yolo"]).run().expect_code(1);
        start().words(["-r", "bad", "true"]).run().expect_code(1);
        start().words(["--version"]).run().expect_code(0);
        start().words(["--help"]).run().expect_code(0);
    }
}

/// The program with this as its stderr.
fn with_stderr(stderr: impl Into<OwnedFd>) -> Start {
    // The probe takes its stdin for stderr, and /dev/null for stdin.
    let stderr = File::from(stderr.into());
    Start::init(&init_under_test())
        .stdin(stderr)
        .condition(Condition::StderrAsStdin)
        .condition(Condition::Null(0))
}

/// Pipe without a reader as the program's stderr.
fn unread_stderr(words: &[&str]) -> Start {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    with_stderr(writer).words(words)
}

#[test]
fn stderr_pipe_without_reader_does_not_end_the_init() {
    unread_stderr(&["/nonexistent"]).run().expect_code(2);
    unread_stderr(&[]).probe(Order::Exit(7)).run().expect_code(7);
}

#[test]
fn stderr_pipe_without_reader_forwards_no_sigpipe() {
    wanted_difference("6. A stderr without a reader", Original::IsNotTried, || {
        for options in ["-v", "-vc"] {
            unread_stderr(&[options]).probe(Order::Exit(7)).run().expect_code(7);
            unread_stderr(&[options, "/nonexistent"]).run().expect_code(2);
            only_what_is_sent_is_forwarded(unread_stderr(&[options]), libc::SIGPIPE);
        }
    });
}

/// Expects that the command receives `number` only if it is sent, and not because of the init's
/// writes.
fn only_what_is_sent_is_forwarded(start: Start, number: i32) {
    let running = start.probe(Order::Record(12)).start();
    running.wait_for_line(Report::Ready);
    running.signal(libc::SIGUSR1);
    running.wait_for_line(Report::Got(10));
    running.signal(number);
    running.wait_for_line(Report::Got(number));
    running.signal(libc::SIGUSR2);
    running.outcome().expect_code(42).expect_reports(&[
        Report::Ready,
        Report::Got(10),
        Report::Got(number),
        Report::Got(12),
    ]);
}

/// Refused calls, each of which makes the init write in another way.
const WAYS: [&[Condition]; 3] = [
    &[],
    &[Condition::Refused(libc::SYS_pwritev2, libc::EOPNOTSUPP)],
    &[Condition::Refused(libc::SYS_pwritev2, libc::EPERM)],
];

/// The start with each of these ways.
fn in_every_way(start: impl Fn() -> Start, run: impl Fn(Start)) {
    for way in WAYS {
        run(way.iter().copied().fold(start(), Start::condition));
    }
}

#[test]
fn stderr_socket_without_reader_forwards_no_sigpipe() {
    wanted_difference("6. A stderr without a reader", Original::IsNotTried, || {
        let unread = || with_stderr(UnixStream::pair().expect("sockets").0).word("-v");
        in_every_way(unread, |start| {
            start.probe(Order::Exit(7)).run().expect_code(7);
        });
        in_every_way(unread, |start| only_what_is_sent_is_forwarded(start, libc::SIGPIPE));
    });
}

#[test]
fn stderr_at_file_size_limit_forwards_no_sigxfsz() {
    wanted_difference("6. A stderr without a reader", Original::IsNotTried, || {
        let scratch = Scratch::new();
        // It is full from the beginning, and in the middle of a line.
        for limit in [0, 100] {
            for options in ["-v", "-vc"] {
                let full = || {
                    let file = File::create(scratch.path().join("log")).expect("a file");
                    with_stderr(file).condition(Condition::FileSize(limit)).word(options)
                };
                in_every_way(full, |start| {
                    start.probe(Order::Exit(7)).run().expect_code(7);
                });
                in_every_way(full, |start| {
                    start.word("/nonexistent").run().expect_code(2);
                });
                only_what_is_sent_is_forwarded(full(), libc::SIGXFSZ);
            }
        }
        let file = File::create(scratch.path().join("log")).expect("a file");
        with_stderr(file).condition(Condition::FileSize(0)).word("/nonexistent").run().expect_code(2);
    });
}

/// Makes the init write a line for which there is only partly room.
fn a_long_line_is_not_waited_for(stderr: impl Fn() -> OwnedFd) {
    let name = format!("/{}", "x".repeat(100_000));
    in_every_way(
        || with_stderr(stderr()),
        |start| {
            start.word(&name).run().expect_code(2);
        },
    );
}

#[test]
fn nearly_full_stderr_pipe_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        let again = || File::options().write(true).open(format!("/proc/self/fd/{}", writer.as_raw_fd()));
        a_long_line_is_not_waited_for(|| again().expect("the same pipe").into());
    });
}

#[test]
fn nearly_full_stderr_fifo_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let scratch = Scratch::new();
        let path = scratch.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let _reader =
            File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("its reader");
        a_long_line_is_not_waited_for(|| File::options().write(true).open(&path).expect("its writer").into());
    });
}

#[test]
fn nearly_full_stderr_socket_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let readers = std::cell::RefCell::new(Vec::new());
        a_long_line_is_not_waited_for(|| {
            let (writer, reader) = UnixStream::pair().expect("sockets");
            let size = 4096;
            let (pointer, length) = ((&raw const size).cast(), size_of_val(&size).try_into().unwrap());
            // SAFETY: reads an int.
            let result = unsafe {
                libc::setsockopt(writer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, pointer, length)
            };
            assert_eq!(result, 0, "SO_SNDBUF");
            readers.borrow_mut().push(reader);
            writer.into()
        });
    });
}

#[test]
fn nearly_full_stderr_terminal_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let masters = std::cell::RefCell::new(Vec::new());
        a_long_line_is_not_waited_for(|| {
            let terminal = nix::pty::openpty(None, None).expect("a terminal");
            masters.borrow_mut().push(terminal.master);
            terminal.slave
        });
    });
}

#[test]
fn stopped_stderr_terminal_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let (_terminal, path, _output) = Terminal::open();
        let slave =
            || File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&path).expect("it");
        // As Ctrl-S does.
        tcflow(slave(), FlowArg::TCOOFF).expect("tcflow");
        in_every_way(
            || with_stderr(slave()).word("-v"),
            |start| {
                let running = start.probe(Order::Record(12)).start();
                running.wait_for_line(Report::Ready);
                running.signal(libc::SIGTERM);
                running.wait_for_line(Report::Got(15));
                running.signal(libc::SIGUSR2);
                running.outcome().expect_code(42);
            },
        );
    });
}

#[test]
fn stderr_pipe_filled_just_before_a_write_does_not_block() {
    wanted_difference("6. A stderr without a reader", Original::Fails, || {
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let mut other =
            File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path).expect("the same pipe");
        let running = with_stderr(writer).word("-v").probe(Order::Record(12)).start();
        running.wait_for_line(Report::Ready);
        let init = Traced::hold(running.pid()).expect("ptrace(2)");
        running.signal(libc::SIGUSR1);
        init.run_until_call(&[libc::SYS_pwritev2, libc::SYS_writev, libc::SYS_write]);
        while other.write(&[b'x'; 4096]).is_ok() {}
        init.release();
        running.wait_for_line(Report::Got(10));
        running.signal(libc::SIGUSR2);
        running.outcome().expect_code(42);
    });
}

#[test]
fn full_stderr_does_not_block() {
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
                .condition(Condition::StderrAsStdin)
                .condition(Condition::Null(0))
                .word(options)
                .probe(Order::Record(12))
                .start();
            running.wait_for_line(Report::Ready);
            running.signal(libc::SIGTERM);
            running.wait_for_line(Report::Got(15));
            running.signal(libc::SIGUSR2);
            running.outcome().expect_code(42);
        }
    });
}

#[test]
fn closed_stderr_is_not_reused_while_orphans_are_reaped() {
    if !can_have_pid_namespaces() {
        return;
    }
    let text = "(\"$0\" hang &); exec \"$0\" record 64";
    let running =
        init().in_namespace().condition(Condition::Closed(2)).words(["sh", "-c", text]).word(probe()).start();
    procfs::wait_until("both are ready, and the orphan is adopted", || {
        running.stdout().matches("ready\n").count() == 2 && procfs::children(running.pid()).len() == 2
    });
    let command = running.command_pid();
    let orphan =
        procfs::children(running.pid()).into_iter().find(|&child| child != command).expect("an orphan");
    send(orphan, libc::SIGKILL);
    procfs::wait_until("the orphan is reaped", || procfs::state(orphan).is_none());
    // Whatever its reaping led to has happened when the next signal has been forwarded.
    running.signal(10);
    running.wait_for_line(Report::Got(10));
    let path = format!("/proc/{}/fd/2", running.pid());
    assert!(std::fs::symlink_metadata(&path).is_err(), "{path} leads to {:?}", std::fs::read_link(&path));
    running.signal(64);
    running.outcome().expect_code(42);
}

#[test]
fn persistently_failing_write_does_not_block() {
    if tests_the_original() || !can_inject_faults() {
        return;
    }
    let writing = ["pwritev2", "writev", "write"];
    for errno in ["EINTR", "EAGAIN", "EIO"] {
        let faults = writing.map(|call| format!("{call}:error={errno}"));
        let words = injecting(&faults.each_ref().map(String::as_str));
        let start = || Start::program(&words[0]).words(&words[1..]).word(init_under_test()).word("-v");
        start().probe(Order::Exit(7)).run().expect_code(7);
        // One that doesn't fail is found.
        let words = injecting(&[&faults[0]]);
        let start = Start::program(&words[0]).words(&words[1..]).word(init_under_test()).word("-v");
        let outcome = start.probe(Order::Exit(7)).run();
        outcome.expect_code(7);
        assert!(errno == "EIO" || outcome.stderr().ends_with("status 7. Goodbye.\n"), "{outcome}");
    }
}

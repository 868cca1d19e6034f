//! A command that shows how its init has started it, and which signals reach it and its group.

use std::ffi::OsString;
use std::io::{Read, Write, pipe};

use nix::sys::signal::kill;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid};

use crate::processes::{fork_and, orphan};
use crate::protocol::{END_OF_WITNESS, MARKER, Report};
use crate::report::{blocked, dispositions};
use crate::say;
use crate::signals::{ALL, next, send, set_mask};

/// Asks the second process for an answer, after every signal that it has received before: the
/// kernel delivers the lowest pending signal first.
const QUESTION: i32 = 62;

/// Reports arguments and environment, and then the signals of itself and of a process in its group.
pub(crate) fn run(words: &[OsString]) -> i32 {
    say(format!("command blocked {:?}, disposed {:?}", blocked(), dispositions()));
    for word in words {
        say(format!("command argument {word:?}"));
    }
    for (name, value) in std::env::vars_os() {
        say(format!("command variable {name:?}={value:?}"));
    }
    let is_in_session_of_parent = getsid(Some(getppid())) == getsid(None);
    say(format!(
        "command leads its group {}, its session {}, shares its parent's {is_in_session_of_parent}",
        getpgrp() == getpid(),
        getsid(None) == Ok(getpid()),
    ));
    say(format!("command's orphan goes to its parent {}", orphan_parent() == getppid()));
    // It is not about the death of its own process.
    set_mask(ALL & !(1 << (libc::SIGCHLD - 1)));
    let (mut answers, mut answer) = pipe().expect("a pipe");
    let member = fork_and(|| {
        loop {
            match next(ALL) {
                QUESTION => answer.write_all(&[0]).expect("an answer"),
                END_OF_WITNESS => return,
                number => say(format!("member got {number}")),
            }
        }
    });
    say("command ready");
    loop {
        match next(ALL) {
            MARKER => {
                send(member, QUESTION);
                answers.read_exact(&mut [0]).expect("an answer");
                say(format!("command got {MARKER}"));
            }
            END_OF_WITNESS => {
                // It may have received that with the group.
                send(member, END_OF_WITNESS);
                waitpid(member, None).expect("waitpid");
                say(format!("command got {END_OF_WITNESS}"));
                return 42;
            }
            number => say(format!("command got {number}")),
        }
    }
}

/// Exits on the marker, after the default effect of all earlier signals.
pub(crate) fn exit_on_marker() -> i32 {
    // If it is not blocked, it ends the process before a signal that dumps core.
    let marker = 1 << (MARKER - 1);
    set_mask(marker);
    say(Report::Ready);
    next(marker);
    42
}

/// Parent of an orphan of this process, once the orphan has been reaped.
fn orphan_parent() -> Pid {
    let (mut reader, mut writer) = pipe().expect("a pipe");
    orphan(|| {
        let pids = [getpid(), getppid()].map(|pid| pid.as_raw().to_ne_bytes());
        writer.write_all(&pids.concat()).expect("an answer");
    });
    let pids = [(); 2].map(|()| {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).expect("an answer");
        Pid::from_raw(i32::from_ne_bytes(bytes))
    });
    while kill(pids[0], None).is_ok() {
        std::thread::yield_now();
    }
    pids[1]
}

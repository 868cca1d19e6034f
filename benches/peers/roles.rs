//! Roles of this program under the inits.

#![allow(unsafe_code)] // Bare forks: an exec for each process would take longer than the measurement.

use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getpid, getppid, pause, pipe, read, setsid};

/// The first argument of a role.
pub const MARK: &str = "--role";

/// Waits to be killed.
pub const HANG: &str = "hang";
/// Writes a byte for each SIGUSR1.
pub const ECHO: &str = "echo";
/// Leaves this number of orphans to the init, which exit together on input. Then reports that.
pub const ORPHANS: &str = "orphans";
/// Leaves this number of orphans to the init, which exit one after the other on input. Then reports
/// that.
pub const ONE_BY_ONE: &str = "one-by-one";
/// Leaves one orphan in its own session, which waits to be killed, and exits.
pub const LEAVE: &str = "leave";
/// Has this number of children. On SIGTERM it exits at once, and they exit evenly spread over one
/// second.
pub const CROWD: &str = "crowd";

pub fn play(role: &[String]) -> ExitCode {
    match role.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [HANG] => hang(),
        [ECHO] => echo(),
        [ORPHANS, count] => orphans(count.parse().expect("a number")),
        [ONE_BY_ONE, count] => one_by_one(count.parse().expect("a number")),
        [LEAVE] => leave(),
        [CROWD, count] => crowd(count.parse().expect("a number")),
        _ => panic!("no such role: {role:?}"),
    }
}

fn say(text: &str) {
    stdout().write_all(text.as_bytes()).expect("stdout");
    stdout().flush().expect("stdout");
}

fn hang() -> ! {
    say("ready\n");
    loop {
        pause();
    }
}

fn echo() -> ! {
    let signals = SigSet::from(Signal::SIGUSR1);
    signals.thread_block().expect("sigprocmask");
    say("ready\n");
    let out = stdout();
    loop {
        signals.wait().expect("sigwait");
        nix::unistd::write(&out, b".").expect("stdout");
    }
}

fn orphans(count: usize) -> ! {
    let (end, held) = pipe().expect("a pipe");
    let (last_end, held_by_each) = pipe().expect("a pipe");
    // SAFETY: this program has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(held);
            // A signal to the command's group is none of theirs.
            setsid().expect("setsid");
            for _ in 0..count {
                // SAFETY: as above.
                if let ForkResult::Child = unsafe { fork() }.expect("fork") {
                    let _ = read(&end, &mut [0]);
                    std::process::exit(0);
                }
            }
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            waitpid(child, None).expect("wait");
        }
    }
    say("ready\n");
    stdin().read_exact(&mut [0]).expect("stdin");
    drop((held, held_by_each));
    assert_eq!(read(&last_end, &mut [0]), Ok(0), "the end of the last one");
    say("gone\n");
    loop {
        pause();
    }
}

fn one_by_one(count: usize) -> ! {
    say("ready\n");
    stdin().read_exact(&mut [0]).expect("stdin");
    for _ in 0..count {
        let (end, held) = pipe().expect("a pipe");
        // SAFETY: this program has one thread.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            let parent = getpid();
            // SAFETY: as above.
            if let ForkResult::Child = unsafe { fork() }.expect("fork") {
                while getppid() == parent {
                    std::thread::sleep(Duration::from_micros(20));
                }
            }
            std::process::exit(0);
        }
        waitpid(None, None).expect("wait");
        drop(held);
        // The orphan holds the other end until it ends.
        assert_eq!(read(&end, &mut [0]), Ok(0), "the end of an orphan");
        std::thread::sleep(Duration::from_micros(200));
    }
    say("gone\n");
    loop {
        pause();
    }
}

fn leave() -> ExitCode {
    // SAFETY: this program has one thread.
    if let ForkResult::Child = unsafe { fork() }.expect("fork") {
        setsid().expect("setsid");
        hang();
    }
    ExitCode::SUCCESS
}

fn crowd(count: u32) -> ExitCode {
    let signals = SigSet::from(Signal::SIGTERM);
    signals.thread_block().expect("sigprocmask");
    for number in 0..count {
        // SAFETY: this program has one thread.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            signals.wait().expect("sigwait");
            std::thread::sleep(Duration::from_secs(1) * number / count);
            std::process::exit(0);
        }
    }
    say("ready\n");
    signals.wait().expect("sigwait");
    ExitCode::SUCCESS
}

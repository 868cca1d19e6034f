//! Program that the tests start under the init: it carries out one order, and reports on stdout.
//!
//! Like the init itself it has no `fn main`: std's runtime would reopen closed descriptors and ignore SIGPIPE.

#![no_main]
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)] // A test program, which plays with what the kernel has.
#![allow(clippy::unwrap_used, clippy::expect_used)] // It fails loudly.

mod conditions;
mod crowd;
mod family;
mod jobs;
mod manners;
mod mob;
mod report;
mod seccomp;
mod signals;

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use family::Task;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

/// Called by the C library.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, argv: *const *const c_char) -> c_int {
    let words: Vec<OsString> = (0..usize::try_from(count).unwrap())
        .map(|index| {
            // SAFETY: argv has that many strings.
            let word = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsStr::from_bytes(word.to_bytes()).to_owned()
        })
        .collect();
    let text: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or("?")).collect();
    if text[0].ends_with("/probe") && text.get(1) != Some(&"with") {
        // The init names processes by the name that the kernel has for them, which is cut after 15 bytes.
        let name = CString::new(text[1..].join(" ")).unwrap_or_default();
        // A sandbox may refuse it.
        let _ = nix::sys::prctl::set_name(&name);
    }
    match text[1..] {
        ["hang"] => hang(),
        ["record", sentinel] => signals::record(sentinel.parse().unwrap()),
        ["record-as", user, sentinel] => {
            nix::unistd::setuid(user.parse::<u32>().unwrap().into()).expect("setuid");
            signals::record(sentinel.parse().unwrap())
        }
        ["catch", last] => signals::catch(last.parse().unwrap()),
        ["count", sentinel] => signals::count(sentinel.parse().unwrap()),
        ["work", name, milliseconds] => signals::work(name, milliseconds.parse().unwrap()),
        ["daemon", "work", name, milliseconds] => signals::daemon(name, milliseconds.parse().unwrap()),
        ["family", seed, size, init, begin] => {
            family::family(Task::Work, [seed, size, init], begin.parse().unwrap())
        }
        ["crew", seed, size, init, begin] => {
            family::family(Task::Record, [seed, size, init], begin.parse().unwrap())
        }
        ["manner", manner, name] => manners::Manner::named(manner).live(name),
        ["breed"] => signals::breed(),
        ["report", ..] => report::print(&words[2..]),
        ["exit", status] => status.parse().unwrap(),
        ["die", signum] => signals::die(signum.parse().unwrap()),
        ["orphans", count] => orphans(count.parse().unwrap()),
        ["waves", size] => mob::waves(size.parse().unwrap()),
        ["mob", seed, size, status] => {
            mob::mob(seed.parse().unwrap(), size.parse().unwrap(), status.parse().unwrap())
        }
        ["orphans-that-wait", count] => crowd::orphans_that_wait(count.parse().unwrap()),
        ["crowd", count, status] => crowd::crowd(count.parse().unwrap(), status.parse().unwrap()),
        ["trapped", signum] => signals::stop_under_trace(signum.parse().unwrap()),
        ["window"] => jobs::window(),
        ["eof", descriptor] => close_and_hang(descriptor.parse().unwrap()),
        ["shell", ..] => jobs::shell(&words[2..]),
        ["with", ..] => conditions::exec_with(&words[2..]),
        _ => panic!("no such role: {text:?}"),
    }
}

/// Prints a line in one write.
fn say(line: impl std::fmt::Display) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
    let _ = std::io::stdout().flush();
}

/// Waits for a signal to act on by default.
fn hang() -> ! {
    say("ready");
    loop {
        nix::unistd::pause();
    }
}

/// Leaves `count` orphans behind, which end as soon as they are some. Then waits for a signal.
fn orphans(count: u32) -> ! {
    for _ in 0..count {
        // SAFETY: a single-threaded program.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                let parent = getpid();
                // SAFETY: as above.
                if let ForkResult::Child = unsafe { fork() }.expect("fork") {
                    while getppid() == parent {
                        std::thread::yield_now();
                    }
                }
                std::process::exit(0)
            }
            ForkResult::Parent { child } => drop(waitpid(child, None)),
        }
    }
    hang()
}

/// Closes a descriptor, tells so, and waits for a signal.
fn close_and_hang(descriptor: c_int) -> ! {
    // SAFETY: nothing else here uses it.
    unsafe { libc::close(descriptor) };
    hang()
}

/// Tells how a child changed, waiting for it.
fn wait_for(child: Pid) -> WaitStatus {
    waitpid(child, Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED)).expect("waitpid")
}

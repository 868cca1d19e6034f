//! Program that the tests start under the init: it carries out one order, and reports on stdout.
//!
//! Like the init itself it has no `fn main`: std's runtime would reopen closed descriptors and
//! ignore SIGPIPE.

#![no_main]
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)] // It makes raw system calls throughout.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic fails the test.

mod chaos;
mod conditions;
mod dispositions;
mod exits;
mod jobs;
mod processes;
#[path = "../support/probe_protocol.rs"]
#[allow(unreachable_pub)] // It is shared with the tests.
mod protocol;
mod random_tree;
mod report;
mod seccomp;
mod signals;
mod witness;

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use protocol::{Order, Report};
use random_tree::Tree;

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
    let text: Vec<&str> = words[1..].iter().map(|word| word.to_str().unwrap_or("?")).collect();
    // Arguments may follow some orders that have no fields.
    let order = match text[0].parse() {
        Ok(order @ (Order::Report | Order::Shell | Order::With | Order::Witness)) => order,
        _ => text.join(" ").parse().expect("an order"),
    };
    if words[0].as_bytes().ends_with(b"/probe") && order != Order::With {
        // The kernel cuts the name after 15 bytes. A sandbox may refuse it.
        let name = CString::new(text.join(" ")).unwrap_or_default();
        let _ = nix::sys::prctl::set_name(&name);
    }
    match order {
        Order::Hang => hang(),
        Order::Record(last) => signals::record(last),
        Order::RecordAs(user, last) => {
            nix::unistd::setuid(user.into()).expect("setuid");
            signals::record(last)
        }
        Order::Catch(last) => signals::catch(last),
        Order::Count(report) => signals::count(report),
        Order::Work(name, milliseconds) => signals::work(name, milliseconds),
        Order::Daemon(name, milliseconds) => signals::daemon(name, milliseconds),
        Order::RandomTree(seed, size, init, begin) => {
            Tree::new(Order::RandomTree, seed, size, init).start(begin)
        }
        Order::RecordingTree(seed, size, init, begin) => {
            Tree::new(Order::RecordingTree, seed, size, init).start(begin)
        }
        Order::Dispose(disposition, name) => dispositions::run(disposition, name),
        Order::ForkLoop => signals::fork_loop(),
        Order::Report => report::print(&words[2..]),
        Order::Witness => witness::run(&words[2..]),
        Order::UntilMarker => witness::exit_on_marker(),
        Order::Exit(status) => status,
        Order::Die(signum) => signals::die(signum),
        Order::Orphans(count) => exits::orphans(count),
        Order::WaitingOrphans(count) => exits::waiting_orphans(count),
        Order::ExitTogether(count, status) => exits::exit_together(count, status),
        Order::Waves(size) => chaos::waves(size),
        Order::Chaos(seed, size, status) => chaos::run(seed, size, status),
        Order::StopTraced(signum) => signals::stop_under_trace(signum),
        Order::Window => jobs::window(),
        Order::Close(descriptor) => {
            // SAFETY: nothing else here uses it.
            unsafe { libc::close(descriptor) };
            hang()
        }
        Order::Shell => jobs::shell(&words[2..]),
        Order::With => conditions::exec_with(&words[2..]),
    }
}

/// Prints a line in one write.
fn say(line: impl std::fmt::Display) {
    let _ = std::io::stdout().write_all(
        format!(
            "{line}
"
        )
        .as_bytes(),
    );
    let _ = std::io::stdout().flush();
}

/// Waits for a signal to act on by default.
fn hang() -> ! {
    say(Report::Ready);
    loop {
        nix::unistd::pause();
    }
}

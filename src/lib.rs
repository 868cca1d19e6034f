//! `dumb-init`: a small init for containers.
//!
//! It starts one command, forwards signals to it, reaps its orphans, and exits with the command's status.
//! docs/architecture.md shows how the modules depend on each other.

// Nothing may panic while the command runs. Cargo.toml denies unwrap and expect.
#![cfg_attr(not(test), deny(clippy::panic, clippy::unreachable, clippy::todo, clippy::unimplemented))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

mod explain;
mod log;
pub mod options;
mod policy;
mod process;
mod report;
mod run;
mod signal;
mod spawn;
mod supervisor;
mod sys;

use std::ffi::{c_char, c_int};

use sys::arguments;

/// Runs the program, and returns its exit status. Called by the C entry point alone.
///
/// std's runtime is left out, since an init must not do three things that it does before `fn main`. It opens
/// /dev/null in place of a closed stdin, stdout or stderr, which the command would find open. It ignores
/// SIGPIPE, which the command would inherit. And it takes time until signals are blocked, during which PID 1
/// would lose them.
///
/// # Safety
/// `argv` has `count` strings, which are neither freed nor written to. This is the vector that the kernel
/// built for exec.
#[must_use]
#[allow(unsafe_code, reason = "the entry point of a C program passes a raw vector")]
pub unsafe fn main(count: c_int, argv: *const *const c_char) -> c_int {
    // First of all: signals wait from here on.
    let blocked = sys::signals::block_all();
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: this function's own contract.
    let words = unsafe { arguments::collect(argv, count) };
    run::run(blocked, &words, arguments::environment()).code().into()
}

//! Why is there no `fn main`?
//!
//! std's runtime does three things before it calls one that a drop-in init must not do: it opens /dev/null in the place
//! of a closed stdin, stdout or stderr (the command would find it open), it ignores SIGPIPE (the command would inherit
//! that), and it spends time between exec and the moment when signals are blocked, in which PID 1 loses them. So the C
//! library calls us directly, and std is used as the library that it is.

use std::ffi::{c_char, c_int};

use super::arguments;

/// Called by the C library's start-up code.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main(count: c_int, argv: *const *const c_char) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: this is the argument vector that the kernel built for exec: `count` strings, never freed nor written to.
    let words = unsafe { arguments::collect(argv, count) };
    crate::life(&words, arguments::environment()).code().into()
}

//! The C entry point of `dumb-init`. See [`dumb_init::main`] for the reason that there is no `fn main`.

#![no_main]

use std::ffi::{c_char, c_int};

/// Called by the C library's start-up code.
#[allow(unsafe_code, reason = "the C library finds it by its name, and passes the kernel's argument vector")]
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: these are the arguments that the kernel built for exec.
    unsafe { dumb_init::main(count, argv) }
}

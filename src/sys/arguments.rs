//! Borrows the arguments and the environment from the memory in which the kernel passes them, byte for byte.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    /// environ(7)
    static environ: *const *const c_char;
}

/// A C string that lives as long as the process.
pub(crate) type Arg = &'static CStr;

/// Borrows `count` strings, or fewer if a null pointer comes first.
///
/// # Safety
/// `strings` points to at least `count` pointers, or ends with a null pointer before that. Each is null or
/// points to a C string. None is freed or written to while the process lives.
pub(crate) unsafe fn collect(strings: *const *const c_char, count: usize) -> Vec<Arg> {
    let mut length = 0;
    // SAFETY: length < count, and no null pointer has been seen so far.
    while length < count && !unsafe { *strings.wrapping_add(length) }.is_null() {
        length = length.wrapping_add(1);
    }
    // SAFETY: so many pointers have just been read.
    let strings = unsafe { std::slice::from_raw_parts(strings, length) };
    // SAFETY: none is null, so each is a C string that is never freed.
    strings.iter().map(|&string| unsafe { CStr::from_ptr(string) }).collect()
}

/// The array of the environment, which ends with a null pointer.
pub(super) fn environment_array() -> *const *const c_char {
    // SAFETY: the C library sets the variable before main, and nothing in this program writes to it.
    unsafe { environ }
}

/// The environment, including entries that are no `NAME=VALUE`.
pub(crate) fn environment() -> Vec<Arg> {
    let strings = environment_array();
    if strings.is_null() {
        return Vec::new();
    }
    // SAFETY: an array that ends with a null pointer; this program never calls setenv(3) or putenv(3).
    unsafe { collect(strings, usize::MAX) }
}

/// The path that was passed to exec: the program's, or that of a script whose `#!` line names it
/// (getauxval(3)).
pub(crate) fn executed_as() -> Option<Arg> {
    // SAFETY: reads the auxiliary vector, which the kernel has put behind the environment.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    let string = std::ptr::with_exposed_provenance::<c_char>(usize::try_from(address).ok()?);
    // SAFETY: a C string of the kernel's, which is neither freed nor changed.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) })
}

//! What does glibc say?
//!
//! The oracle, and with it all the unsafe code. getopt_long(3) keeps its place in variables of the process, and here the
//! process's `stderr` is swapped for a while, so all of this belongs to one thread: libFuzzer's, which runs one input
//! after the other.

#![allow(unsafe_code)] // Foreign functions are what it is for.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use crate::SPECS;
use crate::getopt::{Effect, Order, Value};
use crate::sys::arguments::{self, Word};

/// The options that getopt_long(3) reads, each as `--name` or `--name=value`, and where they end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) options: Vec<OsString>,
    pub(crate) end: End,
}

/// Why no further option was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// These are the words of the command.
    Command(Vec<CString>),
    /// The last option acts at once.
    AtOnce,
    /// The next option is wrong, as this text says.
    Error(OsString),
}

/// getopt_long(3)
#[repr(C)]
struct LongOption {
    name: *const c_char,
    has_arg: c_int,
    flag: *mut c_int,
    val: c_int,
}

unsafe extern "C" {
    static mut optarg: *const c_char;
    static mut optind: c_int;
    static mut opterr: c_int;
    static mut stderr: *mut libc::FILE;

    fn getopt_long(
        argc: c_int,
        argv: *mut *const c_char,
        short: *const c_char,
        long: *const LongOption,
        index: *mut c_int,
    ) -> c_int;
}

/// Splits `input` at its NUL bytes, as the kernel lays out the words of an exec, and lends them to `use_them`, which may
/// keep none.
pub(crate) fn with_words(input: &[u8], use_them: impl FnOnce(&[Word])) {
    let memory = [input, b"\0"].concat();
    let argv: Vec<*const c_char> = memory.split_inclusive(|&byte| byte == 0).map(|word| word.as_ptr().cast()).collect();
    // SAFETY: as many pointers, each to a C string. They don't live as long as the process, but longer than the words
    // are used.
    let words = unsafe { arguments::collect(argv.as_ptr(), argv.len()) };
    use_them(&words);
}

/// Reads the options of `words`, the program's name first, with the original's table, up to one that acts at once.
pub(crate) fn read_options(words: &[Word], order: Order) -> Reading {
    let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(ptr::null());
    let mut reading = None;
    let text = what_is_written_to_stderr(|| reading = Some(read_argv(&mut argv, order)));
    let (options, end) = reading.unwrap_or_default();
    Reading { options, end: end.unwrap_or(End::Error(text)) }
}

/// The options of an argument vector, and what ends them, or `None` for an error, which glibc writes about.
fn read_argv(argv: &mut [*const c_char], order: Order) -> (Vec<OsString>, Option<End>) {
    let names: Vec<CString> = SPECS.iter().filter_map(|spec| CString::new(spec.long?).ok()).collect();
    let mut long: Vec<LongOption> = SPECS
        .iter()
        .zip(&names)
        .map(|(spec, name)| LongOption {
            name: name.as_ptr(),
            has_arg: c_int::from(spec.value == Value::Required),
            flag: ptr::null_mut(),
            val: spec.short.map_or(0, |letter| letter as c_int),
        })
        .collect();
    long.push(LongOption { name: ptr::null(), has_arg: 0, flag: ptr::null_mut(), val: 0 });
    let count = c_int::try_from(argv.len() - 1).unwrap_or(c_int::MAX);

    // glibc looks at POSIXLY_CORRECT as well, which nobody sets here.
    let short = match order {
        Order::InFront => c"+hvVcr:",
        Order::Anywhere => c"hvVcr:",
    };
    // SAFETY: no other thread touches it. 0 has glibc forget where it was.
    unsafe { optind = 0 };
    // SAFETY: likewise.
    unsafe { opterr = 1 };
    let mut options = Vec::new();
    loop {
        // SAFETY: `argv` has `count` C strings and a null pointer, and is ours to be put into another order. `long` ends
        // with zeros, its names outlive the call, and there may be no index.
        let letter = unsafe { getopt_long(count, argv.as_mut_ptr(), short.as_ptr(), long.as_ptr(), ptr::null_mut()) };
        if letter == -1 {
            // SAFETY: as above.
            let index = usize::try_from(unsafe { optind }).unwrap_or(usize::MAX);
            let rest = argv.get(index..count.unsigned_abs() as usize).unwrap_or_default();
            // SAFETY: as above.
            let command = rest.iter().map(|&word| unsafe { CStr::from_ptr(word) }.to_owned()).collect();
            return (options, Some(End::Command(command)));
        }
        let Some(spec) = SPECS.iter().find(|spec| spec.short.map(|short| short as c_int) == Some(letter)) else {
            return (options, None);
        };
        let mut option = OsString::from(format!("--{}", spec.long.unwrap_or_default()));
        if spec.value == Value::Required {
            // SAFETY: as above.
            let value = unsafe { optarg };
            // SAFETY: the option has a value, so this points into a word.
            let value = unsafe { CStr::from_ptr(value) };
            option.push("=");
            option.push(OsStr::from_bytes(value.to_bytes()));
        }
        options.push(option);
        if spec.effect == Effect::AtOnce {
            return (options, Some(End::AtOnce));
        }
    }
}

/// Runs `write`, and returns what glibc writes to its `stderr` meanwhile.
fn what_is_written_to_stderr(write: impl FnOnce()) -> OsString {
    let (mut start, mut size) = (ptr::null_mut(), 0);
    // SAFETY: both outlive the stream, which is closed below.
    let stream = unsafe { libc::open_memstream(&raw mut start, &raw mut size) };
    assert!(!stream.is_null(), "open_memstream: {}", std::io::Error::last_os_error());
    // SAFETY: glibc lets it be assigned to, and no other thread writes.
    let usual = unsafe { stderr };
    // SAFETY: likewise.
    unsafe { stderr = stream };
    write();
    // SAFETY: likewise.
    unsafe { stderr = usual };
    // SAFETY: opened above and closed once.
    let closed = unsafe { libc::fclose(stream) };
    assert_eq!(closed, 0, "fclose: {}", std::io::Error::last_os_error());
    // SAFETY: a stream that was closed has left its text here, that long.
    let text = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size) };
    let text = OsStr::from_bytes(text).to_owned();
    // SAFETY: it is ours to free, and was copied.
    unsafe { libc::free(start.cast()) };
    text
}

/// The two numbers of `text` where it begins as the original's format says.
pub(crate) fn scan_pair(text: &CStr) -> Option<(i32, i32)> {
    let (mut from, mut to): (c_int, c_int) = (0, 0);
    // SAFETY: two C strings, and an int for each %d.
    let count = unsafe { libc::sscanf(text.as_ptr(), c"%d:%d".as_ptr(), &raw mut from, &raw mut to) };
    (count == 2).then_some((from, to))
}

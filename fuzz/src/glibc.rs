//! The functions of glibc that the original calls.
//!
//! getopt_long(3) keeps its state in variables of the process, and `stderr` is replaced meanwhile. So only
//! one thread may call these functions: libFuzzer's, which runs one input after the other.

#![allow(unsafe_code)] // It calls C functions.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use dumb_init::options::fuzzing::{End, Reading};

use crate::originals;

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

/// Splits `input` at its NUL bytes, as the kernel lays out the words of an exec, and lends them to `run`,
/// which must not keep any.
pub(crate) fn with_words(input: &[u8], run: impl FnOnce(&[&'static CStr])) {
    let memory = [input, b"\0"].concat();
    let word = |bytes: &[u8]| {
        // SAFETY: the bytes end with their only NUL byte. They outlive the call of `run`.
        unsafe { CStr::from_ptr(bytes.as_ptr().cast()) }
    };
    let words: Vec<&CStr> = memory.split_inclusive(|&byte| byte == 0).map(word).collect();
    run(&words);
}

/// Reads the options of `words`, the program's name first, up to one that acts at once. With `permutes`,
/// options may follow words of the command.
pub(crate) fn read_options(words: &[&'static CStr], permutes: bool) -> Reading {
    let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(ptr::null());
    let mut reading = None;
    let text = capture_stderr(|| reading = Some(read_argv(&mut argv, permutes)));
    let (options, end) = reading.unwrap_or_default();
    Reading { options, end: end.unwrap_or(End::Error(text)) }
}

/// The options of an argument vector and their end. `None` is an error: glibc writes the message.
fn read_argv(argv: &mut [*const c_char], permutes: bool) -> (Vec<Vec<u8>>, Option<End>) {
    let names: Vec<CString> =
        originals().filter_map(|row| CString::new(row.long?.trim_start_matches('-')).ok()).collect();
    let letter_of = |short: Option<&str>| short.and_then(|short| short.bytes().last()).map_or(0, c_int::from);
    let mut long: Vec<LongOption> = originals()
        .zip(&names)
        .map(|(row, name)| LongOption {
            name: name.as_ptr(),
            has_arg: c_int::from(row.value_name.is_some()),
            flag: ptr::null_mut(),
            val: letter_of(row.short),
        })
        .collect();
    long.push(LongOption { name: ptr::null(), has_arg: 0, flag: ptr::null_mut(), val: 0 });
    let count = c_int::try_from(argv.len() - 1).unwrap_or(c_int::MAX);

    // POSIXLY_CORRECT, which glibc reads as well, is not set here.
    let short = if permutes { c"hvVcr:" } else { c"+hvVcr:" };
    // SAFETY: no other thread uses it. 0 resets the state of glibc.
    unsafe { optind = 0 };
    // SAFETY: likewise.
    unsafe { opterr = 1 };
    let mut options = Vec::new();
    loop {
        // SAFETY: `argv` has `count` C strings and a null pointer, and may be permuted. `long` ends with
        // zeros, its names outlive the call, and the index may be null.
        let letter =
            unsafe { getopt_long(count, argv.as_mut_ptr(), short.as_ptr(), long.as_ptr(), ptr::null_mut()) };
        if letter == -1 {
            // SAFETY: as above.
            let index = usize::try_from(unsafe { optind }).unwrap_or(usize::MAX);
            let rest = argv.get(index..count.unsigned_abs() as usize).unwrap_or_default();
            // SAFETY: as above. The words outlive the reading, as those of `with_words` do.
            let command = rest.iter().map(|&word| unsafe { CStr::from_ptr(word) }).collect();
            return (options, Some(End::Command(command)));
        }
        let Some(row) = originals().find(|row| letter_of(row.short) == letter) else {
            return (options, None);
        };
        let mut option = row.long.unwrap_or_default().as_bytes().to_vec();
        if row.value_name.is_some() {
            // SAFETY: as above.
            let value = unsafe { optarg };
            // SAFETY: the option has a value, so this points into a word.
            let value = unsafe { CStr::from_ptr(value) };
            option.push(b'=');
            option.extend_from_slice(value.to_bytes());
        }
        options.push(option);
        if matches!(row.long, Some("--help" | "--version")) {
            return (options, Some(End::AtOnce));
        }
    }
}

/// Runs `write` and returns the bytes that glibc writes to `stderr` meanwhile.
fn capture_stderr(write: impl FnOnce()) -> Vec<u8> {
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
    let text = text.to_vec();
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

//! Explains why a program could not be executed, if its name or its file shows that.

use std::ffi::CStr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::stat;

use super::{path_search, shebang};
use crate::log::escape::Escaped;
use crate::log::{self, Message};
use crate::sys::arguments::Arg;
use crate::sys::clone;

/// Limit for reading the file, which may be on a hung file system.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes a line in the child after the line about the error. Allocates nothing.
pub(super) fn explain(argv: &[Arg], path: Option<&[u8]>, errno: Errno) {
    let [name, ..] = argv else { return };
    let has_blanks = name.to_bytes().iter().any(|byte| matches!(byte, b' ' | b'\t'));
    let is_one_word = errno == Errno::ENOENT && argv.len() == 1 && has_blanks;
    if matches!(errno, Errno::ENOENT | Errno::EACCES) {
        clone::run_with_timeout(PATIENCE, &mut || {
            if is_one_word && stat(*name) == Err(Errno::ENOENT) {
                log::write_without_logger(Message::OneWord);
            }
            path_search::try_each(name, path, |path| match explain_file(path, errno) {
                // E2BIG ends the search in PATH. The value is not used.
                Some(()) => Errno::E2BIG,
                None => Errno::ENOENT,
            });
        });
    }
}

/// Writes the reason that the file at this path cannot be executed. `None` if no reason is known.
fn explain_file(path: &CStr, errno: Errno) -> Option<()> {
    if stat(path).ok()?.st_mode & libc::S_IFMT == libc::S_IFDIR {
        log::write_reason(path, format_args!("it is a directory"));
        return Some(());
    }
    let mut beginning = shebang::beginning(path)?;
    if beginning.starts_with(b"\x7fELF") {
        let reason = format_args!("its dynamic loader is missing; it may need another C library");
        return (errno == Errno::ENOENT).then(|| log::write_reason(path, reason));
    }
    let interpreter = interpreter(&mut beginning)?;
    let end = if interpreter.to_bytes().ends_with(b"\r") {
        "; the #! line ends with a carriage return (DOS line end)"
    } else {
        ""
    };
    let shown = Escaped(interpreter.to_bytes());
    let is_missing = stat(interpreter) == Err(Errno::ENOENT);
    is_missing.then(|| log::write_reason(path, format_args!("its interpreter '{shown}' is missing{end}")))
}

/// The interpreter that a `#!` line names, as the kernel reads it.
fn interpreter(beginning: &mut [u8]) -> Option<&CStr> {
    let line = beginning.strip_prefix(b"#!")?;
    let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let name = beginning.get_mut(blanks.checked_add(2)?..)?;
    let end = name.iter_mut().find(|byte| matches!(**byte, b' ' | b'\t' | b'\n' | 0))?;
    *end = 0;
    CStr::from_bytes_until_nul(name).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreter_ends_at_a_blank_or_at_the_line_end() {
        for (line, expected) in [
            ("#!/bin/sh\nexit\n", Some(c"/bin/sh")),
            ("#! \t/bin/sh -e\n", Some(c"/bin/sh")),
            ("#!/bin/sh\r\nexit\r\n", Some(c"/bin/sh\r")),
            ("#!/bin/sh\0", Some(c"/bin/sh")),
            ("#!\n/bin/sh\n", None),
            ("#!/a/path/without/an/end", None),
            ("/bin/sh\n", None),
        ] {
            let mut bytes = line.as_bytes().to_vec();
            assert_eq!(interpreter(&mut bytes), expected, "{line:?}");
        }
    }
}

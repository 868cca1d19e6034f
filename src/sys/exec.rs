//! Replaces a process by the command (execve(2)).

use std::ffi::{CStr, c_char};
use std::ptr;

use nix::errno::Errno;

use super::arguments::{self, Arg};

/// Runs a script that names no interpreter.
const SHELL: &CStr = c"/bin/sh";

/// An array of C strings that ends with a null pointer. Made before the clone, since the child must not
/// allocate.
pub(crate) struct Strings(Vec<*const c_char>);

impl Strings {
    pub(crate) fn new(strings: impl Iterator<Item = Arg>) -> Self {
        Self(strings.map(CStr::as_ptr).chain([ptr::null()]).collect())
    }

    /// Replaces the string at `index`, which is not the null pointer's.
    pub(crate) fn replace(&mut self, index: usize, string: Arg) {
        if let Some(place) = self.0.get_mut(index).filter(|place| !place.is_null()) {
            *place = string.as_ptr();
        }
    }

    /// Removes the string at `index`, which is not the null pointer's. Allocates nothing.
    pub(crate) fn remove(&mut self, index: usize) {
        if self.0.get(index).is_some_and(|string| !string.is_null()) {
            self.0.remove(index);
        }
    }
}

/// The command's arguments, behind the shell's path in case that the command is a script.
pub(crate) struct Arguments(Strings);

impl Arguments {
    pub(crate) fn new(argv: impl Iterator<Item = Arg>) -> Self {
        Self(Strings::new([SHELL].into_iter().chain(argv)))
    }

    /// execve(2), by the shell for a script without `#!`, as execvp(3) does. Returns the error. Allocates
    /// nothing.
    pub(crate) fn exec(&mut self, path: &CStr, environment: Option<&Strings>) -> Errno {
        let [_shell, argv @ ..] = self.0.0.as_slice() else { return Errno::EINVAL };
        let errno = exec(path, argv, environment);
        let [_shell, name, _rest @ ..] = self.0.0.as_mut_slice() else { return errno };
        if errno != Errno::ENOEXEC {
            return errno;
        }
        let before = std::mem::replace(name, path.as_ptr());
        let errno = exec(SHELL, &self.0.0, environment);
        if let Some(name) = self.0.0.get_mut(1) {
            *name = before;
        }
        errno
    }
}

/// `argv` is the end of the pointers of a `Strings`. By default the environment is the one that we got.
fn exec(path: &CStr, argv: &[*const c_char], environment: Option<&Strings>) -> Errno {
    let environment = environment.map_or_else(arguments::environment_array, |strings| strings.0.as_ptr());
    // SAFETY: all pointers lead to C strings that are borrowed for the call; both arrays end with a null
    // pointer.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environment) };
    Errno::last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_removed_and_the_null_pointer_stays() {
        for (index, expected) in [(0, "bc"), (1, "ac"), (2, "ab"), (3, "abc"), (4, "abc")] {
            let mut strings = Strings::new([c"a", c"b", c"c"].into_iter());
            strings.replace(3, c"x");
            strings.remove(index);
            let [pointers @ .., null] = strings.0.as_slice() else { panic!("an empty array") };
            assert!(null.is_null());
            // SAFETY: they come from the literals.
            let text = pointers.iter().map(|&string| unsafe { CStr::from_ptr(string) }.to_str().unwrap());
            assert_eq!(text.collect::<String>(), expected, "{index}");
        }
    }
}

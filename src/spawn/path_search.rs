//! Finds the command in PATH by the rules of glibc's execvp(3), whichever C library we are built on.
//!
//! A name with a slash is a path. Any other is tried in each directory of PATH; an empty one is the current
//! directory. musl's execvp(3) differs, and both allocate, which the child must not do.

use std::ffi::CStr;
use std::io::Write;

use nix::errno::Errno;

/// confstr(3), `_CS_PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
const PATH_MAX: usize = 4096;

/// Calls `attempt` with each path of the command `name` in `path`, the value of PATH, until an error is
/// final. Returns that error, EACCES if one of the files was not executable, or else the last error.
/// Allocates nothing.
pub(crate) fn try_each(name: &CStr, path: Option<&[u8]>, mut attempt: impl FnMut(&CStr) -> Errno) -> Errno {
    if name.is_empty() {
        Errno::ENOENT
    } else if name.to_bytes().contains(&b'/') {
        attempt(name)
    } else {
        try_in(path.unwrap_or(DEFAULT_PATH), name, attempt)
    }
}

#[inline(never)] // Its frame is large.
fn try_in(path: &[u8], name: &CStr, mut attempt: impl FnMut(&CStr) -> Errno) -> Errno {
    let mut candidate = [0; PATH_MAX];
    let mut is_denied = false;
    let mut last = Errno::ENOENT;
    let directories = path.split(|&byte| byte == b':');
    for directory in directories.filter(|directory| directory.len() < PATH_MAX) {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let mut free = candidate.as_mut_slice();
        let fits =
            [directory, slash, name.to_bytes_with_nul()].iter().all(|part| free.write_all(part).is_ok());
        last = match CStr::from_bytes_until_nul(&candidate) {
            Ok(candidate) if fits => attempt(candidate),
            // The kernel refuses longer paths.
            Ok(_) | Err(_) => Errno::ENAMETOOLONG,
        };
        match last {
            Errno::EACCES => is_denied = true,
            Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR | Errno::ENODEV | Errno::ETIMEDOUT => {}
            _ => return last,
        }
    }
    if is_denied { Errno::EACCES } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that are tried if each fails with `errno`, and the returned error.
    fn tried(name: &CStr, path: Option<&str>, errno: impl Fn(&str) -> Errno) -> (Vec<String>, Errno) {
        let mut tried = Vec::new();
        let result = try_each(name, path.map(str::as_bytes), |candidate| {
            tried.push(candidate.to_str().unwrap().to_owned());
            errno(candidate.to_str().unwrap())
        });
        (tried, result)
    }

    #[test]
    fn name_is_tried_in_each_directory() {
        let long = format!("/{}:/b", "d".repeat(4096));
        for (name, path, expected) in [
            (c"x", Some("/a:/b/:rel"), &["/a/x", "/b//x", "rel/x"][..]),
            (c"x", Some(":/a:"), &["x", "/a/x", "x"]),
            (c"x", Some(""), &["x"]),
            (c"x", None, &["/bin/x", "/usr/bin/x"]),
            (c"x", Some(&long), &["/b/x"]),
            (c"./x", Some("/a"), &["./x"]),
            (c"", Some("/a"), &[]),
        ] {
            let (tried, errno) = tried(name, path, |_| Errno::ENOENT);
            assert_eq!((tried, errno), (expected.iter().map(ToString::to_string).collect(), Errno::ENOENT));
        }
    }

    #[test]
    fn eacces_outweighs_a_missing_file_and_other_errors_are_final() {
        let errno = |candidate: &str| if candidate == "/b/x" { Errno::EACCES } else { Errno::ENOTDIR };
        assert_eq!(tried(c"x", Some("/a:/b:/c"), errno).1, Errno::EACCES);
        assert_eq!(tried(c"x", Some("/a"), errno).1, Errno::ENOTDIR);
        let (tried, errno) = tried(c"x", Some("/a:/b"), |_| Errno::E2BIG);
        assert_eq!((tried.len(), errno), (1, Errno::E2BIG));
    }
}

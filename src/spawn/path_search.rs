//! Which file is the command?
//!
//! The rules of glibc's execvp(3), whichever C library the binary was built on: a name with a slash is a path; any other
//! is tried in each directory of PATH, where an empty one is the current directory, and without PATH in /bin and
//! /usr/bin. musl's execvp differs (it runs no scripts without `#!`), and neither may be called by a child that
//! shares our memory, since they allocate.

use std::ffi::CStr;
use std::io::Write;

use nix::errno::Errno;

/// confstr(3), `_CS_PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
const PATH_MAX: usize = 4096;

/// Calls `attempt` with each path of the command `name` in `path`, the value of PATH, until an error is final.
/// Returns that error, EACCES if one of the files was not executable, or else the last error. Allocates
/// nothing.
pub(crate) fn try_each(name: &CStr, path: Option<&[u8]>, mut attempt: impl FnMut(&CStr) -> Errno) -> Errno {
    if name.is_empty() {
        return Errno::ENOENT;
    }
    if name.to_bytes().contains(&b'/') {
        return attempt(name);
    }
    let mut candidate = [0; PATH_MAX];
    let mut is_denied = false;
    let mut last = Errno::ENOENT;
    let directories = path.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':');
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

    /// What is tried for a name in a PATH, where everything fails with `errno`, and the reason that counts.
    fn tried(name: &CStr, path: Option<&str>, errno: impl Fn(&str) -> Errno) -> (Vec<String>, Errno) {
        let mut candidates = Vec::new();
        let reason = try_each(name, path.map(str::as_bytes), |candidate| {
            let candidate = candidate.to_str().unwrap().to_owned();
            let reason = errno(&candidate);
            candidates.push(candidate);
            reason
        });
        (candidates, reason)
    }

    #[test]
    fn a_name_is_tried_in_every_directory_of_path() {
        let (candidates, reason) = tried(c"x", Some("/a:/b/:rel"), |_| Errno::ENOENT);
        assert_eq!(candidates, ["/a/x", "/b//x", "rel/x"]);
        assert_eq!(reason, Errno::ENOENT);
    }

    #[test]
    fn an_empty_directory_is_the_current_one_and_no_path_is_the_default_one() {
        assert_eq!(tried(c"x", Some(":/a:"), |_| Errno::ENOENT).0, ["x", "/a/x", "x"]);
        assert_eq!(tried(c"x", Some(""), |_| Errno::ENOENT).0, ["x"]);
        assert_eq!(tried(c"x", None, |_| Errno::ENOENT).0, ["/bin/x", "/usr/bin/x"]);
    }

    #[test]
    fn a_name_with_a_slash_is_a_path_and_an_empty_one_is_nothing() {
        assert_eq!(tried(c"./x", Some("/a"), |_| Errno::EACCES), (vec!["./x".into()], Errno::EACCES));
        assert_eq!(tried(c"", Some("/a"), |_| Errno::EACCES), (vec![], Errno::ENOENT));
    }

    #[test]
    fn a_file_that_may_not_be_executed_counts_more_than_one_that_is_missing() {
        let errno = |candidate: &str| if candidate == "/b/x" { Errno::EACCES } else { Errno::ENOTDIR };
        assert_eq!(tried(c"x", Some("/a:/b:/c"), errno).1, Errno::EACCES);
        assert_eq!(tried(c"x", Some("/a"), errno).1, Errno::ENOTDIR);
    }

    #[test]
    fn another_reason_ends_the_search() {
        let (candidates, reason) = tried(c"x", Some("/a:/b"), |_| Errno::E2BIG);
        assert_eq!((candidates.len(), reason), (1, Errno::E2BIG));
    }

    #[test]
    fn a_directory_that_is_too_long_for_a_path_is_passed_over() {
        let path = format!("/{}:/b", "d".repeat(4096));
        assert_eq!(tried(c"x", Some(&path), |_| Errno::ENOENT).0, ["/b/x"]);
    }
}

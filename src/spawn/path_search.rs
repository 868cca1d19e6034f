//! Which file is the command?
//!
//! The rules of glibc's execvp(3), whichever C library the binary was built on: a name with a slash is a path; any other
//! is tried in each directory of PATH, where an empty one is the current directory, and without PATH in /bin and
//! /usr/bin. musl's execvp differs (it runs no scripts without `#!`), and neither may be called by a child that
//! shares our memory, since they allocate.

use std::ffi::CStr;

use nix::errno::Errno;

/// confstr(3), `_CS_PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
const PATH_MAX: usize = 4096;

/// The candidates for a command, one after the other. Makes them in memory that is allocated beforehand.
pub(crate) struct Search<'a> {
    name: &'a CStr,
    path: &'a [u8],
    candidate: Vec<u8>,
}

impl<'a> Search<'a> {
    /// Prepares the search for `name` in `path`, the value of PATH if it is set.
    pub(crate) fn new(name: &'a CStr, path: Option<&'a [u8]>) -> Self {
        let path = path.unwrap_or(DEFAULT_PATH);
        let longest = [path.len(), "/".len(), name.to_bytes_with_nul().len()].into_iter().sum();
        Self { name, path, candidate: Vec::with_capacity(longest) }
    }

    /// Calls `attempt` for each candidate until one fails for good. `attempt` returns only where it fails, and so does
    /// this, with the reason that counts: EACCES where one candidate was there but could not be executed, else the last.
    pub(crate) fn run(&mut self, mut attempt: impl FnMut(&CStr) -> Errno) -> Errno {
        let name = self.name.to_bytes();
        if name.is_empty() {
            return Errno::ENOENT;
        }
        if name.contains(&b'/') {
            return attempt(self.name);
        }
        let mut reason = Errno::ENOENT;
        let mut denied = false;
        for directory in self.path.split(|&byte| byte == b':').filter(|directory| directory.len() < PATH_MAX)
        {
            let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
            self.candidate.clear();
            for part in [directory, slash, self.name.to_bytes_with_nul()] {
                self.candidate.extend_from_slice(part);
            }
            // There is no zero byte in it before its last.
            let Ok(candidate) = CStr::from_bytes_with_nul(&self.candidate) else { continue };
            reason = attempt(candidate);
            match reason {
                Errno::EACCES => denied = true,
                Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR | Errno::ENODEV | Errno::ETIMEDOUT => {}
                _ => return reason,
            }
        }
        if denied { Errno::EACCES } else { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is tried for a name in a PATH, where everything fails with `errno`, and the reason that counts.
    fn tried(name: &CStr, path: Option<&str>, errno: impl Fn(&str) -> Errno) -> (Vec<String>, Errno) {
        let mut candidates = Vec::new();
        let reason = Search::new(name, path.map(str::as_bytes)).run(|candidate| {
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

//! The texts of strerror(3), as glibc words them in the C locale whichever C library we are built on: the
//! original prints them. The child can use them, since nothing is allocated or locked.

use nix::errno::Errno;

pub(crate) fn strerror(errno: Errno) -> &'static str {
    EXCEPTIONS.iter().find(|(other, _)| *other == errno).map_or(errno.desc(), |(_, text)| text)
}

/// The texts that are others in nix.
const EXCEPTIONS: [(Errno, &str); 17] = [
    (Errno::EIO, "Input/output error"),
    (Errno::EBADF, "Bad file descriptor"),
    (Errno::EAGAIN, "Resource temporarily unavailable"),
    (Errno::ENOMEM, "Cannot allocate memory"),
    (Errno::EXDEV, "Invalid cross-device link"),
    (Errno::ENFILE, "Too many open files in system"),
    (Errno::ENOTTY, "Inappropriate ioctl for device"),
    (Errno::EDOM, "Numerical argument out of domain"),
    (Errno::ERANGE, "Numerical result out of range"),
    (Errno::EDEADLK, "Resource deadlock avoided"),
    (Errno::ENOLCK, "No locks available"),
    (Errno::ELOOP, "Too many levels of symbolic links"),
    (Errno::EBADMSG, "Bad message"),
    (Errno::EILSEQ, "Invalid or incomplete multibyte or wide character"),
    (Errno::EOPNOTSUPP, "Operation not supported"),
    (Errno::ENETRESET, "Network dropped connection on reset"),
    (Errno::EDQUOT, "Disk quota exceeded"),
];

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_that_of_glibc() {
        for errno in (1..134).map(Errno::from_raw).filter(|&errno| errno != Errno::UnknownErrno) {
            let expected = std::io::Error::from(errno).to_string();
            assert_eq!(format!("{} (os error {})", strerror(errno), errno as i32), expected);
        }
    }
}

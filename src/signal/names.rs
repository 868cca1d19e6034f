//! Names of signals, as in signal(7).
//!
//! RTMIN is 34, as in glibc, `kill -l` and systemd. musl's is 35, but `RTMIN+3` must be the same signal in
//! every build.

use std::fmt;

use super::Signum;

const FIRST_REAL_TIME: i32 = 34;

/// The name of each standard signal, followed by second names.
const NAMES: [(i32, &str); 34] = [
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGILL, "ILL"),
    (libc::SIGTRAP, "TRAP"),
    (libc::SIGABRT, "ABRT"),
    (libc::SIGBUS, "BUS"),
    (libc::SIGFPE, "FPE"),
    (libc::SIGKILL, "KILL"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGSEGV, "SEGV"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGPIPE, "PIPE"),
    (libc::SIGALRM, "ALRM"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGSTKFLT, "STKFLT"),
    (libc::SIGCHLD, "CHLD"),
    (libc::SIGCONT, "CONT"),
    (libc::SIGSTOP, "STOP"),
    (libc::SIGTSTP, "TSTP"),
    (libc::SIGTTIN, "TTIN"),
    (libc::SIGTTOU, "TTOU"),
    (libc::SIGURG, "URG"),
    (libc::SIGXCPU, "XCPU"),
    (libc::SIGXFSZ, "XFSZ"),
    (libc::SIGVTALRM, "VTALRM"),
    (libc::SIGPROF, "PROF"),
    (libc::SIGWINCH, "WINCH"),
    (libc::SIGIO, "IO"),
    (libc::SIGPWR, "PWR"),
    (libc::SIGSYS, "SYS"),
    (libc::SIGABRT, "IOT"),
    (libc::SIGCHLD, "CLD"),
    (libc::SIGIO, "POLL"),
];

impl Signum {
    /// Reads a number or a name: `15`, `TERM`, `SIGTERM`, `RTMIN+3`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.iter().all(u8::is_ascii_digit) {
            return Self::new(std::str::from_utf8(text).ok()?.parse().ok()?);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix(b"SIG").unwrap_or(&upper);
        let known = NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        Self::new(known.map_or_else(|| real_time(name), |(number, _)| Some(*number))?)
    }
}

/// The number of `RTMIN+3` or `RTMAX-1`.
fn real_time(name: &[u8]) -> Option<i32> {
    let distance = |text: &[u8], sign: u8| match text {
        [] => Some(0),
        [first, digits @ ..] if *first == sign && digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok()?.parse::<i32>().ok()
        }
        _ => None,
    };
    let number = if let Some(rest) = name.strip_prefix(b"RTMIN") {
        FIRST_REAL_TIME.checked_add(distance(rest, b'+')?)?
    } else {
        Signum::LAST.checked_sub(distance(name.strip_prefix(b"RTMAX")?, b'-')?)?
    };
    (FIRST_REAL_TIME..=Signum::LAST).contains(&number).then_some(number)
}

/// Displays the name of a signal: `SIGTERM`, `SIGRTMIN+3`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name(pub(crate) Signum);

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.raw();
        if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == number) {
            write!(out, "SIG{name}")
        } else {
            match number.saturating_sub(FIRST_REAL_TIME) {
                0 => out.write_str("SIGRTMIN"),
                distance if distance > 0 => write!(out, "SIGRTMIN+{distance}"),
                // 32 and 33 have no names.
                _ => write!(out, "signal {number}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<i32> {
        Signum::parse(text.as_bytes()).map(Signum::raw)
    }

    #[test]
    fn signal_is_parsed_by_number_and_by_name() {
        for number in 1..=64 {
            assert_eq!(parsed(&number.to_string()), Some(number));
            let name = Name(Signum::new(number).unwrap()).to_string();
            assert_eq!(parsed(&name), Some(number).filter(|number| ![32, 33].contains(number)), "{name}");
        }
    }

    #[test]
    fn signal_name_is_parsed_in_any_case_and_without_sig() {
        let standard =
            [("TERM", 15), ("term", 15), ("SigTerm", 15), ("CLD", 17), ("SIGPOLL", 29), ("007", 7)];
        let lowest = [("RTMIN", 34), ("RTMAX-30", 34), ("sigrtmin+3", 37)];
        let highest = [("RTMAX-1", 63), ("rtmax", 64), ("RTMIN+30", 64)];
        for (text, number) in standard.into_iter().chain(lowest).chain(highest) {
            assert_eq!(parsed(text), Some(number), "{text}");
        }
    }

    #[test]
    fn unknown_signal_name_is_refused() {
        let words = "0 65 -1 +15 SIG SIG15 TER TERMX SIGSIGTERM RTMINX 99999999999";
        let real_time = "RTMIN+ RTMIN+31 RTMIN-1 RTMAX+1 RTMAX-31 RTMIN+-1 RTMIN+99999999999";
        for text in words.split(' ').chain(real_time.split(' ')).chain(["", " 15", "15 "]) {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }
}

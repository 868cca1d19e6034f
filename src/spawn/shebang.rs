//! Refuses a script whose `#!` line names this program and no command. The kernel passes the script's path
//! as the last argument, so that the script would be its own command, and start inits until fork(2) fails.

use std::ffi::CStr;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, stat};
use nix::unistd::{self, Pid};

use crate::log::escape::Escaped;
use crate::options::personality::{Personality, last_part};
use crate::sys::arguments::{self, Arg};

/// The kernel reads no more of a `#!` line (execve(2)).
const LONGEST_LINE: usize = 256;
const OTHER_PROGRAM: &[u8] = b"/bin/sh";

/// The corrected `#!` line if `command` is a script whose line names us and no program. `words` are our
/// arguments; `parent` has started us.
pub(crate) fn right_line(init: Personality, words: &[Arg], command: &[Arg], parent: Pid) -> Option<Vec<u8>> {
    let script = *command.first()?;
    let before = words.get(..words.len().checked_sub(command.len())?)?;
    let program = *before.first()?;
    if runs_script(program, script) {
        let is_script = beginning(script)?.starts_with(b"#!");
        return is_script.then(|| with_program(init, before));
    }
    // env(1) found us, so AT_EXECFN does not name the script. As PID 1, we run it once; the child, which sees
    // its parent, is refused.
    let may_be_found = !program.to_bytes().contains(&b'/') && script.to_bytes().contains(&b'/');
    if !may_be_found || parent.as_raw() == 0 {
        return None;
    }
    let before: Vec<&[u8]> = before.iter().map(|word| word.to_bytes()).collect();
    let env = env_that_calls(&before, &beginning(script)?)?;
    let line = [&[&env, b"-S".as_slice()], before.as_slice(), &[OTHER_PROGRAM]].concat();
    Some(
        [b"#!".as_slice(), &line.into_iter().filter(|&word| word != b"--").collect::<Vec<_>>().join(&b' ')]
            .concat(),
    )
}

/// The corrected line: the arguments before the script, and a program after them.
fn with_program(init: Personality, before: &[Arg]) -> Vec<u8> {
    let [program, option] =
        [0, 1].map(|index| before.get(index).map_or(b"".as_slice(), |word| word.to_bytes()));
    // The kernel passes the rest of the line as one argument, which our `-S` splits.
    let options = match option {
        b"" | b"--" => Vec::new(),
        _ if init != Personality::DumbInit => Vec::new(),
        _ if option.starts_with(b"-S") || option.starts_with(b"--split-string") => [b" ", option].concat(),
        _ => [b" -S ", option].concat(),
    };
    [b"#!", program, &options, b" ", OTHER_PROGRAM].concat()
}

/// The message about the `#!` line that ran us, if it has several words without `-S`. The kernel passes
/// them as one.
pub(crate) fn advice_to_split(init: Personality, words: &[Arg]) -> Option<Vec<u8>> {
    let [program, joined, script, ..] = words else { return None };
    let (name, joined) = (program.to_bytes(), joined.to_bytes());
    let line = if init == Personality::DumbInit {
        [name, b" -S ".as_slice(), joined].concat()
    } else {
        [b"/usr/bin/env -S ".as_slice(), name, b" ", joined].concat()
    };
    let is_split =
        init == Personality::DumbInit && (joined.starts_with(b"-S") || joined.starts_with(b"--split-string"));
    let is_joined =
        runs_script(program, script) && joined.iter().any(|byte| matches!(byte, b' ' | b'\t')) && !is_split;
    is_joined
        .then(|| format!("the #! line passes its words as one; write \"#!{}\"", Escaped(&line)).into_bytes())
}

/// Whether the kernel has run us for a script, whose `#!` line names us by `program`.
fn runs_script(program: Arg, script: Arg) -> bool {
    arguments::executed_as().is_some_and(|name| name == script && name != program)
}

/// The path of env(1) if the `#!` line runs us through it with exactly these words.
fn env_that_calls(words: &[&[u8]], beginning: &[u8]) -> Option<Vec<u8>> {
    let line = beginning.strip_prefix(b"#!")?.split(|&byte| matches!(byte, b'\n' | 0)).next()?;
    let mut named = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let env = named.next().filter(|path| last_part(path) == b"env")?;
    let mut named: Vec<&[u8]> = named.collect();
    if let Some(first) = named.first_mut() {
        *first = first.strip_prefix(b"-S").unwrap_or(first);
    }
    named.retain(|word| !word.is_empty());
    (named == words).then(|| env.to_vec())
}

/// The beginning of a regular file, if it can be read, with zeros after its end. Allocates nothing.
pub(super) fn beginning(path: &CStr) -> Option<[u8; LONGEST_LINE]> {
    // Opening a FIFO would wake its writer. Reading /proc/kmsg, which has no size, would take its text.
    let is_regular = |status: FileStat| status.st_mode & libc::S_IFMT == libc::S_IFREG && status.st_size > 0;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = stat(path).ok().filter(|&status| is_regular(status)).map(|_| open(path, flags, Mode::empty()));
    let mut bytes = [0; LONGEST_LINE];
    unistd::read(&file?.ok()?, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_line_is_recognised_by_its_words() {
        for (line, words, is_so) in [
            ("#!/usr/bin/env dumb-init\nexec app\n", &["dumb-init"][..], true),
            ("#! /bin/env   dumb-init  \n", &["dumb-init"], true),
            ("#!/usr/bin/env -S dumb-init -c", &["dumb-init", "-c"], true),
            ("#!/usr/bin/env -Sdumb-init -c --\n", &["dumb-init", "-c", "--"], true),
            ("#!/usr/bin/env -S dumb-init /bin/sh\n", &["dumb-init"], false),
            ("#!/usr/bin/env -S dumb-init -c\n", &["dumb-init"], false),
            ("#!/usr/bin/env python3\n", &["dumb-init"], false),
            ("#!/usr/bin/dumb-init dumb-init\n", &["dumb-init"], false),
            ("/usr/bin/env dumb-init\n", &["dumb-init"], false),
            ("", &["dumb-init"], false),
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(env_that_calls(&words, line.as_bytes()).is_some(), is_so, "{line}");
        }
    }

    #[test]
    fn corrected_line_keeps_the_options() {
        for (before, right) in [
            (&[c"/usr/bin/dumb-init"][..], "#!/usr/bin/dumb-init /bin/sh"),
            (&[c"/usr/bin/dumb-init", c"--"], "#!/usr/bin/dumb-init /bin/sh"),
            (&[c"/usr/bin/dumb-init", c"-c"], "#!/usr/bin/dumb-init -S -c /bin/sh"),
            (&[c"/usr/bin/dumb-init", c"-S --drain 10s"], "#!/usr/bin/dumb-init -S --drain 10s /bin/sh"),
        ] {
            assert_eq!(with_program(Personality::DumbInit, before), right.as_bytes());
        }
        assert_eq!(with_program(Personality::Tini, &[c"/sbin/tini", c"-g"]), b"#!/sbin/tini /bin/sh");
    }
}

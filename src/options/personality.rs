//! As which init were we called?
//!
//! The name in `argv[0]` decides, as with busybox, so that an image or a daemon that names another init can be switched by a
//! link. What differs in the life of a command is asked here; how the others' options are written is in `options::peers`.

use std::ffi::CStr;

use nix::errno::Errno;

use crate::options::forward::Forward;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// The init whose part we play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Personality {
    #[default]
    DumbInit,
    /// tini 0.19.0, which is docker-init, too.
    Tini,
    /// catatonit 0.1.7, which is podman's.
    Catatonit,
}

/// Where is the command's process?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// It leads a session of its own, to which our terminal goes.
    Session,
    /// It leads a process group in our session, which becomes the terminal's foreground group.
    Group,
    /// In our process group.
    None,
}

impl Personality {
    /// The names of other inits, without their directory.
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("tini", Self::Tini),
        ("tini-static", Self::Tini),
        ("docker-init", Self::Tini),
        ("catatonit", Self::Catatonit),
        // Where podman mounts what `podman run --init` starts, whatever that is.
        ("podman-init", Self::Catatonit),
    ];

    /// Whose name is this, of a program or of a file?
    pub(crate) fn by_name(path: &[u8]) -> Self {
        let name = last_part(path);
        Self::NAMES
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map_or(Self::DumbInit, |(_, init)| *init)
    }

    /// As [`Self::by_name`], for the first word of a command line.
    pub(crate) fn from_arg0(program: &CStr) -> Self {
        Self::by_name(program.to_bytes())
    }

    /// The name (`comm`, at most 15 bytes) that an init of ours gives itself, by which others recognise it: no program has it by
    /// accident. It is seen without opening a file, under emulators (qemu-user) and in gVisor too.
    pub(crate) fn process_name(self) -> &'static str {
        match self {
            Self::DumbInit => "dumb-init[init]",
            Self::Tini => "tini[dumb-init]",
            Self::Catatonit => "cata[dumb-init]",
        }
    }

    /// Whether this is such a name.
    pub(crate) fn is_init_name(name: &[u8]) -> bool {
        [Self::DumbInit, Self::Tini, Self::Catatonit]
            .iter()
            .any(|init| init.process_name().as_bytes() == name)
    }

    /// Who gets signals, unless something else is asked for?
    pub(crate) fn default_forward(self) -> Forward {
        match self {
            Self::DumbInit => Forward::Group,
            Self::Tini | Self::Catatonit => Forward::Child,
        }
    }

    /// Where the command's process is put. With the others that doesn't depend on who gets signals.
    pub(crate) fn isolation(self, forward: Forward) -> Isolation {
        match (self, forward) {
            (Self::DumbInit, Forward::Group | Forward::Tree) => Isolation::Session,
            (Self::DumbInit, Forward::Child) => Isolation::None,
            (Self::Tini | Self::Catatonit, _) => Isolation::Group,
        }
    }

    /// Which signals does it keep from the command, unless a rewrite says what becomes of them?
    pub(crate) fn dropped_signals(self) -> &'static [Signum] {
        match self {
            Self::DumbInit => &[],
            Self::Tini => &[Signum::TTIN, Signum::TTOU],
            Self::Catatonit => &[Signum::TSTP, Signum::TTIN, Signum::TTOU],
        }
    }

    /// Does it stop itself after a signal that suspends a job, so that a shell above it learns of it?
    pub(crate) fn suspends_itself(self) -> bool {
        match self {
            Self::DumbInit => true,
            Self::Tini | Self::Catatonit => false,
        }
    }

    /// Does it send SIGTERM to the command's process group when the command has ended?
    pub(crate) fn terminates_remaining(self) -> bool {
        match self {
            Self::DumbInit => true,
            Self::Tini | Self::Catatonit => false,
        }
    }

    /// Does it take our terminal over although stdin is something else?
    pub(crate) fn takes_terminal_behind_stdin(self) -> bool {
        match self {
            Self::DumbInit | Self::Catatonit => true,
            Self::Tini => false,
        }
    }

    /// Does the command find blocked and ignored what was so when we were started?
    pub(crate) fn inherits_signal_settings(self) -> bool {
        match self {
            Self::DumbInit => false,
            Self::Tini | Self::Catatonit => true,
        }
    }

    /// What it reports where the command can't be executed.
    pub(crate) fn exec_failure_status(self, errno: Errno) -> ExitStatus {
        match (self, errno) {
            (Self::DumbInit, _) => ExitStatus::NOT_EXECUTED,
            (Self::Tini, Errno::ENOENT) => ExitStatus::NOT_FOUND,
            (Self::Tini, Errno::EACCES) => ExitStatus::NOT_PERMITTED,
            (Self::Tini | Self::Catatonit, _) => ExitStatus::FAILURE,
        }
    }
}

/// What follows the last slash, if there is one.
pub(crate) fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_name_decides() {
        for (name, init) in [
            ("docker-init", Personality::Tini),
            ("/sbin/docker-init", Personality::Tini),
            ("./tini", Personality::Tini),
            ("/usr/bin/tini-static", Personality::Tini),
            ("/usr/libexec/podman/catatonit", Personality::Catatonit),
            ("/run/podman-init", Personality::Catatonit),
            ("dumb-init", Personality::DumbInit),
            ("/tini/dumb-init", Personality::DumbInit),
            ("tini/", Personality::DumbInit),
            ("Tini", Personality::DumbInit),
            ("", Personality::DumbInit),
        ] {
            assert_eq!(Personality::by_name(name.as_bytes()), init, "{name}");
        }
    }
}

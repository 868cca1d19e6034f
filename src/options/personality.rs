//! The init whose name we were called by, and how its behaviour differs from dumb-init's.
//!
//! The name in `argv[0]` decides, as with busybox. So a link switches an image or a daemon that names another
//! init.

use nix::errno::Errno;

use crate::options::value::Forward;
use crate::signal::Signum;
use crate::signal::exit_status::ExitStatus;

/// The init whose name we were called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Personality {
    #[default]
    DumbInit,
    /// tini 0.19.0, which is docker-init, too.
    Tini,
    /// catatonit 0.1.7, which is podman's.
    Catatonit,
}

/// The isolation of the command's process from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// It leads a session, which gets our terminal.
    Session,
    /// It leads a process group in our session: the terminal's foreground group.
    Group,
    /// It belongs to our process group.
    None,
}

impl Personality {
    /// The names of other inits, without their directory.
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("tini", Self::Tini),
        ("tini-static", Self::Tini),
        ("docker-init", Self::Tini),
        ("catatonit", Self::Catatonit),
        // The path to which podman mounts the init of `podman run --init`.
        ("podman-init", Self::Catatonit),
    ];

    /// Returns the init with this name or path.
    pub(crate) fn by_name(path: &[u8]) -> Self {
        let name = last_part(path);
        let known = Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        known.map_or(Self::DumbInit, |(_, init)| *init)
    }

    /// The name that prefixes messages: the last part of the called path. `None` for dumb-init.
    pub(crate) fn name_in_messages(self, path: &'static [u8]) -> Option<&'static str> {
        if self == Self::DumbInit { None } else { std::str::from_utf8(last_part(path)).ok() }
    }

    /// Whether tini's own log lines are written, too.
    pub(crate) fn logs_as_tini(self) -> bool {
        self == Self::Tini
    }

    /// The name (`comm`, at most 15 bytes) that we give ourselves, so that other instances recognise us. They
    /// see it without opening our file, and also under emulators (qemu-user) and in gVisor.
    pub(crate) fn process_name(self) -> &'static str {
        match self {
            Self::DumbInit => "dumb-init[init]",
            Self::Tini => "tini[dumb-init]",
            Self::Catatonit => "cata[dumb-init]",
        }
    }

    pub(crate) fn is_init_name(name: &[u8]) -> bool {
        let mut inits = [Self::DumbInit, Self::Tini, Self::Catatonit].into_iter();
        inits.any(|init| init.process_name().as_bytes() == name)
    }

    /// The recipients of signals without an option.
    pub(crate) fn default_forward(self) -> Forward {
        match self {
            Self::DumbInit => Forward::Group,
            Self::Tini | Self::Catatonit => Forward::Child,
        }
    }

    /// The isolation of the command's process. Only dumb-init's depends on the recipients of signals.
    pub(crate) fn isolation(self, forward: Forward) -> Isolation {
        match (self, forward) {
            (Self::DumbInit, Forward::Group | Forward::Tree) => Isolation::Session,
            (Self::DumbInit, Forward::Child) => Isolation::None,
            (Self::Tini | Self::Catatonit, _) => Isolation::Group,
        }
    }

    /// Signals that it does not forward without a rewrite.
    pub(crate) fn dropped_signals(self) -> &'static [Signum] {
        match self {
            Self::DumbInit => &[],
            Self::Tini => &[Signum::TTIN, Signum::TTOU],
            Self::Catatonit => &[Signum::TSTP, Signum::TTIN, Signum::TTOU],
        }
    }

    /// Whether it stops itself after SIGTSTP, SIGTTIN and SIGTTOU, so that its parent shell notices.
    pub(crate) fn suspends_itself(self) -> bool {
        self == Self::DumbInit
    }

    /// Whether it sends SIGTERM to the command's process group when the command has exited.
    pub(crate) fn terminates_remaining(self) -> bool {
        self == Self::DumbInit
    }

    /// Whether the command receives our terminal although stdin is another file.
    pub(crate) fn takes_terminal_behind_stdin(self) -> bool {
        self != Self::Tini
    }

    /// Whether the command inherits blocked and ignored signals.
    pub(crate) fn inherits_signal_settings(self) -> bool {
        self != Self::DumbInit
    }

    /// The exit status if the command cannot be executed.
    pub(crate) fn exec_failure_status(self, errno: Errno) -> ExitStatus {
        match (self, errno) {
            (Self::DumbInit, _) => ExitStatus::NOT_EXECUTED,
            (Self::Tini, Errno::ENOENT) => ExitStatus::NOT_FOUND,
            (Self::Tini, Errno::EACCES) => ExitStatus::NOT_PERMITTED,
            (Self::Tini | Self::Catatonit, _) => ExitStatus::FAILURE,
        }
    }
}

/// Returns the text after the last slash.
pub(crate) fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_part_of_the_path_decides() {
        for (name, init) in [
            ("docker-init", Personality::Tini),
            ("/usr/bin/tini-static", Personality::Tini),
            ("/usr/libexec/podman/catatonit", Personality::Catatonit),
            ("/tini/dumb-init", Personality::DumbInit),
            ("tini/", Personality::DumbInit),
            ("Tini", Personality::DumbInit),
            ("", Personality::DumbInit),
        ] {
            assert_eq!(Personality::by_name(name.as_bytes()), init, "{name}");
        }
    }
}

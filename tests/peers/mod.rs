//! The init under the names of its peers: the same command lines, variables and signals for it and
//! the packaged peer.

mod command_lines;
mod corpus;
mod lifecycle;
mod terminals;
mod variables;

use std::path::{Path, PathBuf};

use crate::support::{Scratch, Start, init_beyond, init_under_test, skip};

/// Init whose name the init under test can be called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Tini,
    Catatonit,
}

const PEERS: [Peer; 2] = [Peer::Tini, Peer::Catatonit];

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Tini => "tini",
            Self::Catatonit => "catatonit",
        }
    }

    /// Path of the packaged init, or a reason for its absence.
    fn oracle(self) -> Option<PathBuf> {
        let path = Path::new("/usr/bin").join(self.name());
        if path.exists() {
            return Some(path);
        }
        skip(&format!("{} is not installed", path.display()));
        None
    }
}

/// Directory with links to the init under test, named like other inits.
struct Names(Scratch);

impl Names {
    /// `None` if the init under test knows no other names.
    fn new() -> Option<Self> {
        init_beyond().map(|_| Self(Scratch::new()))
    }

    /// The program at this path, by this name, in its own directory.
    fn link(&self, kind: &str, program: &Path, name: &str) -> PathBuf {
        let directory = self.0.path().join(kind);
        let link = directory.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            std::fs::create_dir_all(&directory).expect("a directory");
            std::os::unix::fs::symlink(program, &link).expect("a link");
        }
        link
    }

    /// The init under test, by this name.
    fn init(&self, name: &str) -> Start {
        Start::program(self.link("ours", &init_under_test(), name))
    }

    /// The same, and the packaged init.
    fn pair(&self, peer: Peer) -> Option<[PathBuf; 2]> {
        let oracle = peer.oracle()?;
        Some([self.link("ours", &init_under_test(), peer.name()), self.link("them", &oracle, peer.name())])
    }
}

//! Called by the name of another init, it is that one: the same command lines, variables and signals, given to it and to the
//! packaged original of that name.

mod command_lines;
mod lifecycle;
mod terminals;
mod variables;

use std::path::{Path, PathBuf};

use crate::support::{Scratch, Start, init_beyond, init_under_test, skip};

/// An init whose name we may be called by.
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

    /// The packaged one, or a word about why it isn't there.
    fn oracle(self) -> Option<PathBuf> {
        let path = Path::new("/usr/bin").join(self.name());
        if path.exists() {
            return Some(path);
        }
        skip(&format!("{} is not installed", path.display()));
        None
    }
}

/// A directory where inits have the names of others.
struct Names(Scratch);

impl Names {
    /// `None` where the init under test knows no other names.
    fn new() -> Option<Self> {
        init_beyond().map(|_| Self(Scratch::new()))
    }

    /// The program at this path, by this name, which stands in a directory of its own, as long as it is.
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

    /// The same, and the packaged one.
    fn pair(&self, peer: Peer) -> Option<[PathBuf; 2]> {
        let oracle = peer.oracle()?;
        Some([self.link("ours", &init_under_test(), peer.name()), self.link("them", &oracle, peer.name())])
    }
}

//! Installed inits.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::directory;

/// The name of the build that users get.
pub const OURS: &str = "this, musl";

/// An init that is measured.
pub struct Init {
    pub name: String,
    pub path: PathBuf,
    /// Options without which it complains unless it is PID 1.
    pub as_plain_process: &'static [&'static str],
}

impl Init {
    fn new(name: &str, path: impl Into<PathBuf>) -> Self {
        let as_plain_process: &[&str] = if name.starts_with("tini") { &["-s"] } else { &[] };
        Self { name: name.into(), path: path.into(), as_plain_process }
    }

    /// Its version line.
    pub fn version(&self) -> String {
        let output = Command::new(&self.path).arg("--version").output().expect("a version");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    }

    pub fn is_ours(&self) -> bool {
        self.name.starts_with("this")
    }

    /// Whether it has `--drain`. No peer has.
    pub fn has_drain(&self) -> bool {
        let output = Command::new(&self.path).args(["--drain", "1s", "--", "true"]).output();
        output.is_ok_and(|output| output.status.success())
    }
}

/// This init's two builds, the installed peers, and the inits of `BENCH_INITS`. Prints missing
/// ones, and returns whether any is missing.
pub fn all() -> (Vec<Init>, bool) {
    let mut missing = false;
    let mut tell = |text: String| {
        eprintln!("MISSING: {text}");
        missing = true;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inits = Vec::new();
    // cargo does nothing for a current build, so it is never an old one.
    match Command::new(root.join("ci/musl")).status() {
        Ok(status) if status.success() => {
            let path = format!("{}-unknown-linux-musl/release/dumb-init", std::env::consts::ARCH);
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            inits.push(Init::new(OURS, target.join(path)));
        }
        result => tell(format!("the musl build (ci/musl: {result:?})")),
    }
    inits.push(Init::new("this, glibc", env!("CARGO_BIN_EXE_dumb-init")));
    for name in ["dumb-init", "tini", "tini-static", "catatonit"] {
        match ["/usr/bin", "/usr/local/bin", "/sbin"]
            .iter()
            .map(|directory| Path::new(directory).join(name))
            .find(|path| path.exists())
        {
            Some(path) => inits.push(Init::new(name, path)),
            None => tell(format!("{name} is not installed")),
        }
    }
    let added = std::env::var("BENCH_INITS").unwrap_or_default();
    inits.extend(
        added
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, path)| Init::new(name, path)),
    );
    // Pages that are not yet written to disk count as memory of the process that maps them.
    for init in &inits {
        let file = std::fs::File::open(&init.path).and_then(|file| file.sync_all());
        file.unwrap_or_else(|error| panic!("{}: {error}", init.path.display()));
    }
    (inits, missing)
}

/// The programs that the inits are held against.
pub struct Baseline {
    /// `true`, as small as the C library makes it: the least that a start can be.
    pub alone: PathBuf,
    /// Starts its arguments, waits for their end, and does nothing else: two execs, the least that
    /// an init can be.
    pub two_execs: PathBuf,
}

const TWO_EXECS: &str = "#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execve(argv[1], argv + 1, environ);
        _exit(2);
    }
    waitpid(child, &status, 0);
    return 0;
}
";

pub fn baseline() -> Baseline {
    let built = |name: &str, text: &str| {
        let (source, program) = (directory().join(format!("{name}.c")), directory().join(name));
        std::fs::write(&source, text).expect("a source");
        for compiler in ["musl-gcc", "cc"] {
            let built =
                Command::new(compiler).args(["-static", "-O2", "-o"]).arg(&program).arg(&source).status();
            if built.is_ok_and(|status| status.success()) {
                if compiler == "cc" {
                    eprintln!(
                        "MISSING: musl-gcc; `{name}` is made with another C library, and the ratios to it mean little"
                    );
                }
                return program;
            }
        }
        panic!("no C compiler makes a static program");
    };
    Baseline {
        alone: built("true", "int main(void) { return 0; }\n"),
        two_execs: built("two-execs", TWO_EXECS),
    }
}

/// The environment that a container has.
pub fn environment() -> [(&'static str, &'static str); 4] {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOSTNAME", "3f4e5d6c7b8a"),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
    ]
}

//! What the tests have in common: programs that are started for real, told signals and keys, and waited for.
//!
//! Nothing sleeps here: a test waits for what a program prints, for its end, or for a state that /proc tells, each until
//! a deadline that is far longer than anything takes. When a test ends, however it ends, what it started is killed.

pub mod differences;
pub mod docker;
mod outcome;
mod output;
pub mod procfs;
mod run;
mod terminal;
pub mod trace;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use outcome::{Outcome, report};
pub use procfs::Held;
pub use run::{Running, Start, send};
pub use terminal::Terminal;

/// How long a test waits for what must happen. Nothing takes as long, on however busy a machine; where the original is
/// expected to fail, waiting for that would only take time.
pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(if differences::expects_failure() { 5 } else { 60 })
}

/// The program that is tested: what `INIT_UNDER_TEST` names, or the one that was built with these tests.
pub fn init_under_test() -> PathBuf {
    env::var_os("INIT_UNDER_TEST").map_or_else(built_init, PathBuf::from)
}

/// The init that was built with these tests: where cargo has put it, or where `BUILT_INIT` says, for tests that were taken
/// elsewhere.
pub fn built_init() -> PathBuf {
    env::var_os("BUILT_INIT").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_dumb-init")), PathBuf::from)
}

/// The packaged original, if it is installed.
pub fn original() -> Option<PathBuf> {
    let path =
        env::var_os("ORIGINAL_INIT").map_or_else(|| PathBuf::from("/usr/bin/dumb-init"), PathBuf::from);
    path.exists().then_some(path)
}

/// The program that the tests start under the init.
pub fn probe() -> PathBuf {
    let path = built_init().with_file_name("examples").join("probe");
    assert!(
        path.exists(),
        "{} is not built; `cargo test` builds it, so does `cargo build --examples`",
        path.display()
    );
    path
}

/// The init under test, ready to be given its options and command. Its argv[0] is `dumb-init`, whatever its path.
pub fn init() -> Start {
    Start::init(&init_under_test())
}

/// The same, for what the original doesn't have. `None` where that is tested: there is nothing to be tried.
pub fn init_beyond() -> Option<Start> {
    (!differences::tests_the_original()).then(init)
}

/// The command that plays a role of the probe's.
pub fn role<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    std::iter::once(probe().into_os_string()).chain(words.map(OsString::from)).collect()
}

/// The text with N in place of each PID.
pub fn without_pids(text: &str) -> String {
    let mut parts = text.split("PID ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "PID N" + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

/// Can the tests make namespaces here? Where not, the test that asks is skipped, loudly, and fails where
/// `REQUIRE_ALL_TESTS` is set, as CI does.
pub fn can_have_pid_namespaces() -> bool {
    let namespace = namespace();
    let mut unshare = std::process::Command::new(namespace[0]);
    let works =
        unshare.args(&namespace[1..]).arg("true").output().is_ok_and(|output| output.status.success());
    works || skip("no PID namespaces can be made here (unshare(1))")
}

/// Whether strace(1) can let system calls fail here. If not, the test that asks is skipped as above.
pub fn can_inject_faults() -> bool {
    let output =
        std::process::Command::new("strace").args(["-qq", "-e", "inject=uname:error=EPERM", "true"]).output();
    output.is_ok_and(|output| output.status.success()) || skip("strace(1) is not there, or may not trace")
}

/// The words that run a program whose system calls fail as strace(1) is told (`CALL:error=ERRNO:when=FROM+`).
pub fn injecting(faults: &[&str]) -> Vec<String> {
    let words = ["strace", "-qq", "-o", "/dev/null"].map(String::from).into_iter();
    words.chain(faults.iter().flat_map(|fault| ["-e".to_owned(), format!("inject={fault}")])).collect()
}

/// The words that run a program as PID 1 of a namespace with a /proc of its own.
pub fn namespace() -> Vec<&'static str> {
    let mut words = vec!["unshare"];
    if !nix::unistd::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "--"]);
    words
}

/// The words by which nsenter(1) runs a program in the namespaces that `namespace` made for this one.
pub fn namespace_of(pid: nix::unistd::Pid) -> Vec<String> {
    let mut words = vec!["--target".into(), pid.to_string()];
    if !nix::unistd::geteuid().is_root() {
        words.extend(["--user", "--preserve-credentials"].map(String::from));
    }
    words.extend(["--pid", "--mount", "--"].map(String::from));
    words
}

/// Says that a test is skipped, and returns false. Fails where nothing may be skipped.
pub fn skip(reason: &str) -> bool {
    assert!(env::var_os("REQUIRE_ALL_TESTS").is_none(), "may not be skipped here: {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the capture of the test runner, which hides what a test that passes prints.
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {test}: {reason}\n").as_bytes());
    false
}

/// A directory of a test's own, removed when the test ends.
///
/// What is written there may be executed, so a process of its own writes it: what we had open for writing, another test's
/// child could inherit for a moment, and no file is executed that somebody has open for writing (ETXTBSY).
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("dumb-init-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Copies a program, wherever it lies, to where every user may execute it.
    pub fn executable_copy(&self, program: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let copy = self.0.join("copy");
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let status = std::process::Command::new("cp").arg(program).arg(&copy).status();
        assert!(status.is_ok_and(|status| status.success()), "cp {}", program.display());
        copy
    }

    /// Writes a file with these permissions, and returns its path.
    pub fn file(&self, name: impl AsRef<OsStr>, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name.as_ref());
        let mut writer = std::process::Command::new("sh")
            .args([OsStr::new("-c"), OsStr::new("cat >\"$0\""), path.as_os_str()])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        // Its end is the file's, too.
        std::io::Write::write_all(&mut writer.stdin.take().expect("a pipe"), text.as_bytes())
            .expect("a text");
        assert!(writer.wait().is_ok_and(|status| status.success()), "{}", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

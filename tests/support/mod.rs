//! Shared parts of the tests: real programs, with signals and keys.
//!
//! Nothing sleeps here: a test waits for output, an exit, or a state in /proc, each with a long
//! deadline. At the end of a test, its processes are killed.

pub mod differences;
pub mod docker;
mod outcome;
mod output;
mod probe_protocol;
pub mod procfs;
mod run;
pub mod start_script;
mod terminal;
pub mod trace;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use outcome::{Outcome, decoded, property};
pub use probe_protocol::{
    Condition, Disposition, END_OF_CONDITIONS, END_OF_WITNESS, MARKER, Order, Property, Report,
};
pub use procfs::Held;
pub use run::{MARK, Running, Start, send};
pub use terminal::Terminal;

/// Longest wait of a test, far longer than needed on a busy machine. It is short if the original is
/// expected to fail.
pub fn deadline() -> Instant {
    Instant::now() + patience(Duration::from_secs(if differences::expects_failure() { 5 } else { 60 }))
}

/// Whether time limits of the init hold. If not, the check is skipped with a message.
pub fn is_fast() -> bool {
    patience(Duration::from_secs(1)) == Duration::from_secs(1) || skip("too slow a machine (TEST_PATIENCE)")
}

/// A time limit, `TEST_PATIENCE` times as long on a slow machine (ci/emulate).
pub fn patience(limit: Duration) -> Duration {
    limit * slowness()
}

/// A number of random cases, fewer on a slow machine.
pub fn cases(count: u32) -> u32 {
    (count / slowness()).max(2)
}

fn slowness() -> u32 {
    env::var("TEST_PATIENCE").map_or(1, |factor| factor.parse().expect("a number"))
}

/// Program under test: that of `INIT_UNDER_TEST`, or the one built with these tests.
pub fn init_under_test() -> PathBuf {
    env::var_os("INIT_UNDER_TEST").map_or_else(built_init, PathBuf::from)
}

/// The init built with these tests. `BUILT_INIT` is its path if the tests were moved.
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

/// The init under test, without options and command. Its argv[0] is `dumb-init`.
pub fn init() -> Start {
    Start::init(&init_under_test())
}

/// The init under test, for features beyond the original. `None` if the original is tested.
pub fn init_beyond() -> Option<Start> {
    (!differences::tests_the_original()).then(init)
}

/// Whether the init under test runs under qemu-user (ci/qemu-user).
pub fn is_emulated() -> bool {
    env::var_os("EMULATED_INIT").is_some()
}

/// Seed of a random test, the same in each run. `SEED` overrides it by another number, or by `random`.
///
/// A test prints its seed when it fails.
pub fn seed() -> u64 {
    match env::var("SEED").as_deref() {
        Err(_) => 20_261_126,
        Ok("random") => fastrand::u64(..),
        Ok(seed) => seed.parse().expect("SEED is a number, or `random`"),
    }
}

/// Words that start the probe with this order.
pub fn probe_as(order: Order) -> Vec<OsString> {
    let order = order.to_string();
    std::iter::once(probe().into_os_string()).chain(order.split(' ').map(OsString::from)).collect()
}

/// Words of a shell script in which `probe` is the probe.
pub fn script(text: impl AsRef<str>) -> [String; 3] {
    ["sh".into(), "-c".into(), with_probe(text)]
}

/// The text with the probe's path for `probe`.
pub fn with_probe(text: impl AsRef<str>) -> String {
    text.as_ref().replace("probe", &probe().display().to_string())
}

/// Number of lines that equal this one.
pub fn count_lines(text: &str, line: &str) -> usize {
    text.lines().filter(|candidate| candidate.trim_end() == line).count()
}

/// Whether the tests run as root. If not, the test is skipped with a message.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root() || skip("only for root")
}

/// The text with N in place of each PID.
pub fn without_pids(text: &str) -> String {
    let mut parts = text.split("PID ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "PID N" + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

/// Whether the tests can make PID namespaces. If not, the test is skipped with a message. It fails
/// with `REQUIRE_ALL_TESTS`, as in CI.
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

/// Words that run a program with injected faults of strace(1) (`CALL:error=ERRNO:when=FROM+`).
pub fn injecting(faults: &[&str]) -> Vec<String> {
    let words = ["strace", "-qq", "-o", "/dev/null"].map(String::from).into_iter();
    words.chain(faults.iter().flat_map(|fault| ["-e".to_owned(), format!("inject={fault}")])).collect()
}

/// Words that run a program as PID 1 of a namespace with its own /proc.
pub fn namespace() -> Vec<&'static str> {
    let mut words = vec!["unshare"];
    if !nix::unistd::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "--"]);
    words
}

/// Words by which nsenter(1) runs a program in the namespaces of this process.
pub fn namespace_of(pid: nix::unistd::Pid) -> Vec<String> {
    let mut words = vec!["--target".into(), pid.to_string()];
    if !nix::unistd::geteuid().is_root() {
        words.extend(["--user", "--preserve-credentials"].map(String::from));
    }
    words.extend(["--pid", "--mount", "--"].map(String::from));
    words
}

/// Reports that a test is skipped, and returns false. Fails with `REQUIRE_ALL_TESTS`.
pub fn skip(reason: &str) -> bool {
    assert!(env::var_os("REQUIRE_ALL_TESTS").is_none(), "may not be skipped here: {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Written past the test runner, which hides the output of passing tests.
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {test}: {reason}\n").as_bytes());
    false
}

/// Directory of a test, removed when the test ends.
///
/// A separate process writes its files. Another test's child could inherit a file that is open for
/// writing here, and exec would fail with ETXTBSY.
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

    /// Copies a program to a path that every user may execute.
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

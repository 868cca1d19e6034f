//! Rows about refused system calls and missing file systems.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{Case, Init, Setting, is_root};
use crate::support::{Scratch, role};

pub fn failed_fork_is_reported(case: Case) {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.executable_copy(&case.init.path());
    // For root there is no limit of processes.
    let start = case.start().program_at(&path).condition("user=65534").condition("processes=0");
    let outcome = start.words(["true"]).run();
    outcome.expect_code(1);
    match case.init {
        Init::UnderTest | Init::Original => {
            drop(outcome.expect_stderr("[dumb-init] Unable to fork. Exiting.\n"))
        }
        Init::Tini | Init::Catatonit => assert_ne!(outcome.stderr(), "", "{outcome}"),
    }
}

pub fn failed_exec_is_reported(case: Case) {
    let scratch = Scratch::new();
    let no_interpreter = scratch.file("no-interpreter", "#!/nonexistent/sh\n", 0o755);
    let not_utf8 = OsStr::from_bytes(b"/nonexistent/\xff\xfe");
    for (name, text) in [
        (scratch.path().as_os_str(), "Permission denied"),
        (no_interpreter.as_os_str(), "No such file or directory"),
        (not_utf8, "No such file or directory"),
        (OsStr::new(""), "No such file or directory"),
    ] {
        let outcome = case.start().word(name).run();
        assert!(outcome.stderr().contains(text), "{outcome}");
        match case.init {
            Init::UnderTest | Init::Original => drop(outcome.expect_code(2)),
            // Theirs are the shell's 126 and 127.
            Init::Tini | Init::Catatonit => assert!([1, 126, 127].contains(&outcome.code()), "{outcome}"),
        }
    }
    let script = scratch.file("script", "exit 7\n", 0o755);
    case.start().word(&script).run().expect_code(7);
}

/// A life with a signal and a status.
fn lives(case: Case, condition: &str) {
    case.start().condition(condition).words(role(["exit", "7"])).run().expect_code(7);
    let running = case.start_verbose().condition(condition).words(role(["hang"])).start();
    running.wait_for_line("ready");
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    outcome.expect_code(143);
    if case.init == Init::UnderTest {
        assert!(
            outcome.stderr().ends_with("[dumb-init] Child exited with status 143. Goodbye.\n"),
            "{outcome}"
        );
    }
}

pub fn refused_prctl_changes_nothing(case: Case) {
    lives(case, "refused=prctl:1");
}

pub fn init_works_without_proc(case: Case) {
    if case.setting == Setting::Pid1 || is_root() {
        lives(case, "hidden=/proc");
    }
}

pub fn refused_new_system_call_changes_nothing(case: Case) {
    let newer = [
        "pidfd_open",
        "pidfd_send_signal",
        "clone3",
        "close_range",
        "waitid",
        "rseq",
        "getrandom",
        "prlimit64",
    ];
    // Not new, but sandboxes have refused them.
    let older: &[&str] =
        &["writev", "clone-vm", "poll", "ioctl", "getpgid", "getsid", "capget", "chdir", "set_robust_list"];
    let older = if case.init == Init::UnderTest { older } else { &[] };
    for &call in newer.iter().chain(older) {
        // Filters use both.
        let errno = match case.setting {
            Setting::Pid1 => libc::EPERM,
            Setting::Plain => libc::ENOSYS,
        };
        let refused = format!("refused={call}:{errno}");
        lives(case, &refused);
        if case.init == Init::UnderTest {
            // What waits at the start is not forwarded too early either.
            let start = case.start().condition("pending=40").condition(&refused);
            let outcome = start.words(role(["record", "40"])).run();
            assert!([42, 168].contains(&outcome.code()), "{outcome}");
        }
    }
}

//! Rows about refused system calls and missing file systems.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{Case, Init, Setting};
use crate::support::{Condition, Order, Report, Scratch, is_root};

pub fn failed_fork_is_reported(case: Case) {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.executable_copy(&case.init.path());
    // For root there is no limit of processes.
    let start =
        case.start().program_at(&path).condition(Condition::User(65534)).condition(Condition::Processes(0));
    let outcome = start.words(["true"]).run();
    outcome.expect_code(1);
    match case.init {
        Init::UnderTest | Init::Original => {
            outcome.expect_stderr("[dumb-init] Unable to fork. Exiting.\n");
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

/// Expects that status and SIGTERM pass in this condition.
fn expect_normal_run(case: Case, condition: Condition) {
    case.start().condition(condition).probe(Order::Exit(7)).run().expect_code(7);
    let running = case.start_verbose().condition(condition).probe(Order::Hang).start();
    running.wait_for_line(Report::Ready);
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
    expect_normal_run(case, Condition::Refused(libc::SYS_prctl, libc::EPERM));
}

pub fn init_works_without_proc(case: Case) {
    if case.setting == Setting::Pid1 || is_root() {
        expect_normal_run(case, Condition::Hidden("/proc"));
    }
}

pub fn refused_new_system_call_changes_nothing(case: Case) {
    // Filters use both.
    let errno = match case.setting {
        Setting::Pid1 => libc::EPERM,
        Setting::Plain => libc::ENOSYS,
    };
    let newer = [
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_clone3,
        libc::SYS_close_range,
        libc::SYS_waitid,
        libc::SYS_rseq,
        libc::SYS_getrandom,
        libc::SYS_prlimit64,
    ];
    // Sandboxes have refused these as well.
    let older = [
        libc::SYS_writev,
        // The C library calls ppoll on the architectures that have no poll.
        #[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64")))]
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_ioctl,
        libc::SYS_getpgid,
        libc::SYS_getsid,
        libc::SYS_capget,
        libc::SYS_chdir,
        libc::SYS_set_robust_list,
    ];
    let refuse = |call| Condition::Refused(call, errno);
    let mut refused = newer.map(refuse).to_vec();
    if case.init == Init::UnderTest {
        refused.extend(older.map(refuse));
        refused.push(Condition::RefusedCloneVm(errno));
    }
    for condition in refused {
        expect_normal_run(case, condition);
        if case.init == Init::UnderTest {
            // A signal that is pending at the start is not forwarded too early.
            let start = case.start().condition(Condition::Pending(40)).condition(condition);
            let outcome = start.probe(Order::Record(40)).run();
            assert!([42, 168].contains(&outcome.code()), "{outcome}");
        }
    }
}

//! Conditions in which another program is executed.

use std::ffi::{CString, OsString};
use std::io::stdin;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{ForkResult, execv, fork, getpid, setgid, setgroups, setpgid, setsid, setuid, tcsetpgrp};

use crate::processes::{exit_now, fork_and};
use crate::protocol::{Condition, END_OF_CONDITIONS, Report};
use crate::signals::{ALL, next, set_disposition, set_mask, stop_under_trace};
use crate::{say, seccomp};

/// Executes a program in these conditions: `CONDITION... -- PROGRAM ARGS...`.
pub(crate) fn exec_with(words: &[OsString]) -> i32 {
    let end = words.iter().position(|word| word == END_OF_CONDITIONS).expect("a program");
    let mut mask = 0;
    for condition in &words[..end] {
        apply(condition.to_str().unwrap_or_default().parse().expect("a condition"), &mut mask);
    }
    set_mask(mask);
    let argv: Vec<CString> =
        words[end + 1..].iter().map(|word| CString::new(word.as_bytes()).unwrap()).collect();
    let errno = execv(&argv[0], &argv).unwrap_err();
    panic!("{argv:?}: {errno}");
}

fn apply(condition: Condition, mask: &mut u64) {
    match condition {
        // SAFETY: nothing here uses it.
        Condition::Closed(descriptor) => check(unsafe { libc::close(descriptor) }),
        Condition::Full(descriptor) => redirect("/dev/full", descriptor),
        Condition::Null(descriptor) => redirect("/dev/null", descriptor),
        Condition::Clogged(descriptor) => clog(descriptor),
        Condition::Writes(path) => {
            let file = open(path, OFlag::O_WRONLY, Mode::empty()).expect(path);
            duplicate(file.as_raw_fd(), 5);
        }
        Condition::Ignored(signum) => set_disposition(signum, libc::SIG_IGN),
        Condition::AllIgnored => (1..=64).for_each(|signum| set_disposition(signum, libc::SIG_IGN)),
        Condition::Blocked(signum) => *mask |= bit(signum),
        Condition::AllBlocked => *mask = ALL,
        Condition::Pending(signum) => {
            *mask |= bit(signum);
            set_mask(*mask);
            // SAFETY: a process may signal itself.
            unsafe { libc::kill(libc::getpid(), signum) };
        }
        Condition::Zombie(status) => {
            let child = fork_and(|| exit_now(status));
            waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("waitid");
        }
        Condition::Waits => {
            let usr1 = bit(libc::SIGUSR1);
            set_mask(*mask | usr1);
            say(Report::Waiting);
            next(usr1);
            *mask &= !usr1;
        }
        Condition::Logger => print_through_a_child(false),
        Condition::TracedLogger => print_through_a_child(true),
        Condition::ListenPid => set_variable("LISTEN_PID", &getpid().to_string()),
        Condition::Service => {
            let pid = getpid().to_string();
            set_variable("LISTEN_PID", &pid);
            set_variable("LISTEN_PIDFDID", &crate::report::pidfd_id());
            set_variable("WATCHDOG_PID", &pid);
        }
        Condition::Terminal(path) => {
            setsid().expect("setsid");
            redirect(path, 0);
            redirect(path, 1);
        }
        Condition::StderrAsStdout => duplicate(1, 2),
        Condition::StderrAsStdin => duplicate(0, 2),
        Condition::Background => {
            let child = fork_and(|| {
                loop {
                    nix::unistd::pause();
                }
            });
            setpgid(child, child).expect("setpgid");
            tcsetpgrp(stdin(), child).expect("tcsetpgrp");
        }
        Condition::Tostop => {
            let mut settings = tcgetattr(stdin()).expect("tcgetattr");
            settings.local_flags |= LocalFlags::TOSTOP;
            tcsetattr(stdin(), SetArg::TCSANOW, &settings).expect("tcsetattr");
        }
        Condition::Processes(limit) => setrlimit(Resource::RLIMIT_NPROC, limit, limit).expect("RLIMIT_NPROC"),
        Condition::FileSize(limit) => setrlimit(Resource::RLIMIT_FSIZE, limit, limit).expect("RLIMIT_FSIZE"),
        Condition::Refused(call, errno) => seccomp::refuse(call, errno),
        Condition::RefusedCloneVm(errno) => seccomp::refuse_clone_vm(errno),
        Condition::Hidden(path) => mount_privately("tmpfs", path, None),
        Condition::Hidepid => {
            mount_privately("proc", "/proc", Some("hidepid=2"));
            setgroups(&[]).expect("setgroups");
            setgid(5.into()).expect("setgid");
            // Otherwise root sees all processes.
            drop_from_next_exec(CAP_SYS_PTRACE);
        }
        Condition::WithoutCapKill => drop_from_next_exec(CAP_KILL),
        Condition::WithoutCapPtrace => drop_from_next_exec(CAP_SYS_PTRACE),
        Condition::Columns(columns) => {
            let ws_col = columns.try_into().expect("a width");
            let size = libc::winsize { ws_row: 24, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
            // SAFETY: reads a winsize.
            check(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSWINSZ, &raw const size) });
        }
        Condition::User(uid) => setuid(uid.into()).expect("setuid"),
    }
}

fn bit(signum: i32) -> u64 {
    1 << (signum - 1)
}

fn set_variable(name: &str, value: &str) {
    // SAFETY: a single-threaded program.
    unsafe { std::env::set_var(name, value) };
}

fn duplicate(descriptor: i32, target: i32) {
    // SAFETY: two numbers; `target` is closed first.
    check(unsafe { libc::dup2(descriptor, target) });
}

fn redirect(path: &str, descriptor: i32) {
    let file = open(path, OFlag::O_RDWR, Mode::empty()).expect(path);
    duplicate(file.as_raw_fd(), descriptor);
}

fn check(result: i32) {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
}

/// Makes this descriptor a full pipe. The executed program inherits the reading end, and doesn't read.
fn clog(descriptor: i32) {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
    while nix::unistd::write(&writer, &[b'x'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("F_SETFL");
    duplicate(writer.as_raw_fd(), descriptor);
    std::mem::forget(reader);
}

/// Makes stdout a pipe to a child, which copies its input, and may ask to be traced at its end.
fn print_through_a_child(is_traced: bool) {
    let (reader, writer) = nix::unistd::pipe().expect("pipe");
    let (is_ready, is_ready_writer) = nix::unistd::pipe().expect("pipe");
    // SAFETY: a single-threaded program.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(writer);
            duplicate(reader.as_raw_fd(), 0);
            drop(is_ready_writer);
            let _ = std::io::copy(&mut stdin(), &mut std::io::stdout());
            if is_traced {
                stop_under_trace(libc::SIGSTOP);
            }
            exit_now(0)
        }
        ForkResult::Parent { .. } => {
            // The init recognises it by its stdin.
            drop(is_ready_writer);
            let end = nix::unistd::read(&is_ready, &mut [0]);
            assert_eq!(end, Ok(0), "the other end is closed");
            duplicate(writer.as_raw_fd(), 1);
        }
    }
}

/// Mounts a file system for this process and its descendants.
fn mount_privately(kind: &str, path: &str, options: Option<&str>) {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    mount(Some(kind), path, Some(kind), MsFlags::empty(), options).expect(path);
}

/// capabilities(7)
const CAP_KILL: libc::c_ulong = 5;
const CAP_SYS_PTRACE: libc::c_ulong = 19;

fn drop_from_next_exec(capability: libc::c_ulong) {
    // SAFETY: takes a number and touches no memory.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) });
}

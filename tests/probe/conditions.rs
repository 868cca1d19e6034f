//! Conditions in which another program is executed.

use std::ffi::{CString, OsStr, OsString};
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

use crate::signals::{next, set_disposition, set_mask, stop_under_trace};
use crate::{say, seccomp};

pub(crate) fn exec_with(words: &[OsString]) -> i32 {
    let end = words.iter().position(|word| word == "--").expect("--");
/// Executes a program in these conditions: `CONDITION... -- PROGRAM ARGS...`.
    let mut mask = 0;
    for condition in &words[..end] {
        apply(condition.to_str().expect("a condition"), &mut mask);
    }
    set_mask(mask);
    let argv: Vec<CString> =
        words[end + 1..].iter().map(|word| CString::new(word.as_bytes()).unwrap()).collect();
    let errno = execv(&argv[0], &argv).unwrap_err();
    panic!("{argv:?}: {errno}");
}

fn apply(condition: &str, mask: &mut u64) {
    let (name, value) = condition.split_once('=').unwrap_or((condition, ""));
    let number = || value.parse::<i32>().expect(condition);
    let each = || if value == "all" { 1..=64 } else { number()..=number() };
    match name {
        // SAFETY: nothing here uses it.
        "closed" => check(unsafe { libc::close(number()) }),
        // Written to, until the end; each line is lost.
        "full" => redirect("/dev/full", number()),
        "null" => redirect("/dev/null", number()),
        "clogged" => clog(number()),
        // A file, opened for writing as descriptor 5.
        "writes" => {
            let file = open(OsStr::new(value), OFlag::O_WRONLY, Mode::empty()).expect(value);
            // SAFETY: duplicates an open descriptor.
            check(unsafe { libc::dup2(file.as_raw_fd(), 5) });
        }
        "ignored" => each().for_each(|signum| set_disposition(signum, libc::SIG_IGN)),
        "blocked" => each().for_each(|signum| *mask |= 1 << (signum - 1)),
        "pending" => {
            *mask |= 1 << (number() - 1);
            set_mask(*mask);
            // SAFETY: a process may signal itself.
            unsafe { libc::kill(libc::getpid(), number()) };
        }
        // A child that has ended, and of which the program is never told by a signal.
        "zombie" => {
            // SAFETY: a single-threaded program.
            match unsafe { fork() }.expect("fork") {
                // SAFETY: ends this process and nothing else.
                ForkResult::Child => unsafe { libc::_exit(number()) },
                ForkResult::Parent { child } => {
                    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("waitid");
                }
            }
        }
        // Goes on when it gets SIGUSR1. What is blocked so far, and comes meanwhile, is pending when the program starts.
        "waits" => {
            *mask |= 1 << (libc::SIGUSR1 - 1);
            set_mask(*mask);
            say("waits");
            while next(1 << (libc::SIGUSR1 - 1)) != libc::SIGUSR1 {}
            *mask &= !(1 << (libc::SIGUSR1 - 1));
        }
        "logger" => print_through_a_child(value),
        "listen-pid" => {
            // SAFETY: a single-threaded program.
            unsafe { std::env::set_var("LISTEN_PID", getpid().to_string()) };
        }
        // As a service that systemd starts with sockets and a watchdog.
        "service" => {
            let (pid, id) = (getpid().to_string(), crate::report::pidfd_id());
            for (name, value) in [("LISTEN_PID", &pid), ("LISTEN_PIDFDID", &id), ("WATCHDOG_PID", &pid)] {
                // SAFETY: a single-threaded program.
                unsafe { std::env::set_var(name, value) };
            }
        }
        "terminal" => {
            setsid().expect("setsid");
            let terminal = open(OsStr::new(value), OFlag::O_RDWR, Mode::empty()).expect(value);
            for descriptor in [0, 1] {
                // SAFETY: duplicates an open descriptor.
                unsafe { libc::dup2(terminal.as_raw_fd(), descriptor) };
            }
        }
        // SAFETY: duplicates an open descriptor.
        "stderr-as-stdout" => check(unsafe { libc::dup2(1, 2) }),
        // SAFETY: duplicates an open descriptor.
        "stderr-as-stdin" => check(unsafe { libc::dup2(0, 2) }),
        // Another group, of a process that stays, gets the foreground.
        "background" => {
            // SAFETY: a single-threaded program.
            match unsafe { fork() }.expect("fork") {
                ForkResult::Child => loop {
                    nix::unistd::pause();
                },
                ForkResult::Parent { child } => {
                    setpgid(child, child).expect("setpgid");
                    tcsetpgrp(stdin(), child).expect("tcsetpgrp");
                }
            }
        }
        "tostop" => {
            let mut settings = tcgetattr(stdin()).expect("tcgetattr");
            settings.local_flags |= LocalFlags::TOSTOP;
            tcsetattr(stdin(), SetArg::TCSANOW, &settings).expect("tcsetattr");
        }
        "processes" => {
            let limit = value.parse().expect(condition);
            setrlimit(Resource::RLIMIT_NPROC, limit, limit).expect("RLIMIT_NPROC");
        }
        // So long may a file become that is written.
        "file-size" => {
            let limit = value.parse().expect(condition);
            setrlimit(Resource::RLIMIT_FSIZE, limit, limit).expect("RLIMIT_FSIZE");
        }
        "refused" => seccomp::refuse(value),
        // An empty directory in its place, for this process and its descendants.
        "hidden" => {
            unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
            let nothing = None::<&str>;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
                .expect("private mounts");
            mount(Some("none"), value, Some("tmpfs"), MsFlags::empty(), nothing).expect(condition);
        }
        "hidepid" => hide_others(),
        // So that root, too, may signal only its own, or look closely at these alone.
        "without-cap-kill" => drop_from_next_exec(CAP_KILL),
        "without-cap-ptrace" => drop_from_next_exec(CAP_SYS_PTRACE),
        // Of the terminal that is stdin.
        "columns" => {
            let columns = value.parse().expect(condition);
            let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // SAFETY: reads a winsize.
            check(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSWINSZ, &raw const size) });
        }
        "user" => setuid(number().cast_unsigned().into()).expect("setuid"),
        _ => panic!("no such condition: {condition}"),
    }
}

fn redirect(path: &str, descriptor: i32) {
    let file = open(OsStr::new(path), OFlag::O_RDWR, Mode::empty()).expect(path);
    // SAFETY: duplicates an open descriptor.
    check(unsafe { libc::dup2(file.as_raw_fd(), descriptor) });
}

fn check(result: i32) {
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
}

/// Makes this descriptor a full pipe. The executed program inherits the reading end, and doesn't read.
fn clog(descriptor: i32) {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
    while nix::unistd::write(&writer, &[b'x'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("F_SETFL");
    // SAFETY: duplicates an open descriptor.
    check(unsafe { libc::dup2(writer.as_raw_fd(), descriptor) });
    std::mem::forget(reader);
}

/// Has stdout as a pipe to a child, which passes on what comes until its end. It may be `trapped` then.
fn print_through_a_child(end: &str) {
    let (reader, writer) = nix::unistd::pipe().expect("pipe");
    let (is_ready, tell_ready) = nix::unistd::pipe().expect("pipe");
    // SAFETY: a single-threaded program.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(writer);
            // SAFETY: duplicates an open descriptor.
            check(unsafe { libc::dup2(reader.as_raw_fd(), 0) });
            drop(tell_ready);
            let _ = std::io::copy(&mut stdin(), &mut std::io::stdout());
            if end == "trapped" {
                stop_under_trace(libc::SIGSTOP);
            }
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { .. } => {
            // Until it reads, nobody can see what it is there for.
            drop(tell_ready);
            let end = nix::unistd::read(&is_ready, &mut [0]);
            assert_eq!(end, Ok(0), "the other end is closed");
            // SAFETY: duplicates an open descriptor.
            check(unsafe { libc::dup2(writer.as_raw_fd(), 1) });
        }
    }
}

/// Mounts a /proc that shows nobody else's processes, also to root, from the next exec on.
fn hide_others() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).expect("private mounts");
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), Some("hidepid=2")).expect("/proc");
    setgroups(&[]).expect("setgroups");
    setgid(5.into()).expect("setgid");
    drop_from_next_exec(CAP_SYS_PTRACE);
}

/// capabilities(7)
const CAP_KILL: libc::c_ulong = 5;
const CAP_SYS_PTRACE: libc::c_ulong = 19;

fn drop_from_next_exec(capability: libc::c_ulong) {
    // SAFETY: takes a number and touches no memory.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) });
}

//! Starts an init thousands of times.
//!
//! A clone that shares memory until the exec costs no copy, and ends at the very moment of the
//! exec. The suite's harness starts a program with threads, marks and a search of /proc, which is
//! too slow here.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::pipe;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::sched::{CloneFlags, CpuSet, clone, sched_setaffinity};
use nix::unistd::Pid;

use crate::setting::{Mode, Place};
use crate::started::Started;
use crate::support::{Condition, END_OF_CONDITIONS, Order, init_under_test, probe_as};

/// Program to start, and its conditions.
pub struct Start {
    place: Place,
    words: Vec<CString>,
    /// The signals that are blocked when the program begins.
    pub blocked: u64,
    pub piped_stderr: bool,
    /// Processors that it may run on. All of them if `None`.
    pub processors: Option<CpuSet>,
    /// Whether PID 1 gets its own /proc.
    pub own_proc: bool,
    /// Whether the thread that starts it traces it. It stops at its exec.
    pub traced: bool,
}

impl Start {
    /// The probe under the init under test, with these options and in these conditions.
    pub fn new(place: Place, mode: Mode, conditions: &[Condition], options: &[&str], order: Order) -> Self {
        let probe = |order| probe_as(order).into_iter().map(|word| CString::new(word.into_vec()).unwrap());
        let string = |text: &str| CString::new(text).unwrap();
        let mut words = Vec::new();
        if !conditions.is_empty() {
            words.extend(probe(Order::With));
            words.extend(conditions.iter().map(|condition| string(&condition.to_string())));
            words.push(string(END_OF_CONDITIONS));
        }
        words.push(CString::new(init_under_test().as_os_str().as_bytes()).unwrap());
        words.extend((mode == Mode::Child).then(|| c"-c".into()));
        words.extend(options.iter().map(|option| string(option)));
        words.push(c"--".into());
        words.extend(probe(order));
        Self::program(place, words)
    }

    /// Any program.
    pub fn program(place: Place, words: Vec<CString>) -> Self {
        let (blocked, piped_stderr, processors, own_proc, traced) = (0, false, None, false, false);
        Self { place, words, blocked, piped_stderr, processors, own_proc, traced }
    }

    /// Runs another program under the init, or none that exists.
    pub fn command(mut self, command: &str) -> Self {
        let end = self.words.iter().rposition(|word| word.as_c_str() == c"--").unwrap();
        self.words.truncate(end + 1);
        self.words.push(CString::new(command).unwrap());
        self
    }

    /// Runs a copy of the init.
    pub fn with_init_at(mut self, path: &Path) -> Self {
        let init = CString::new(init_under_test().as_os_str().as_bytes()).unwrap();
        let place = self.words.iter().rposition(|word| *word == init).unwrap();
        self.words[place] = CString::new(path.as_os_str().as_bytes()).unwrap();
        self
    }

    /// Starts it in its own process group. Returns at the moment of its exec.
    pub fn start(&self) -> Started {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").expect("/dev/null");
        let (stdout, stdout_writer) = pipe().expect("a pipe");
        let stderr = self.piped_stderr.then(|| pipe().expect("a pipe"));
        let stderr_fd = stderr.as_ref().map_or(null.as_raw_fd(), |(_, writer)| writer.as_raw_fd());
        let descriptors = [null.as_raw_fd(), stdout_writer.as_raw_fd(), stderr_fd];
        let mut argv: Vec<_> = self.words.iter().map(|word| word.as_ptr()).collect();
        argv.push(ptr::null());
        let (blocked, processors, own_proc, traced) =
            (self.blocked, self.processors, self.own_proc, self.traced);
        let child = || {
            for (fd, target) in descriptors.into_iter().zip(0..) {
                // SAFETY: two descriptors of this process, which has its own table of them.
                unsafe { libc::dup2(fd, target) };
            }
            // SAFETY: touches no memory.
            unsafe { libc::setpgid(0, 0) };
            if let Some(processors) = processors {
                let _ = sched_setaffinity(Pid::from_raw(0), &processors);
            }
            set_mask(blocked);
            if own_proc && !mount_proc() {
                // SAFETY: ends this process and nothing else.
                unsafe { libc::_exit(126) }
            }
            if traced {
                // SAFETY: touches no memory.
                unsafe { libc::ptrace(libc::PTRACE_TRACEME) };
            }
            // SAFETY: a vector of C strings, with a null pointer at its end.
            unsafe { libc::execv(argv[0], argv.as_ptr()) };
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(127) }
        };
        let mut flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        flags.set(CloneFlags::CLONE_NEWPID, self.place == Place::Pid1);
        flags.set(CloneFlags::CLONE_NEWNS, own_proc);
        let mut stack = [0; 32 * 1024];
        // SAFETY: we sleep until the child's exec, and it allocates nothing and takes no lock.
        let pid = unsafe { clone(Box::new(child), &mut stack, flags, Some(libc::SIGCHLD)) }.expect("clone");
        Started::new(pid, stdout, stderr.map(|(reader, _)| reader))
    }
}

/// Mounts a /proc that shows the PID namespace of this process, in a mount namespace that is its own.
fn mount_proc() -> bool {
    let (none, private) = (ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: C strings, and null pointers for unused arguments.
    let is_private = unsafe { libc::mount(none, c"/".as_ptr(), none, private, ptr::null()) } == 0;
    let (name, path) = (c"proc".as_ptr(), c"/proc".as_ptr());
    // SAFETY: as above.
    is_private && unsafe { libc::mount(name, path, name, 0, ptr::null()) } == 0
}

/// rt_sigprocmask(2) on all 64 signals, which the C libraries' calls don't reach.
fn set_mask(mask: u64) {
    let none = ptr::null::<u8>();
    // SAFETY: reads eight bytes.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, none, size_of::<u64>())
    };
}

/// std ignores SIGPIPE, which an init would be handed on.
pub fn forget_what_std_ignores() {
    // SAFETY: restores the default; there is no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

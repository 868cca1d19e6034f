//! Names of the system calls that an init may make.

use std::fmt;

use libc::c_long;
use nix::errno::Errno;

/// A system call, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call(pub c_long);

macro_rules! calls {
    ($($name:ident)*) => {
        const CALLS: &[(c_long, &str)] = &[$((libc::$name, stringify!($name))),*];
    };
}

calls! {
    SYS_access SYS_arch_prctl SYS_brk SYS_capget SYS_chdir SYS_clock_gettime SYS_clock_nanosleep SYS_clone SYS_clone3
    SYS_close SYS_close_range SYS_dup2 SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_wait
    SYS_execve SYS_exit_group SYS_faccessat SYS_fcntl SYS_fork SYS_fstat SYS_futex SYS_getcwd SYS_getdents64
    SYS_getegid SYS_geteuid SYS_getgid SYS_getpgid SYS_getpgrp SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom
    SYS_getsid SYS_gettid SYS_getuid SYS_ioctl SYS_kill SYS_lseek SYS_madvise SYS_mmap SYS_mprotect SYS_mremap
    SYS_munmap SYS_nanosleep SYS_newfstatat SYS_open SYS_openat SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe SYS_pipe2
    SYS_poll SYS_ppoll SYS_prctl SYS_pread64 SYS_prlimit64 SYS_ptrace SYS_read SYS_readlink SYS_readlinkat SYS_rseq
    SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait
    SYS_sched_getaffinity SYS_sched_yield SYS_set_robust_list SYS_set_tid_address SYS_setpgid SYS_setsid
    SYS_sigaltstack SYS_signalfd4 SYS_stat SYS_statx SYS_sysinfo SYS_tgkill SYS_tkill SYS_uname SYS_vfork SYS_wait4
    SYS_waitid SYS_write SYS_writev
}

impl Call {
    pub fn name(self) -> String {
        let name = CALLS
            .iter()
            .find(|(number, _)| *number == self.0)
            .and_then(|(_, name)| name.strip_prefix("SYS_"));
        name.map_or_else(|| format!("call-{}", self.0), str::to_owned)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name())
    }
}

/// Process that makes the call, and the time from which its calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The init, from the first call of its `main` on: that is a call about signals in all of them.
    Start,
    /// The child, until its exec.
    Child,
    /// The init, from the command's exec on.
    Exec,
}

/// Calls that fail, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Only(u32),
    Every,
}

/// A failure to be injected.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub phase: Phase,
    pub call: Call,
    pub errno: Errno,
    pub when: When,
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Start => "start",
            Self::Child => "child",
            Self::Exec => "exec",
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(number) => write!(out, "{number}"),
            Self::Every => out.write_str("every"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, call, errno, when } = self;
        write!(out, "{phase}/{call}/{errno:?}/{when}")
    }
}

//! The system calls of a program, in their order (ptrace(2)).

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::procfs;

/// A process that is held between two system calls.
pub struct Traced(Pid);

/// A system call and its arguments.
pub struct SystemCall {
    pub number: libc::c_long,
    pub arguments: [u64; 6],
}

impl SystemCall {
    /// An argument that is an int.
    pub fn int(&self, index: usize) -> i32 {
        let [a, b, c, d, ..] = self.arguments[index].to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    }
}

impl Traced {
    /// Takes hold of a process, wherever it is.
    pub fn hold(pid: Pid) -> nix::Result<Self> {
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
        ptrace::interrupt(pid)?;
        let traced = Self(pid);
        while !matches!(traced.next_stop(), WaitStatus::PtraceEvent(..)) {}
        Ok(traced)
    }

    fn next_stop(&self) -> WaitStatus {
        let mut status = WaitStatus::StillAlive;
        procfs::wait_until("the tracee makes a system call", || {
            status = waitpid(self.0, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)).expect("waitpid");
            status != WaitStatus::StillAlive
        });
        status
    }

    /// Lets it run until it is about to make one of these calls.
    pub fn run_until_call(&self, numbers: &[libc::c_long]) {
        loop {
            ptrace::syscall(self.0, None).expect("PTRACE_SYSCALL");
            if !matches!(self.next_stop(), WaitStatus::PtraceSyscall(_)) {
                continue;
            }
            let info = ptrace::syscall_info(self.0).expect("PTRACE_GET_SYSCALL_INFO");
            if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
                // SAFETY: `op` says that it is this variant.
                let entry = unsafe { info.u.entry };
                if numbers.iter().any(|&number| entry.nr == number.cast_unsigned()) {
                    return;
                }
            }
        }
    }

    /// Lets it go.
    pub fn release(self) {
        ptrace::detach(self.0, None).expect("PTRACE_DETACH");
    }

    /// Lets it run to its exit, and returns each system call with its result.
    pub fn calls_until_its_end(self) -> Vec<(SystemCall, i64)> {
        let mut calls = Vec::new();
        let mut entered = None;
        loop {
            ptrace::syscall(self.0, None).expect("PTRACE_SYSCALL");
            match self.next_stop() {
                WaitStatus::PtraceSyscall(_) => {}
                _ => continue,
            }
            let info = ptrace::syscall_info(self.0).expect("PTRACE_GET_SYSCALL_INFO");
            if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
                // SAFETY: `op` says that it is this variant.
                let entry = unsafe { info.u.entry };
                let number = libc::c_long::try_from(entry.nr).expect("a number");
                if number == libc::SYS_exit_group {
                    let detached = ptrace::detach(self.0, None);
                    assert!(matches!(detached, Ok(()) | Err(Errno::ESRCH)), "{detached:?}");
                    return calls;
                }
                entered = Some(SystemCall { number, arguments: entry.args });
            } else if let Some(call) = entered.take() {
                // SAFETY: as above; a call that was entered is left.
                calls.push((call, unsafe { info.u.exit }.sval));
            }
        }
    }
}

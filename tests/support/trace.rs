//! The system calls of a program, in their order (ptrace(2)).

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::procfs;

/// A process that is held between two system calls.
pub struct Traced(Pid);

/// A stop of a process before or after a system call.
pub enum Stop {
    Entry(SystemCall),
    /// With the call's result.
    Exit(i64),
}

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

/// `PTRACE_GET_SYSCALL_INFO`, which libc and nix lack for musl.
pub fn system_call_stop(pid: Pid) -> nix::Result<Stop> {
    const PTRACE_GET_SYSCALL_INFO: i32 = 0x420e;
    const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        stop: u8,
        architecture: u32,
        instruction_pointer: u64,
        stack_pointer: u64,
        /// The number at entry, or the result at exit.
        first: u64,
        arguments: [u64; 6],
        reserved: u64,
    }
    let mut info = Info::default();
    // SAFETY: the kernel writes at most as many bytes as `info` has.
    let result =
        unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, pid.as_raw(), size_of::<Info>(), &raw mut info) };
    Errno::result(result)?;
    Ok(if info.stop == PTRACE_SYSCALL_INFO_ENTRY {
        let number = libc::c_long::try_from(info.first).unwrap_or(-1);
        Stop::Entry(SystemCall { number, arguments: info.arguments })
    } else {
        Stop::Exit(info.first.cast_signed())
    })
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
            let stop = system_call_stop(self.0).expect("PTRACE_GET_SYSCALL_INFO");
            if matches!(stop, Stop::Entry(call) if numbers.contains(&call.number)) {
                return;
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
            match system_call_stop(self.0).expect("PTRACE_GET_SYSCALL_INFO") {
                Stop::Entry(call) if call.number == libc::SYS_exit_group => {
                    let detached = ptrace::detach(self.0, None);
                    assert!(matches!(detached, Ok(()) | Err(Errno::ESRCH)), "{detached:?}");
                    return calls;
                }
                Stop::Entry(call) => entered = Some(call),
                Stop::Exit(result) => calls.extend(entered.take().map(|call| (call, result))),
            }
        }
    }
}

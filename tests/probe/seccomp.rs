//! System calls that fail, as in a sandbox (seccomp(2)).

use nix::sys::prctl::set_no_new_privs;

/// Offsets of `struct seccomp_data` (seccomp(2)); the lower half of an argument comes first.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

pub(crate) fn refuse(condition: &str) {
    let (name, errno) = condition.split_once(':').expect("NAME:ERRNO");
    let refuse = statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | errno.parse::<u32>().expect(condition));
    let allow = statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW);
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let mut program = vec![load(NUMBER)];
    match name {
        // A clone that shares the memory.
        "clone-vm" => program.extend([
            jump(libc::BPF_JEQ, number(libc::SYS_clone), 3),
            load(FIRST_ARGUMENT),
            jump(libc::BPF_JSET, libc::CLONE_VM.cast_unsigned(), 1),
        ]),
        _ => program.push(jump(libc::BPF_JEQ, number(named(name)), 1)),
    }
    program.extend([refuse, allow]);
    let filter = libc::sock_fprog { len: program.len().try_into().unwrap(), filter: program.as_mut_ptr() };
    set_no_new_privs().expect("no_new_privs");
    // SAFETY: reads the program, which lives through the call.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn named(name: &str) -> libc::c_long {
    match name {
        "capget" => libc::SYS_capget,
        "chdir" => libc::SYS_chdir,
        "clone3" => libc::SYS_clone3,
        "close_range" => libc::SYS_close_range,
        "getpgid" => libc::SYS_getpgid,
        "getrandom" => libc::SYS_getrandom,
        "getsid" => libc::SYS_getsid,
        "ioctl" => libc::SYS_ioctl,
        "kill" => libc::SYS_kill,
        "openat" => libc::SYS_openat,
        "pidfd_open" => libc::SYS_pidfd_open,
        "pidfd_send_signal" => libc::SYS_pidfd_send_signal,
        "poll" => libc::SYS_poll,
        "ppoll" => libc::SYS_ppoll,
        "prctl" => libc::SYS_prctl,
        "prlimit64" => libc::SYS_prlimit64,
        "pwritev2" => libc::SYS_pwritev2,
        "rseq" => libc::SYS_rseq,
        "rt_sigpending" => libc::SYS_rt_sigpending,
        "rt_sigprocmask" => libc::SYS_rt_sigprocmask,
        "rt_sigtimedwait" => libc::SYS_rt_sigtimedwait,
        "set_robust_list" => libc::SYS_set_robust_list,
        "setsid" => libc::SYS_setsid,
        "signalfd4" => libc::SYS_signalfd4,
        "waitid" => libc::SYS_waitid,
        "writev" => libc::SYS_writev,
        _ => panic!("no such system call: {name}"),
    }
}

fn number(call: libc::c_long) -> u32 {
    call.try_into().expect("a system call")
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code.try_into().unwrap(), jt: 0, jf: 0, k }
}

/// Skips `otherwise` statements unless the comparison holds.
fn jump(comparison: u32, k: u32, otherwise: u8) -> libc::sock_filter {
    let code = libc::BPF_JMP | comparison | libc::BPF_K;
    libc::sock_filter { code: code.try_into().unwrap(), jt: 0, jf: otherwise, k }
}

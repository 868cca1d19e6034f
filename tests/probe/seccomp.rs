//! System calls that fail, as in a sandbox (seccomp(2)).

use nix::sys::prctl::set_no_new_privs;

/// Offsets of `struct seccomp_data` (seccomp(2)). The argument's is that of its lower half.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "big") { 20 } else { 16 };

/// Makes this system call fail.
pub(crate) fn refuse(call: libc::c_long, errno: i32) {
    install([load(NUMBER), jump(libc::BPF_JEQ, number(call), 1)], errno);
}

/// Makes each clone(2) fail that shares memory.
pub(crate) fn refuse_clone_vm(errno: i32) {
    let clone = jump(libc::BPF_JEQ, number(libc::SYS_clone), 3);
    let shares_memory = jump(libc::BPF_JSET, libc::CLONE_VM.cast_unsigned(), 1);
    install([load(NUMBER), clone, load(FIRST_ARGUMENT), shares_memory], errno);
}

/// Installs a filter that refuses a call if the statements end here.
fn install<const N: usize>(statements: [libc::sock_filter; N], errno: i32) {
    let refuse = statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
    let allow = statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW);
    let mut program = statements.to_vec();
    program.extend([refuse, allow]);
    let filter = libc::sock_fprog { len: program.len().try_into().unwrap(), filter: program.as_mut_ptr() };
    set_no_new_privs().expect("no_new_privs");
    // SAFETY: reads the program, which lives through the call.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
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

//! What may we do to others?

use std::mem::size_of;
use std::sync::OnceLock;

/// To signal every process: a bit of the effective set (capabilities(7)).
pub(crate) const CAP_KILL: u32 = 5;
/// To see everything of every process.
const CAP_SYS_PTRACE: u32 = 19;
/// capget(2), `_LINUX_CAPABILITY_VERSION_3`: two sets of 32 capabilities each.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// May we signal every process that we see, whoever runs it? False also where the kernel doesn't tell.
pub(crate) fn may_signal_everybody() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| has(CAP_KILL))
}

/// May we see everything of every process, whoever runs it? False also where the kernel doesn't tell.
pub(crate) fn may_trace_everybody() -> bool {
    has(CAP_SYS_PTRACE)
}

fn has(capability: u32) -> bool {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    const { assert!(size_of::<[Data; 2]>() == 24) };
    // SAFETY: with this version, reads and writes a header and writes two sets, which is what there is room for.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    let [low, _high] = data;
    result == 0 && low.effective & 1u32.wrapping_shl(capability) != 0
}

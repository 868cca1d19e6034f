//! Reads our effective capabilities (capabilities(7)).

use std::sync::OnceLock;

/// The permission to signal every process: a bit of the effective set.
pub(crate) const CAP_KILL: u32 = 5;
/// The permission to read all that /proc has about every process.
const CAP_SYS_PTRACE: u32 = 19;

/// Whether we may signal processes of all users. False if it is unknown.
pub(crate) fn may_signal_everybody() -> bool {
    static HAS_CAP_KILL: OnceLock<bool> = OnceLock::new();
    *HAS_CAP_KILL.get_or_init(|| has(CAP_KILL))
}

/// Whether we may read about processes of all users. False if it is unknown.
pub(crate) fn may_trace_everybody() -> bool {
    has(CAP_SYS_PTRACE)
}

/// capget(2).
fn has(capability: u32) -> bool {
    /// `_LINUX_CAPABILITY_VERSION_3`: two times an effective, a permitted and an inheritable set of 32
    /// capabilities.
    const VERSION: u32 = 0x2008_0522;
    // 0 is the calling process.
    let mut header = [VERSION, 0];
    let mut sets = [0u32; 6];
    // SAFETY: with this version, reads and writes a header of two words and writes six words.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    let [effective, ..] = sets;
    result == 0 && effective & 1u32.wrapping_shl(capability) != 0
}

//! Which keys has a child got that shares our terminal?
//!
//! The kernel sends a key's signal to all of the foreground group in one go. A child that is cloned at that moment gets it
//! as we do, or was not there yet: clone(2) acts on a signal that is unblocked first, and starts again. So the keys are
//! unblocked around the clone, and a handler notes whether there was a child when they came. It runs in us either before
//! the clone or after the child's exec, since we sleep in between; and by then the child, which has our memory, has said
//! that it is there. (One with a memory of its own can't: then the child may get a key of that moment twice.)

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use nix::unistd::getpid;

use super::signals::Received;
use super::{dispositions, signals};
use crate::signal::Signum;

static PARENT: AtomicI32 = AtomicI32::new(0);
static CHILD_IS_THERE: AtomicBool = AtomicBool::new(false);
static BEFORE: AtomicU32 = AtomicU32::new(0);
static SHARED: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_key(number: c_int, info: *const libc::siginfo_t, _context: *const c_void) {
    if getpid().as_raw() != PARENT.load(Ordering::Relaxed) {
        return dispositions::note(number);
    }
    // SAFETY: the kernel passes a siginfo_t to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // A signal that only we have received, from a process or for a file, has another code.
    let both_have_it = CHILD_IS_THERE.load(Ordering::Relaxed) && code == signals::SI_KERNEL;
    let keys = if both_have_it { &SHARED } else { &BEFORE };
    keys.fetch_or(dispositions::bit(number), Ordering::Relaxed);
}

/// Begins to note keys, those that wait already included, until the next [`signals::block_all`].
pub(crate) fn start_noting() {
    PARENT.store(getpid().as_raw(), Ordering::Relaxed);
    for key in Signum::KEYS {
        dispositions::handle_with_information(key, on_key);
    }
    signals::unblock(&Signum::KEYS);
}

/// Says, in the child, that it is there.
pub(crate) fn child_is_there() {
    CHILD_IS_THERE.store(true, Ordering::Relaxed);
}

/// Forgets, in the child, the keys that we have got as well. It has left our group by then, and is not in the foreground
/// yet, so there are no others. What somebody has sent to it alone it keeps.
pub(crate) fn forget_copies() {
    let mut sent = 0;
    while let Some(Received { signum, sender, .. }) = signals::take_pending_of(&Signum::KEYS) {
        if sender.is_some() {
            sent |= dispositions::bit(signum.raw());
        }
    }
    for signum in dispositions::of_bits(sent) {
        // It can't fail for a process itself (kill(2)).
        let _ = signals::send_to_process(getpid(), signum);
    }
}

/// The keys that only we have got, although the child, which came later, is who they are meant for.
pub(crate) fn from_before_the_child() -> impl Iterator<Item = Signum> {
    dispositions::of_bits(BEFORE.load(Ordering::Relaxed))
}

/// The keys that we and the child have got.
pub(crate) fn shared_with_the_child() -> impl Iterator<Item = Signum> {
    dispositions::of_bits(SHARED.load(Ordering::Relaxed))
}

//! The allocator: a small arena, then the C library's heap.
//!
//! A plain start stays within the arena. So it touches none of the pages that musl's heap needs: 8 KiB of
//! memory for each container, and a twentieth of the start-up. A failed allocation calls a function instead
//! of abort(3).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static ON_FAILURE: OnceLock<fn() -> !> = OnceLock::new();

/// Calls `function` if an allocation fails, from now on. Before that, std aborts.
pub(crate) fn on_failure(function: fn() -> !) {
    // It is set only once.
    let _ = ON_FAILURE.set(function);
}

const SIZE: usize = 3072;

#[repr(align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; SIZE]>,
    /// The number of bytes in use, from the start.
    used: AtomicUsize,
}

// SAFETY: no two blocks overlap, since `used` is changed atomically.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

impl Arena {
    /// The offset of a block of the arena. `None` for a block of the heap.
    fn offset_of(&self, block: *mut u8) -> Option<usize> {
        block.addr().checked_sub(self.bytes.get().addr()).filter(|&offset| offset < SIZE)
    }

    fn take(&self, layout: Layout) -> Option<usize> {
        let used = self.used.load(Ordering::Relaxed);
        let align = Some(layout.align()).filter(|&align| align <= align_of::<Self>())?;
        let offset = used.checked_next_multiple_of(align)?;
        let end = offset.checked_add(layout.size()).filter(|&end| end <= SIZE)?;
        let result = self.used.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed);
        result.is_ok().then_some(offset)
    }
}

// SAFETY: a block of the arena is aligned, as its start is, and belongs to one caller. The heap has all
// others.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(offset) = self.take(layout) {
            return self.bytes.get().cast::<u8>().wrapping_add(offset);
        }
        // SAFETY: this function's own contract.
        let block = unsafe { System.alloc(layout) };
        if let Some(function) = ON_FAILURE.get().filter(|_| block.is_null()) {
            function();
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(offset) = self.offset_of(block) else {
            // SAFETY: this function's own contract, and the block is of the heap.
            return unsafe { System.dealloc(block, layout) };
        };
        // Only the last block can be reused.
        let end = offset.wrapping_add(layout.size());
        let _ = self.used.compare_exchange(end, offset, Ordering::Relaxed, Ordering::Relaxed);
    }
}

//! The system's allocator, with an exit other than abort if memory is exhausted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

static ON_FAILURE: OnceLock<fn() -> !> = OnceLock::new();

/// Calls `function` if an allocation fails, from now on. Before that, std aborts.
pub(crate) fn on_failure(function: fn() -> !) {
    // It is set only once.
    let _ = ON_FAILURE.set(function);
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: this function's own contract.
        let block = unsafe { System.alloc(layout) };
        if block.is_null()
            && let Some(function) = ON_FAILURE.get()
        {
            function();
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: this function's own contract.
        unsafe { System.dealloc(block, layout) }
    }
}

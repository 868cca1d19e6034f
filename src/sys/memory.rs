//! Where does the little memory come from that a start needs?
//!
//! From the program itself, as long as that suffices, and then from the C library. A start needs a few kilobytes in a few
//! dozen blocks of as many sizes. musl's allocator maps pages for each size, and these calls take longer than all that is
//! done with the memory; docs/benchmarks.md has what is gained.
//!
//! A bump allocator: each byte of the heap below `used` belongs to one block, or to one that was given back while it wasn't
//! the last, and only the last block can grow in its place or be used again, as a vector's is that grows. A start takes, and
//! life after that needs next to nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than a start without options needs, and so little that it fits on two pages with the program's other variables.
const HEAP_BYTES: usize = 3 * 1024;
/// Every block begins at a multiple of it. Whatever wants more is left to the C library.
const ALIGN: usize = 16;

#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, expect(dead_code, reason = "the tests have the C library's"))]
static MEMORY: Memory = Memory::new();

#[repr(C)]
struct Memory {
    /// So many bytes of the heap are taken, from its beginning.
    used: AtomicUsize,
    heap: UnsafeCell<Heap>,
}

#[repr(C, align(16))]
struct Heap([u8; HEAP_BYTES]);

// SAFETY: no byte of the heap is handed out to two at a time, since `used` moves over it in one step.
unsafe impl Sync for Memory {}

impl Memory {
    #[allow(clippy::large_stack_arrays)] // Evaluated by the compiler alone, but for the tests.
    const fn new() -> Self {
        Self { used: AtomicUsize::new(0), heap: UnsafeCell::new(Heap([0; HEAP_BYTES])) }
    }

    /// Takes a block. `None` where there is no room for it.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let size = rounded(layout.size()).filter(|_| layout.align() <= ALIGN)?;
        // A guess, so that the first access is a write: a read before it would be a page fault of its own.
        let mut first = 0usize;
        loop {
            let end = first.checked_add(size).filter(|&end| end <= HEAP_BYTES)?;
            match self.move_end(first, end) {
                // SAFETY: it and the bytes after it are in the heap, as just tested.
                Ok(_) => return Some(unsafe { self.heap.get().cast::<u8>().add(first) }),
                Err(used) => first = used,
            }
        }
    }

    /// Where a block begins and ends, if it is one of ours.
    fn place(&self, block: *mut u8, size: usize) -> Option<(usize, usize)> {
        let first = block.addr().checked_sub(self.heap.get().addr()).filter(|&first| first < HEAP_BYTES)?;
        Some((first, first.checked_add(rounded(size)?)?))
    }

    /// Moves the end of what is used, if it is there; else tells where it is. Whoever takes what somebody has given back sees
    /// what that one did before.
    fn move_end(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.used.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

fn rounded(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(ALIGN)
}

// SAFETY: blocks are aligned and don't overlap; whatever isn't ours is the system allocator's.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout).unwrap_or_else(|| {
            // SAFETY: this function's own contract.
            unsafe { System.alloc(layout) }
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.place(block, layout.size()) {
            // Where it isn't the last one, it stays taken.
            Some((first, end)) => _ = self.move_end(end, first),
            // SAFETY: what is none of ours came from there, with the same layout.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some((first, end)) = self.place(block, layout.size()) else {
            // SAFETY: what is none of ours came from there, with the same layout.
            return unsafe { System.realloc(block, layout, size) };
        };
        let grown =
            rounded(size).and_then(|size| first.checked_add(size)).filter(|&grown| grown <= HEAP_BYTES);
        if grown.is_some_and(|grown| self.move_end(end, grown).is_ok() || grown <= end) {
            return block;
        }
        // SAFETY: the size fits into an isize when it is rounded up, as the caller promises.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: this function's own contract.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both blocks have so many bytes, and they are different ones.
            unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
            // SAFETY: this function's own contract.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A block with these bytes in it.
    fn block(memory: &Memory, layout: Layout, byte: u8) -> *mut u8 {
        // SAFETY: no layout here is empty.
        let block = unsafe { memory.alloc(layout) };
        // SAFETY: it has so many bytes.
        unsafe { ptr::write_bytes(block, byte, layout.size()) };
        block
    }

    fn has(block: *const u8, size: usize, byte: u8) -> bool {
        // SAFETY: the tests ask for what they have written.
        let bytes = unsafe { std::slice::from_raw_parts(block, size) };
        bytes.iter().all(|&other| other == byte)
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let memory = Memory::new();
        let layouts: Vec<Layout> = (1..250).map(|size| layout(size, 1 << (size % 7))).collect();
        let blocks: Vec<*mut u8> =
            (0u8..).zip(&layouts).map(|(byte, &layout)| block(&memory, layout, byte)).collect();
        let ours = blocks.iter().filter(|&&block| memory.place(block, 1).is_some()).count();
        assert!(ours > 20 && ours < blocks.len(), "many, and not all: {ours}");
        for ((byte, &layout), &block) in (0u8..).zip(&layouts).zip(&blocks) {
            assert!(
                block.addr().is_multiple_of(layout.align()) && has(block, layout.size(), byte),
                "{layout:?}"
            );
            // SAFETY: from this allocator, with this layout.
            unsafe { memory.dealloc(block, layout) };
        }
    }

    #[test]
    fn the_last_block_grows_in_its_place_and_is_used_again() {
        let memory = Memory::new();
        let first = block(&memory, layout(10, 1), 1);
        // SAFETY: from this allocator, with this layout.
        assert_eq!(unsafe { memory.realloc(first, layout(10, 1), 100) }, first);
        // SAFETY: as above.
        unsafe { memory.dealloc(first, layout(100, 1)) };
        assert_eq!(block(&memory, layout(10, 1), 2), first);
    }

    #[test]
    fn what_can_not_grow_in_its_place_moves_with_its_bytes() {
        for (then, size) in [(1, 100), (HEAP_BYTES - 40, 100), (1, HEAP_BYTES)] {
            let memory = Memory::new();
            let first = block(&memory, layout(10, 1), 7);
            let last = block(&memory, layout(then, 1), 8);
            // SAFETY: from this allocator, with this layout.
            let moved = unsafe { memory.realloc(first, layout(10, 1), size) };
            assert!(moved != first && has(moved, 10, 7) && has(last, then, 8), "{then} {size}");
            // SAFETY: as above.
            let shrunk = unsafe { memory.realloc(moved, layout(size, 1), 5) };
            assert!(has(shrunk, 5, 7), "{then} {size}");
        }
    }

    #[test]
    fn several_threads_get_different_blocks() {
        let memory = Memory::new();
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let memory = &memory;
                scope.spawn(move || {
                    // Of all sizes, until the heap is full.
                    let sizes = || (1..=400).map(|round| 1 + (round * 7) % 100);
                    let blocks: Vec<*mut u8> =
                        sizes().map(|size| block(memory, layout(size, 1), byte)).collect();
                    assert!(blocks.into_iter().zip(sizes()).all(|(block, size)| has(block, size, byte)));
                });
            }
        });
    }
}

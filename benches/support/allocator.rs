//! An allocator that counts what each thread asks of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count for each thread.
pub(crate) struct Counting;

/// What one thread has asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Blocks asked for; growing one counts as asking for another.
    pub(crate) allocations: u64,
    /// The bytes of those blocks.
    pub(crate) bytes: u64,
    /// Bytes that the blocks still held take up in memory.
    pub(crate) resident: u64,
}

impl Counts {
    /// The current thread's.
    pub(crate) fn now() -> Self {
        COUNTS.get()
    }
}

thread_local! {
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, bytes: 0, resident: 0 }) };
}

/// The bytes that a block takes up: glibc's `malloc` puts eight before it and
/// rounds to 16, at least 32, and gives whole pages from 128 KiB on.
const fn taken_up(layout: Layout) -> u64 {
    let size = layout.size() as u64 + 8;
    if size < 128 * 1024 {
        let rounded = size.next_multiple_of(16);
        if rounded < 32 { 32 } else { rounded }
    } else {
        size.next_multiple_of(4096)
    }
}

fn count(layout: Layout) {
    let mut counts = COUNTS.get();
    counts.allocations += 1;
    counts.bytes += layout.size() as u64;
    counts.resident = counts.resident.wrapping_add(taken_up(layout));
    COUNTS.set(counts);
}

fn uncount(layout: Layout) {
    let mut counts = COUNTS.get();
    counts.resident = counts.resident.wrapping_sub(taken_up(layout));
    COUNTS.set(counts);
}

#[expect(
    unsafe_code,
    reason = "the trait demands it; every call goes on to the system's allocator"
)]
// SAFETY: every call is forwarded as it is, and counting neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        uncount(layout);
        if let Ok(grown) = Layout::from_size_align(new_size, layout.align()) {
            count(grown);
        }
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        uncount(layout);
        unsafe { System.dealloc(block, layout) };
    }
}

//! An allocator that knows how much each thread holds, so that a trial can report its own peak while others run.
//!
//! A binary opts in with `#[global_allocator] static ALLOCATOR: Counting = Counting;`. Without that the peak reads 0.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system allocator, counting bytes per thread.
pub struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Forgets the peak of this thread: from now on it counts what is allocated on top of what is held now.
pub fn reset_peak() {
    HELD.set(0);
    PEAK.set(0);
}

/// The most bytes this thread held at once since [`reset_peak`], beyond what it held then. Memory handed to another
/// thread stays on the account of the thread that allocated it.
pub fn peak() -> u64 {
    PEAK.get().max(0) as u64
}

fn count(bytes: isize) {
    // A thread that is being torn down has no account any more.
    let _ = HELD.try_with(|held| {
        let now = held.get() + bytes;
        held.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call is handed unchanged to the system allocator; the counters are constant-initialised thread-local
// cells, which never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn the_peak_is_the_most_held_at_once_on_this_thread() {
        reset_peak();
        for _ in 0..10 {
            drop(std::hint::black_box(vec![0_u8; 1 << 20]));
        }
        std::thread::spawn(|| drop(std::hint::black_box(vec![0_u8; 64 << 20])))
            .join()
            .unwrap();
        let seen = peak();
        assert!((1 << 20..2 << 20).contains(&seen), "{seen} bytes");
    }
}

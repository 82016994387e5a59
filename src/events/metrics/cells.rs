//! Counts that a request raises.
//!
//! Each thread has cells of its own and is alone in writing them, so that no
//! two threads meet there and no instruction is locked. Whoever reports reads
//! the cells of all threads and tells what is new.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{decisions, store};

/// Where the cells of each kind begin.
pub(super) const STORE: usize = decisions::CELLS;
const CELLS: usize = STORE + store::CELLS;

/// One thread's cells, in cache lines of their own.
#[repr(align(128))]
struct Cells([AtomicU64; CELLS]);

impl Cells {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// To be called by the cells' own thread alone.
    #[inline]
    fn raise(&self, place: usize) {
        let cell = &self.0[place];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn add_to(&self, totals: &mut [u64]) {
        for (total, cell) in totals.iter_mut().zip(&self.0) {
            *total += cell.load(Ordering::Relaxed);
        }
    }
}

/// The cells of this thread, which are counted on when it has ended.
struct Own(Arc<Cells>);

thread_local! {
    static OWN: Own = Own::enter();
}

/// Raises a count.
#[inline]
pub(super) fn raise(place: usize) {
    // A thread that is being torn down decides on no request.
    let _ = OWN.try_with(|own| own.0.raise(place));
}

/// By how much each count has risen since this was asked last, by whomever.
pub(super) fn risen() -> Vec<u64> {
    registry().risen()
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

fn registry() -> MutexGuard<'static, Registry> {
    // No code that holds this lock can panic half-way through a change.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Registry {
    threads: Vec<Arc<Cells>>,
    /// What threads have counted that have ended.
    ended: [u64; CELLS],
    told: [u64; CELLS],
}

impl Registry {
    const fn new() -> Self {
        Self { threads: Vec::new(), ended: [0; CELLS], told: [0; CELLS] }
    }

    fn risen(&mut self) -> Vec<u64> {
        let mut totals = self.ended.to_vec();
        self.threads.iter().for_each(|cells| cells.add_to(&mut totals));
        let told = self.told.iter_mut();
        let rise = |(total, told): (u64, &mut u64)| total - std::mem::replace(told, total);
        totals.into_iter().zip(told).map(rise).collect()
    }
}

impl Own {
    fn enter() -> Self {
        let cells = Arc::new(Cells::new());
        registry().threads.push(Arc::clone(&cells));
        Self(cells)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.threads.retain(|cells| !Arc::ptr_eq(cells, &self.0));
        self.0.add_to(&mut registry.ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_or_told_twice_whatever_thread_ends_when() {
        // No other test of this program raises this count.
        const PLACE: usize = CELLS - 1;
        let mut told = 0;
        std::thread::scope(|scope| {
            let threads = (0..8).map(|_| scope.spawn(|| (0..10_000).for_each(|_| raise(PLACE))));
            let threads: Vec<_> = threads.collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                told += risen()[PLACE];
            }
        });
        told += risen()[PLACE];
        assert_eq!((told, risen()[PLACE]), (80_000, 0));
    }
}

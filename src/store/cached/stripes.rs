//! A count that many threads raise at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A power of two, above the number of worker threads of most machines.
const STRIPES: usize = 64;

/// One part of the count for each thread, in a cache line to itself. With more
/// threads than parts some share one, and count right all the same.
pub(super) struct Stripes([Stripe; STRIPES]);

#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Default for Stripes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Stripe::default()))
    }
}

impl Stripes {
    #[inline]
    pub(super) fn add(&self) {
        self.0[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

/// The part of this thread.
#[inline]
fn stripe() -> usize {
    thread_local! {
        static OWN: Number = Number::take();
    }
    OWN.try_with(|own| own.0 % STRIPES).unwrap_or_default()
}

/// A number that no other thread has while this one lives: the least that is
/// free, so that it is small.
struct Number(usize);

static FREE: Mutex<Free> = Mutex::new(Free { returned: BTreeSet::new(), next: 0 });

struct Free {
    returned: BTreeSet<usize>,
    next: usize,
}

impl Number {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = free.next;
        let number = free.returned.pop_first().unwrap_or(fresh);
        free.next = fresh.max(number + 1);
        Self(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.returned.insert(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_with_more_threads_than_stripes() {
        let stripes = Stripes::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 7 {
                scope.spawn(|| (0..1_000).for_each(|_| stripes.add()));
            }
        });
        assert_eq!(stripes.sum(), 1_000 * (STRIPES as u64 + 7));
    }

    #[test]
    fn threads_that_live_at_once_have_numbers_of_their_own() {
        let (first, second) = (Number::take(), Number::take());
        assert_ne!(first.0, second.0);
    }
}

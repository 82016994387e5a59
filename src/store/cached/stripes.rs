//! A count that many threads raise at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Above the number of worker threads of most machines.
const STRIPES: usize = 64;

/// The part that all threads beyond that share.
const SHARED: usize = STRIPES - 1;

/// One part of the count for each thread, in a cache line to itself, which no
/// other thread writes to while that one lives.
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
        let place = stripe();
        let Stripe(count) = &self.0[place];
        if place == SHARED {
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            // Nobody else writes here: no need to pay for doing it in one step.
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
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
    OWN.try_with(|own| own.0.min(SHARED)).unwrap_or(SHARED)
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
    fn nothing_is_lost_where_a_thread_takes_over_from_another() {
        let stripes = Stripes::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let one_after_the_other = || {
                    for _ in 0..100 {
                        std::thread::scope(|inner| drop(inner.spawn(|| stripes.add())));
                    }
                };
                scope.spawn(one_after_the_other);
            }
        });
        assert_eq!(stripes.sum(), 400);
    }

    #[test]
    fn threads_that_live_at_once_have_numbers_of_their_own() {
        let (first, second) = (Number::take(), Number::take());
        assert_ne!(first.0, second.0);
    }
}

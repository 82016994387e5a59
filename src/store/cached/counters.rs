//! Counts of what a cache does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::telemetry::{cache_changed, cache_looked_up, cache_stands};

/// Above the number of worker threads of most machines.
const STRIPES: usize = 64;

/// The part that all threads beyond that share.
const SHARED: usize = STRIPES - 1;

/// What a cache has done since it was started, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Look-ups answered by a remembered account.
    pub hits: u64,
    /// Look-ups for which the store was asked.
    pub misses: u64,
    /// Look-ups that joined one for which the store was asked.
    pub joined: u64,
    /// Look-ups answered by remembering that no account names the digest.
    pub negative_hits: u64,
    /// Look-ups refused because too many were under way while the cache was not
    /// trusted.
    pub refused: u64,
    /// Changes that the cache learned of, from the feed and by its own writing.
    pub invalidations: u64,
    /// How often the feed was opened, or said that it may have lost changes.
    pub losses: u64,
    /// How many accounts are remembered now.
    pub entries: u64,
    /// How many look-ups that a request may join are under way now.
    pub loads: u64,
    /// Whether the cache is trusted now; else the store is asked each time.
    pub trusted: bool,
    /// How long the last heartbeat that came back was on its way; `None` if none
    /// has.
    pub lag: Option<Duration>,
}

/// Counted where it happens; hits without a write that two threads share.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: Stripes,
    pub(super) misses: Count,
    pub(super) joined: Count,
    pub(super) negative_hits: Count,
    pub(super) refused: Count,
    pub(super) invalidations: Count,
    pub(super) losses: Count,
    /// In nanoseconds, and one more; 0 for none.
    lag: AtomicU64,
}

impl Counters {
    pub(super) fn echoed(&self, lag: u64) {
        self.lag.store(lag.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        let lag = self.lag.load(Ordering::Relaxed).checked_sub(1);
        CacheStatistics {
            hits: self.hits.sum(),
            misses: self.misses.get(),
            joined: self.joined.get(),
            negative_hits: self.negative_hits.get(),
            refused: self.refused.get(),
            invalidations: self.invalidations.get(),
            losses: self.losses.get(),
            entries: 0,
            loads: 0,
            trusted: false,
            lag: lag.map(Duration::from_nanos),
        }
    }
}

/// Measures one cache, from its start to its end.
#[derive(Default)]
pub(super) struct CacheMeter {
    told: CacheStatistics,
}

impl CacheMeter {
    /// Tells what has happened since this was called last.
    pub(super) fn report(&mut self, now: CacheStatistics) {
        cache_looked_up("hit", now.hits - self.told.hits);
        cache_looked_up("negative_hit", now.negative_hits - self.told.negative_hits);
        cache_looked_up("miss", now.misses - self.told.misses);
        cache_looked_up("joined", now.joined - self.told.joined);
        cache_looked_up("refused", now.refused - self.told.refused);
        cache_changed(now.invalidations - self.told.invalidations, now.losses - self.told.losses);
        cache_stands(now.entries, now.trusted, now.lag);
        self.told = now;
    }
}

impl Drop for CacheMeter {
    /// A cache that is gone is not trusted.
    fn drop(&mut self) {
        cache_stands(0, false, None);
    }
}

/// A count that any thread may raise, away from the path of a hit.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count that many threads raise at once.
///
/// One part of it for each thread, in a cache line to itself, which no
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

    fn sum(&self) -> u64 {
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

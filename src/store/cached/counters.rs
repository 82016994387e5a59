//! Counts of what a cache does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::stripes::Stripes;
use crate::telemetry::{cache_changed, cache_looked_up, cache_stands};

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
    /// Changes that the cache heard of, from the feed and by its own writing.
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

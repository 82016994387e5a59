//! What a cache does, and how it stands.

use metrics::{counter, gauge};

use super::{
    CACHE_ENTRIES, CACHE_FEED_LAG, CACHE_INVALIDATIONS, CACHE_LOOK_UPS, CACHE_LOSSES, CACHE_TRUSTED,
};
use crate::store::CacheStatistics;

/// Tells of one cache, from its start to its end.
#[derive(Default)]
pub(crate) struct CacheMeter {
    told: CacheStatistics,
}

impl CacheMeter {
    /// Tells what has happened since this was called last.
    pub(crate) fn report(&mut self, statistics: impl FnOnce() -> CacheStatistics) {
        let now = statistics();
        let before = std::mem::replace(&mut self.told, now.clone());
        let look_ups = [
            ("hit", now.hits - before.hits),
            ("negative_hit", now.negative_hits - before.negative_hits),
            ("miss", now.misses - before.misses),
            ("joined", now.joined - before.joined),
            ("refused", now.refused - before.refused),
        ];
        for (answer, rise) in look_ups {
            counter!(CACHE_LOOK_UPS, "answer" => answer).increment(rise);
        }
        counter!(CACHE_INVALIDATIONS).increment(now.invalidations - before.invalidations);
        counter!(CACHE_LOSSES).increment(now.losses - before.losses);
        gauge!(CACHE_ENTRIES).set(now.entries as f64);
        gauge!(CACHE_TRUSTED).set(f64::from(u8::from(now.trusted)));
        if let Some(lag) = now.lag {
            gauge!(CACHE_FEED_LAG).set(lag.as_secs_f64());
        }
    }
}

impl Drop for CacheMeter {
    /// A cache that is gone is not trusted.
    fn drop(&mut self) {
        gauge!(CACHE_ENTRIES).set(0.0);
        gauge!(CACHE_TRUSTED).set(0.0);
    }
}

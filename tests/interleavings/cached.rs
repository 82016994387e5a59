//! The interleavings of the cache, explored with `shuttle`.
//!
//! The files named below are the cache's own: what is compiled here is the real
//! code of look-ups, invalidation, lease and expiry. Only what they import from
//! beside them is replaced: the lock and the atomics by those of the exploring
//! scheduler, the clock by one that the tests move, and the maps by some behind
//! a lock. A map that readers enter without a lock could not be explored.
//!
//! To see such a test fail, run
//!
//! ```text
//! CACHE_TWIN=1 cargo test --features cache --test interleavings cached::revocation
//! ```
//!
//! It then ends look-ups as a broken twin does, which remembers what it read
//! without asking whether it is still current. The failure prints a schedule;
//! `shuttle::replay` with it shows that very interleaving.

mod explore;
mod revocation;
mod trust;

#[path = "../../src/store/cached/capacity.rs"]
mod capacity;
#[expect(dead_code, reason = "statistics are not what is explored here")]
#[path = "../../src/store/cached/entries.rs"]
mod entries;
#[expect(dead_code, reason = "statistics are not what is explored here")]
#[path = "../../src/store/cached/load.rs"]
mod load;

use crate::schedules::maps;

/// In place of the stores' `sync.rs`.
mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}

/// In place of the cache's `clock.rs`.
mod clock {
    use std::sync::Arc;

    use super::sync::{AtomicU64, Ordering};

    #[derive(Clone)]
    pub(super) struct Ticker(Arc<AtomicU64>);

    impl Ticker {
        pub(super) fn new(nanos: u64) -> Self {
            Self(Arc::new(AtomicU64::new(nanos)))
        }

        pub(super) fn nanos(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        pub(super) fn advance(&self, nanos: u64) {
            self.0.fetch_add(nanos, Ordering::SeqCst);
        }
    }
}

//! What the tests of interleavings share: the exploring scheduler, and maps
//! that it can explore. Those that readers enter without a lock could not be.

use std::collections::HashMap;
use std::sync::Arc;

use shuttle::scheduler::PctScheduler;
use shuttle::sync::{Mutex, MutexGuard};

use crate::token::TokenDigest;

/// Runs a test under many schedules with few, well-placed preemptions, so many
/// with each number of them: the same ones each time, unless
/// `SHUTTLE_RANDOM_SEED` says otherwise.
pub(crate) fn explore(schedules: usize, test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    for preemptions in 2..5 {
        let test = Arc::clone(&test);
        let mut config = shuttle::Config::new();
        config.stack_size = 0x1_8000;
        let scheduler = PctScheduler::new_from_seed(2_026, preemptions, schedules);
        shuttle::Runner::new(scheduler, config).run(move || test());
    }
}

/// In place of the stores' `maps.rs`: maps behind a lock. A reader keeps what it
/// found, as it does without one.
pub(crate) mod maps {
    use super::*;

    pub(crate) struct DigestMap<V> {
        entries: Mutex<HashMap<TokenDigest, Arc<V>>>,
        /// A broken twin's way to replace a value.
        takes_away_first: bool,
    }

    impl<V> DigestMap<V> {
        pub(crate) fn new() -> Self {
            Self { entries: Mutex::new(HashMap::new()), takes_away_first: false }
        }

        /// The broken twin, in which a reader may find nothing while a value is
        /// replaced.
        pub(crate) fn that_takes_away_first() -> Self {
            Self { takes_away_first: true, ..Self::new() }
        }

        fn lock(&self) -> MutexGuard<'_, HashMap<TokenDigest, Arc<V>>> {
            self.entries.lock().unwrap()
        }

        pub(crate) fn read<R>(
            &self,
            digest: &TokenDigest,
            read: impl FnOnce(&V) -> R,
        ) -> Option<R> {
            let found = self.lock().get(digest).cloned();
            found.map(|value| read(&value))
        }

        pub(crate) fn insert(&self, digest: TokenDigest, value: V) {
            if self.takes_away_first {
                self.remove(&digest);
            }
            self.lock().insert(digest, Arc::new(value));
        }

        pub(crate) fn remove(&self, digest: &TokenDigest) {
            self.lock().remove(digest);
        }

        #[cfg(feature = "cache")]
        pub(crate) fn clear(&self) {
            self.lock().clear();
        }

        pub(crate) fn make_room(&self) {}
    }

    /// What it holds is found as it is, without the bound.
    #[cfg(feature = "cache")]
    pub(crate) struct NegativeMap<V>(DigestMap<V>);

    #[cfg(feature = "cache")]
    impl<V: Clone> NegativeMap<V> {
        pub(crate) fn new() -> Self {
            Self(DigestMap::new())
        }

        pub(crate) fn get(&self, digest: &TokenDigest) -> Option<V> {
            self.0.read(digest, V::clone)
        }

        pub(crate) fn insert(&self, digest: TokenDigest, value: V) {
            self.0.insert(digest, value);
        }

        pub(crate) fn remove(&self, digest: &TokenDigest) {
            self.0.remove(digest);
        }

        pub(crate) fn clear(&self) {
            self.0.clear();
        }
    }
}

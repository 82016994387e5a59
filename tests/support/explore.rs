//! What the tests of interleavings share: the exploring scheduler, and a map
//! that it can explore. One that readers enter without a lock could not be.

use std::collections::HashMap;
use std::sync::Arc;

use shuttle::scheduler::PctScheduler;
use shuttle::sync::{Mutex, MutexGuard};

use crate::map::DigestMap;
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

/// A map behind a lock. A reader keeps what it found, as it does without one.
pub(crate) struct LockedMap<V>(Mutex<HashMap<TokenDigest, Arc<V>>>);

impl<V> LockedMap<V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<TokenDigest, Arc<V>>> {
        self.0.lock().unwrap()
    }
}

impl<V> DigestMap<V> for LockedMap<V> {
    fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R> {
        let found = self.lock().get(digest).cloned();
        found.map(|value| read(&value))
    }

    fn insert(&self, digest: TokenDigest, value: V) {
        self.lock().insert(digest, Arc::new(value));
    }

    fn remove(&self, digest: &TokenDigest) {
        self.lock().remove(digest);
    }
}

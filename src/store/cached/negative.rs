//! The map of the strings that are no tokens, and how the maps are emptied.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter};

use super::clear::Clear;
use super::map::DigestMap;
use crate::store::hashing::DigestHashing;
use crate::store::lock_free::LockFree;
use crate::token::TokenDigest;

/// The strings that are no tokens, within a bound of its own.
pub(super) type NegativeEntries<V> =
    Cache<TokenDigest, V, UnitWeighter, DigestHashing, DefaultLifecycle<TokenDigest, V>>;

/// Room for `capacity` negative entries. One shard, so that the bound is exact.
pub(super) fn negative_entries<V: Clone>(capacity: usize) -> NegativeEntries<V> {
    let mut options = OptionsBuilder::new();
    options.shards(1).estimated_items_capacity(capacity).weight_capacity(capacity as u64);
    let options = options.build().expect("both capacities are set");
    let (hashing, lifecycle) = (DigestHashing::default(), DefaultLifecycle::default());
    Cache::with_options(options, UnitWeighter, hashing, lifecycle)
}

impl<V: Clone> DigestMap<V> for NegativeEntries<V> {
    fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.get(digest).map(|value| read(&value))
    }

    fn insert(&self, digest: TokenDigest, value: V) {
        Self::insert(self, digest, value);
    }

    fn remove(&self, digest: &TokenDigest) {
        Self::remove(self, digest);
    }
}

impl<V: Clone> Clear<V> for NegativeEntries<V> {
    fn clear(&self) {
        Self::clear(self);
    }
}

impl<V> Clear<V> for LockFree<V> {
    fn clear(&self) {
        self.pin().clear();
    }
}

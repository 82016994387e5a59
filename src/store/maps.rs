//! The maps that requests read, by the digest of a token.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use papaya::{Equivalent, Guard};
#[cfg(feature = "cache")]
use quick_cache::sync::{Cache, DefaultLifecycle};
#[cfg(feature = "cache")]
use quick_cache::{OptionsBuilder, UnitWeighter};

use crate::token::TokenDigest;

/// A map that is read without a lock, beside one writer at a time.
pub(super) struct DigestMap<V>(papaya::HashMap<TokenDigest, V, DigestHashing>);

impl<V> DigestMap<V> {
    pub(super) fn new() -> Self {
        Self(papaya::HashMap::with_hasher(DigestHashing::default()))
    }

    /// Lends the value of a digest.
    #[inline]
    pub(super) fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.pin().get(&Bytes(digest)).map(read)
    }

    /// Puts a value in, in place of a former one: a reader finds one of them at every
    /// instant.
    pub(super) fn insert(&self, digest: TokenDigest, value: V) {
        self.0.pin().insert(digest, value);
    }

    pub(super) fn remove(&self, digest: &TokenDigest) {
        self.0.pin().remove(digest);
    }

    #[cfg(feature = "cache")]
    pub(super) fn clear(&self) {
        self.0.pin().clear();
    }

    /// Grows early and in one step, where the map would else grow late and bit
    /// by bit, with readers that look into two tables meanwhile.
    pub(super) fn make_room(&self) {
        let guard = self.0.guard();
        self.0.reserve(self.0.len() / 2, &guard);
        // The former table, as large as half of this one, is given back now and
        // not when some number of others have been left behind.
        guard.flush();
    }
}

/// A digest that is looked up: compared like any bytes, since whoever finds an
/// account compares the digest again, in constant time.
struct Bytes<'d>(&'d TokenDigest);

impl Hash for Bytes<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<TokenDigest> for Bytes<'_> {
    #[inline]
    fn equivalent(&self, known: &TokenDigest) -> bool {
        self.0.as_bytes() == known.as_bytes()
    }
}

/// What is known of digests that no account names, within a bound.
#[cfg(feature = "cache")]
pub(super) struct NegativeMap<V>(
    Cache<TokenDigest, V, UnitWeighter, DigestHashing, DefaultLifecycle<TokenDigest, V>>,
);

#[cfg(feature = "cache")]
impl<V: Clone> NegativeMap<V> {
    /// A map of at most `capacity` digests. One shard, so that the bound is exact.
    pub(super) fn new(capacity: usize) -> Self {
        let mut options = OptionsBuilder::new();
        options.shards(1).estimated_items_capacity(capacity).weight_capacity(capacity as u64);
        let options = options.build().expect("both capacities are set");
        let (hashing, lifecycle) = (DigestHashing::default(), DefaultLifecycle::default());
        Self(Cache::with_options(options, UnitWeighter, hashing, lifecycle))
    }

    pub(super) fn get(&self, digest: &TokenDigest) -> Option<V> {
        self.0.get(digest)
    }

    pub(super) fn insert(&self, digest: TokenDigest, value: V) {
        self.0.insert(digest, value);
    }

    pub(super) fn remove(&self, digest: &TokenDigest) {
        self.0.remove(digest);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

/// Hashes a digest by one multiply-fold of 64 of its bits with a random key.
///
/// The digests are uniform already, but a client chooses what is looked up and
/// a host may import digests of its own: without the key either could make them
/// collide.
#[derive(Clone)]
struct DigestHashing {
    key: u64,
}

impl Default for DigestHashing {
    fn default() -> Self {
        Self { key: RandomState::new().hash_one(0) | 1 }
    }
}

impl BuildHasher for DigestHashing {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher { key: self.key, hash: 0 }
    }
}

struct DigestHasher {
    key: u64,
    hash: u64,
}

impl Hasher for DigestHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<8>().0.iter().take(1) {
            let product = u128::from(u64::from_ne_bytes(*word) ^ self.key) * 0x9e37_79b9_7f4a_7c15;
            self.hash ^= (product >> 64) as u64 ^ product as u64;
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

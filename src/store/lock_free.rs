//! The map that requests read without a lock.

use super::hashing::DigestHashing;
use super::map::DigestMap;
use crate::token::TokenDigest;

/// What is known by digests.
pub(super) type LockFree<V> = papaya::HashMap<TokenDigest, V, DigestHashing>;

pub(super) fn lock_free<V>() -> LockFree<V> {
    papaya::HashMap::with_hasher(DigestHashing::default())
}

impl<V> DigestMap<V> for LockFree<V> {
    #[inline]
    fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.pin().get(digest).map(read)
    }

    fn insert(&self, digest: TokenDigest, value: V) {
        self.pin().insert(digest, value);
    }

    fn remove(&self, digest: &TokenDigest) {
        self.pin().remove(digest);
    }

    fn make_room(&self) {
        let map = self.pin();
        map.reserve(map.len() / 2);
    }
}

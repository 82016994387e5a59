//! The map that requests read without a lock.

use std::hash::{Hash, Hasher};

use papaya::{Equivalent, Guard};

use super::hashing::DigestHashing;
use super::map::DigestMap;
use crate::token::TokenDigest;

/// What is known by digests.
pub(super) type LockFree<V> = papaya::HashMap<TokenDigest, V, DigestHashing>;

pub(super) fn lock_free<V>() -> LockFree<V> {
    papaya::HashMap::with_hasher(DigestHashing::default())
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

impl<V> DigestMap<V> for LockFree<V> {
    #[inline]
    fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.pin().get(&Bytes(digest)).map(read)
    }

    fn insert(&self, digest: TokenDigest, value: V) {
        self.pin().insert(digest, value);
    }

    fn remove(&self, digest: &TokenDigest) {
        self.pin().remove(digest);
    }

    fn make_room(&self) {
        let guard = self.guard();
        self.reserve(self.len() / 2, &guard);
        // The former table, as large as half of this one, is given back now and
        // not when some number of others have been left behind.
        guard.flush();
    }
}

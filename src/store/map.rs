//! What the stores need of a map.

use crate::token::TokenDigest;

/// A map that is read beside one writer at a time.
pub(super) trait DigestMap<V> {
    /// Lends the value of a digest.
    fn read<R>(&self, digest: &TokenDigest, read: impl FnOnce(&V) -> R) -> Option<R>;

    fn insert(&self, digest: TokenDigest, value: V);

    fn remove(&self, digest: &TokenDigest);

    /// Grows early and in one step, where the map would else grow late and bit
    /// by bit, with readers that look into two tables meanwhile.
    fn make_room(&self) {}
}

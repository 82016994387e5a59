//! What the cache needs of a map beside what every store does.

use super::map::DigestMap;

/// A map that can be emptied beside its readers.
pub(super) trait Clear<V>: DigestMap<V> {
    /// Removes whatever was inserted before.
    fn clear(&self);
}

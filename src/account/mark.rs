//! Whether a token's use has already been noted in the current interval.

use std::sync::atomic::{AtomicU32, Ordering};

/// The interval in which a token's use was last noted; 0 for none.
///
/// It stands in the record itself, where the request that has just found the
/// record reads it at no cost: one relaxed load, and a store once an interval.
/// It is no part of the account's state: a copy starts unmarked, and all marks
/// are equal.
pub(crate) struct UseMark(AtomicU32);

impl UseMark {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Marks the token as used in `interval`; `true` if it was not yet.
    #[inline]
    pub(crate) fn set(&self, interval: u32) -> bool {
        // Two threads may both see it clear and both note the use: they are
        // coalesced where they are noted.
        let clear = self.0.load(Ordering::Relaxed) != interval;
        if clear {
            self.0.store(interval, Ordering::Relaxed);
        }
        clear
    }
}

impl Clone for UseMark {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl PartialEq for UseMark {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for UseMark {}

impl std::fmt::Debug for UseMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UseMark")
    }
}

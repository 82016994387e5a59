//! A map of extensions that need not grow.

use http::Extensions;

/// An empty map of extensions with room for seven.
///
/// The map that a first extension makes has room for three, which axum's router
/// puts in by itself; with an identity before them it is made twice, and that
/// costs more than a copy of this one.
#[derive(Clone, Debug)]
pub(super) struct Preallocated(Extensions);

impl Preallocated {
    pub(super) fn new() -> Self {
        let mut extensions = Extensions::new();
        // Room cannot be asked for: more than three types make it, and clearing
        // keeps it.
        extensions.insert(0_u8);
        extensions.insert(0_u16);
        extensions.insert(0_u32);
        extensions.insert(0_u64);
        extensions.clear();
        Self(extensions)
    }

    /// Makes room in extensions that have none yet.
    #[inline]
    pub(super) fn reserve(&self, extensions: &mut Extensions) {
        if extensions.is_empty() {
            *extensions = self.0.clone();
        }
    }
}

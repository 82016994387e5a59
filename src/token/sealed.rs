//! A token that can be shown again.

use std::fmt;

/// A token as the feature `reveal` has encrypted it. What the bytes mean is
/// known to that feature alone; a store keeps them as they are, in every build.
///
/// They are of no use without the host's key. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedToken(Box<Bytes>);

/// Behind a pointer of one word: millions of records stand in memory, and few
/// hosts keep tokens sealed.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Box<[u8]>);

impl SealedToken {
    /// Takes a sealed token back from where a store has kept it.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(Box::new(Bytes(bytes.into())))
    }

    /// The bytes that a store keeps.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedToken(..)")
    }
}

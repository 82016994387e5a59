//! A token that can be shown again.

use std::fmt;

/// A token as a [`Sealer`](crate::sealing::Sealer) has encrypted it. What the
/// bytes mean is known to that alone; a store keeps them as they are.
///
/// They are of no use without its key. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedToken(Box<Bytes>);

/// Behind a pointer of one word: millions of records stand in memory, and few
/// hosts keep tokens sealed.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Box<[u8]>);

impl SealedToken {
    /// The most bytes that a manager keeps of a token: an account has three of them
    /// in one record.
    pub const MAX_LENGTH: usize = 1024;

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

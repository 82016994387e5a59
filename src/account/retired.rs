//! What is left of a token after its end.

use crate::time::Timestamp;
use crate::token::{StoredDigest, TokenId};

/// How a token came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// A pending token gave way to one generated later.
    Superseded,
    /// A pending token was cancelled.
    Cancelled,
    /// A backup gave way to the former primary, as its user had agreed.
    Replaced,
    /// A backup was deleted.
    Deleted,
    /// A primary was given up for the backup.
    RolledBack,
    /// All tokens were revoked at once.
    Revoked,
    /// The user's access was revoked.
    AccessRevoked,
    /// The token's lifetime was over.
    Expired,
}

impl Ending {
    /// Whether the token could be used before it came to this end.
    pub(crate) const fn is_of_a_live_token(self) -> bool {
        !matches!(self, Self::Superseded | Self::Cancelled)
    }
}

/// What is kept of a token that is no more: enough to recognise it and to say
/// what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// The public name it had.
    pub id: TokenId,
    /// Its digest.
    pub digest: StoredDigest,
    /// When it ended; for a token that has [expired](Ending::Expired), when that
    /// was recorded.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

impl Retired {
    /// The token `id` ended at `at` in this way.
    #[must_use]
    pub const fn new(id: TokenId, digest: StoredDigest, at: Timestamp, ending: Ending) -> Self {
        Self { id, digest, at, ending }
    }
}

//! A token before its confirmation, and the confirmation itself.

use super::TokenRecord;
use crate::time::Timestamp;
use crate::token::{CodeDigest, TokenId};

/// A generated primary that is not active yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The token that waits; refused until it is confirmed.
    pub token: TokenRecord,
    /// Until when it can be confirmed at all, with whichever code.
    pub expires_at: Timestamp,
    /// The digest of the one code that activates it.
    pub code: CodeDigest,
    /// When that code was made: what its lifetime and the pause before the
    /// next one count from.
    pub code_made_at: Timestamp,
    /// From when on that code is dead.
    pub code_expires_at: Timestamp,
    /// The backup whose end the caller has agreed to.
    pub replacing_backup: Option<TokenId>,
}

impl Pending {
    /// `token` can be confirmed until `expires_at`, with a code of this digest
    /// that was made at `code_made_at` and is dead from `code_expires_at` on;
    /// no backup is to be replaced.
    #[must_use]
    pub const fn new(
        token: TokenRecord,
        expires_at: Timestamp,
        code: CodeDigest,
        code_made_at: Timestamp,
        code_expires_at: Timestamp,
    ) -> Self {
        Self { token, expires_at, code, code_made_at, code_expires_at, replacing_backup: None }
    }

    /// Whether its time has run out at `now`, so that no code can activate it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

/// The last confirmation that took effect, so that the same link opened again
/// is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// The token that it activated.
    pub id: TokenId,
    /// The digest of its code.
    pub code: CodeDigest,
}

impl Confirmed {
    /// The code activated the token `id`.
    #[must_use]
    pub const fn new(id: TokenId, code: CodeDigest) -> Self {
        Self { id, code }
    }
}

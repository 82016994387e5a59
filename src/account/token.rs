//! One token, as its account keeps it, and its last use.

use super::UseMark;
use crate::time::Timestamp;
use crate::token::{SealedToken, StoredDigest, TokenHint, TokenId};
use crate::user::ClientLabel;

/// What an account keeps of one token.
// In this order, so that what a request reads is one cache line.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// Its digest, and the key that made it.
    pub digest: StoredDigest,
    pub(crate) mark: UseMark,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// What a view may show of it.
    pub hint: TokenHint,
    /// When it was generated, or the time that its importer gave.
    pub made_at: Timestamp,
    /// When it became usable: confirmed, issued or imported. For a pending
    /// token the same as `made_at`.
    pub active_since: Timestamp,
    /// The token itself, encrypted, if the host has chosen to keep it; see
    /// [`sealing`](crate::sealing). A store keeps it as it is.
    pub sealed: Option<SealedToken>,
}

impl TokenRecord {
    /// The record of a token that was made and is active from `made_at` on,
    /// without an end, and is not kept sealed.
    #[must_use]
    pub const fn new(
        id: TokenId,
        digest: StoredDigest,
        hint: TokenHint,
        made_at: Timestamp,
    ) -> Self {
        Self {
            id,
            digest,
            hint,
            made_at,
            active_since: made_at,
            expires_at: None,
            sealed: None,
            mark: UseMark::new(),
        }
    }

    /// Whether its lifetime, if it has one, has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// When, and by which client, a token was last used, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastUse {
    /// The token.
    pub id: TokenId,
    /// When it was used, by the clock of the node that saw it; later uses
    /// within the flush interval may not show.
    pub at: Timestamp,
    /// What used it, if the host could tell.
    pub client: Option<ClientLabel>,
}

impl LastUse {
    /// The token `id` was used at `at`.
    #[must_use]
    pub const fn new(id: TokenId, at: Timestamp, client: Option<ClientLabel>) -> Self {
        Self { id, at, client }
    }
}

//! In place of `sealing.rs` where there is nothing to seal with.

use crate::account::TokenRecord;
use crate::identity::UserId;
use crate::token::{RandomError, RandomSource, SealedToken, Token, TokenId};

/// No key.
pub(super) struct Sealing;

impl Sealing {
    pub(super) const fn none() -> Self {
        Self
    }

    /// Nothing: no token is kept.
    pub(super) fn seal(
        &self,
        _: &Token,
        _: &UserId,
        _: TokenId,
        _: &dyn RandomSource,
    ) -> Result<Option<SealedToken>, RandomError> {
        Ok(None)
    }

    /// No.
    pub(super) fn can_open(&self, _: &TokenRecord) -> bool {
        false
    }
}

//! Keeping tokens sealed, where the host has a key for it.

use crate::account::TokenRecord;
use crate::identity::UserId;
use crate::reveal::SealingKey;
use crate::token::{RandomError, RandomSource, SealedToken, Token, TokenId};

/// The host's key, if it has one.
pub(super) struct Sealing(pub(super) Option<SealingKey>);

impl Sealing {
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// The token `id` of that user, sealed if there is a key.
    pub(super) fn seal(
        &self,
        token: &Token,
        user: &UserId,
        id: TokenId,
        random: &dyn RandomSource,
    ) -> Result<Option<SealedToken>, RandomError> {
        self.0.as_ref().map(|key| key.seal(token, user, id, random)).transpose()
    }

    /// Whether the token is kept sealed with the key that there is.
    pub(super) fn can_open(&self, token: &TokenRecord) -> bool {
        let sealed = token.sealed.as_ref();
        self.0.as_ref().zip(sealed).is_some_and(|(key, sealed)| key.has_sealed(sealed))
    }
}

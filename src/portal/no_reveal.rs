//! Without the feature `reveal` no token is kept.

use super::Shared;
use super::refusal::Refusal;
use crate::identity::UserId;
use crate::token::{Token, TokenId};

impl Shared {
    pub(super) async fn reveal(&self, user: &UserId, _: TokenId) -> Result<Token, Refusal> {
        self.limits.reveal.take(user).map_err(Refusal::limited)?;
        Err(Refusal::NOT_KEPT)
    }
}

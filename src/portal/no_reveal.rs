//! Without the feature `reveal` no token is kept.

use super::Shared;
use super::refusal::Refusal;
use crate::identity::UserId;
use crate::token::{Token, TokenId};

impl Shared {
    pub(super) async fn reveal(&self, _: &UserId, _: TokenId) -> Result<Token, Refusal> {
        Err(Refusal::NOT_KEPT)
    }
}

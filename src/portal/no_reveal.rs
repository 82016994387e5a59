//! Without the feature `reveal` no token is kept.

use super::Shared;
use crate::identity::UserId;
use crate::manage::Problem;
use crate::token::{Token, TokenId};

impl Shared {
    pub(super) async fn reveal(&self, user: &UserId, _: TokenId) -> Result<Token, Problem> {
        self.limits.reveal.take(user).map_err(Problem::limited)?;
        Err(Problem::NOT_KEPT)
    }
}

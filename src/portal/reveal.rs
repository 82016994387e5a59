//! Showing a token once more.

use super::Shared;
use crate::identity::{Actor, UserId};
use crate::manage::{Problem, RevealError};
use crate::token::{Token, TokenId};

impl Shared {
    /// The token itself, where the host keeps tokens sealed. The history keeps
    /// that it was shown.
    pub(super) async fn reveal(&self, user: &UserId, id: TokenId) -> Result<Token, Problem> {
        self.limits.reveal.take(user).map_err(Problem::limited)?;
        match self.manager.reveal(&Actor::User, user, id).await {
            Ok(token) => Ok(token),
            Err(RevealError::Manage(error)) => Err(error.into()),
            Err(_) => Err(Problem::NOT_KEPT),
        }
    }
}

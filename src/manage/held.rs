//! What may be told to whoever holds a token.

use super::end::Presented;
use super::{ManageError, TokenManager};
use crate::account::Slot;
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::TokenId;
use crate::user::UserId;

/// A token as whoever holds it may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldToken {
    /// Whose it is.
    pub user: UserId,
    /// Its public name.
    pub token: TokenId,
    /// The slot that it is in.
    pub slot: Slot,
    /// The methods that its user may perform.
    pub methods: MethodSet,
    /// Whether its user's access is suspended, so that every request with it is
    /// refused.
    pub suspended: bool,
    /// When it was generated, or the time that its importer gave.
    pub made_at: Timestamp,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as uses are written to the store.
    pub last_used_at: Option<Timestamp>,
}

impl TokenManager {
    /// What the token that is presented is, and whose. It changes nothing, and counts
    /// as no use of the token.
    ///
    /// `None` if no request could pass with it, suspension aside: it is unknown, has
    /// ended, has expired, or waits for its confirmation.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if it could not be found out.
    pub async fn held_token(&self, token: &str) -> Result<Option<HeldToken>, ManageError> {
        let presented = self.inner.presented(token).await?;
        let Some(Presented { account, id, slot: Some(slot), .. }) = presented else {
            return Ok(None);
        };
        let view = match self.view(account.user()).await {
            Err(error) if error.refusal().is_some() => return Ok(None),
            view => view?,
        };
        let token = [view.primary, view.backup].into_iter().flatten().find(|token| token.id == id);
        Ok(token.map(|token| HeldToken {
            user: view.user,
            token: token.id,
            slot,
            methods: view.methods,
            suspended: account.suspended_since().is_some(),
            made_at: token.made_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }))
    }
}

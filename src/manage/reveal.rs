//! Showing a token once more.

use std::sync::Arc;

use super::sealing::Sealing;
use super::{Inner, ManageError, TokenManager, TokenManagerBuilder};
use crate::account::{Account, TokenRecord};
use crate::identity::{Actor, UserId};
use crate::reveal::{OpenError, SealingKey, SealingKeyId};
use crate::rotation::Command;
use crate::store::StoreError;
use crate::token::{Token, TokenId};

impl TokenManagerBuilder {
    /// Keeps every token from now on sealed with this key, so that it can be
    /// [revealed](TokenManager::reveal). There is one key: a later one takes the place
    /// of an earlier one, and what that has sealed is not revealed. Default: none is
    /// kept.
    pub fn sealing_key(mut self, key: SealingKey) -> Self {
        self.0.sealing = Sealing(Some(key));
        self
    }
}

impl TokenManager {
    /// The token `id` itself: the primary, the backup or the pending token of a
    /// user with API access. `revealable` in a [view](Self::view) says for which
    /// of them a key is at hand.
    ///
    /// Each call is an [event](crate::audit::Event::TokenRevealed) in the
    /// account's history with its actor, and raises the account's revision. The
    /// store has kept it before the token is returned; if it cannot, no token is.
    /// The user is told of it by a [notice](crate::notify::Notifier::notice), as of
    /// every change that somebody else with their session may have made.
    ///
    /// # Errors
    ///
    /// [`NoAccess`](crate::rotation::RotationError::NoAccess),
    /// [`Stale`](crate::rotation::RotationError::Stale) if the token is retired
    /// or unknown; else [`RevealError`] says why it cannot be shown.
    pub async fn reveal(
        &self,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, RevealError> {
        let (actor, user) = (actor.clone(), user.clone());
        self.run(|inner| async move { inner.reveal(&actor, &user, id).await }).await
    }
}

fn holder(account: &Account, id: TokenId) -> Result<&TokenRecord, RevealError> {
    account.token(id).ok_or(RevealError::Unreadable)
}

impl Inner {
    async fn reveal(
        self: &Arc<Self>,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, RevealError> {
        let key = self.sealing.0.as_ref().ok_or(RevealError::NoKey)?;
        let account = self.store.load(user).await?.account;
        // What cannot be shown shall not be in the history as shown. Whether it
        // may be shown is the rules' decision.
        let record = account.as_deref().and_then(|account| account.token(id));
        let opened = record.map(|record| self.open(key, user, record)).transpose()?;
        let changed = self.change(actor, user, &Command::Reveal { id }, None).await?;
        match opened {
            Some(token) => Ok(token),
            // Made between the two.
            None => self.open(key, user, holder(&changed.account, id)?),
        }
    }

    fn open(
        &self,
        key: &SealingKey,
        user: &UserId,
        record: &TokenRecord,
    ) -> Result<Token, RevealError> {
        let sealed = record.sealed.as_ref().ok_or(RevealError::NotSealed)?;
        let token = key.open(sealed, user, record.id)?;
        // Whoever can write to the store must not choose what a user is shown.
        let is_its_own = self.scheme.digests_of(&token).all().any(|it| it == record.digest);
        if is_its_own { Ok(token) } else { Err(RevealError::Unreadable) }
    }
}

/// Why a token is not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevealError {
    /// It may not be shown, or the store could not keep that it was.
    #[error(transparent)]
    Manage(#[from] ManageError),
    /// The manager has no sealing key.
    #[error("there is no key to open sealed tokens with")]
    NoKey,
    /// The token is not kept: it is older than the first key, or was imported
    /// by its digest.
    #[error("the token was not kept, so it cannot be shown again")]
    NotSealed,
    /// The token is sealed with another key than the present one.
    #[error("the token is sealed with key {id}, which is not the present one")]
    OtherKey {
        /// The key that would open it.
        id: SealingKeyId,
    },
    /// What is kept cannot be opened in this place, or is not this token: it was
    /// damaged, or the key's id belongs to another key.
    #[error("what is kept of the token cannot be opened")]
    Unreadable,
}

impl From<StoreError> for RevealError {
    fn from(error: StoreError) -> Self {
        Self::Manage(error.into())
    }
}

impl From<OpenError> for RevealError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OtherKey(id) => Self::OtherKey { id },
            OpenError::Unreadable => Self::Unreadable,
        }
    }
}

//! Keeping tokens sealed, where the host has a sealer, and showing them once more.

use std::sync::Arc;

use super::{Inner, ManageError, TokenManager};
use crate::account::{Account, Revision, TokenRecord};
use crate::rotation::{Command, NewToken};
use crate::sealing::{Sealer, SealerError};
use crate::token::{SealedToken, Token, TokenId};
use crate::user::{Actor, UserId};

impl TokenManager {
    /// The token `id` itself: the primary, the backup or the pending token of a
    /// user with API access. `revealable` in a [view](Self::view) says for which
    /// of them it can be done.
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
    /// or unknown; [`ManageError::NoSealer`], [`ManageError::NotSealed`] and
    /// [`ManageError::Sealer`] say why it cannot be shown.
    pub async fn reveal(
        &self,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, ManageError> {
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move { inner.reveal(expected, &actor, &user, id).await }).await
    }
}

fn holder(account: &Account, id: TokenId) -> Result<&TokenRecord, ManageError> {
    account.token(id).ok_or(ManageError::Sealer(SealerError::Unreadable))
}

impl Inner {
    /// Seals the token as the next one of that account, if there is a sealer and
    /// the token itself is known.
    pub(super) async fn seal(
        &self,
        new: &mut NewToken,
        token: Option<&Token>,
        before: &Account,
    ) -> Result<(), SealerError> {
        let (Some(sealer), Some(token)) = (&self.sealer, token) else { return Ok(()) };
        let id = TokenId::from_u64(before.next_token());
        let sealed = sealer.seal(token, before.user(), id).await?;
        if sealed.as_bytes().len() > SealedToken::MAX_LENGTH {
            return Err(SealerError::TooLong);
        }
        new.sealed = Some(sealed);
        Ok(())
    }

    /// Whether the token can be shown again, as far as can be told without asking.
    pub(super) fn is_revealable(&self, token: &TokenRecord) -> bool {
        let sealed = token.sealed.as_ref();
        self.sealer.as_ref().zip(sealed).is_some_and(|(sealer, sealed)| sealer.can_open(sealed))
    }

    async fn reveal(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, ManageError> {
        let sealer = self.sealer.as_deref().ok_or(ManageError::NoSealer)?;
        let account = self.store.load(user).await?.account;
        // What cannot be shown shall not be in the history as shown. Whether it
        // may be shown is the rules' decision.
        let record = account.as_deref().and_then(|account| account.token(id));
        let opened = match record {
            Some(record) => Some(self.open(sealer, user, record).await?),
            None => None,
        };
        let changed =
            self.change(expected, actor, user, &Command::Reveal { id }, None, None).await?;
        match opened {
            Some(token) => Ok(token),
            // Made between the two.
            None => self.open(sealer, user, holder(&changed.account, id)?).await,
        }
    }

    async fn open(
        &self,
        sealer: &dyn Sealer,
        user: &UserId,
        record: &TokenRecord,
    ) -> Result<Token, ManageError> {
        let sealed = record.sealed.as_ref().ok_or(ManageError::NotSealed)?;
        let token = sealer.open(sealed, user, record.id).await?;
        // Whoever can write to the store must not choose what a user is shown.
        let is_its_own = self.scheme.digests_of(&token).all().any(|it| it == record.digest);
        if is_its_own { Ok(token) } else { Err(SealerError::Unreadable.into()) }
    }
}

//! Changes that make a secret: tokens and confirmation codes.

use std::sync::Arc;

use super::change::Changed;
use super::follow::NewCode;
use super::{Inner, ManageError, PendingView, TokenManager};
use crate::account::Revision;
use crate::notify::NotifyError;
use crate::rotation::{Command, NewToken, RotationError};
use crate::time::Timestamp;
use crate::token::{ConfirmationCode, Token, TokenId};
use crate::user::{Actor, UserId};

/// How often a token is generated before the generator counts as broken.
pub(super) const GENERATIONS: usize = 4;

impl TokenManager {
    /// Generates a new primary, which is not active until it is confirmed: an
    /// older pending token gives way to it, the live ones go on working.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, Delivery, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let rotator = Actor::program("rotator")?;
    /// # let robot = UserId::new("robot")?;
    /// # manager.grant(&rotator, &robot, MethodSet::new(["GET"])?).await?;
    /// let manager = manager.with_confirmation(Confirmation::ByCaller);
    /// let generated = manager.generate_primary(&rotator, &robot).await?;
    /// // Store `generated.token` where the robot takes it from, then:
    /// if let Delivery::ToCaller(code) = &generated.delivery {
    ///     manager.confirm(&rotator, &robot, code).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoAccess`](RotationError::NoAccess);
    /// [`BackupExists`](RotationError::BackupExists), for which there is
    /// [`generate_primary_replacing`](Self::generate_primary_replacing);
    /// [`ManageError`] if it could not be done. A code that could not be sent is
    /// no error: the token is there, and [`GeneratedPrimary::delivery`] says so.
    pub async fn generate_primary(
        &self,
        actor: &Actor,
        user: &UserId,
    ) -> Result<GeneratedPrimary, ManageError> {
        self.generate(actor, user, None).await
    }

    /// Generates a new primary beside a backup: the caller agrees that the
    /// confirmation ends the backup `backup`.
    ///
    /// # Errors
    ///
    /// As of [`generate_primary`](Self::generate_primary), and
    /// [`Stale`](RotationError::Stale) if `backup` is not the backup.
    pub async fn generate_primary_replacing(
        &self,
        actor: &Actor,
        user: &UserId,
        backup: TokenId,
    ) -> Result<GeneratedPrimary, ManageError> {
        self.generate(actor, user, Some(backup)).await
    }

    async fn generate(
        &self,
        actor: &Actor,
        user: &UserId,
        replacing_backup: Option<TokenId>,
    ) -> Result<GeneratedPrimary, ManageError> {
        let new = self.new_code()?;
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move {
            let code = new.code.digest(&user);
            let command = |token| Command::GeneratePrimary { token, code, replacing_backup };
            let made = inner.change_with_token(expected, &actor, &user, command, Some(&new));
            let (token, changed) = made.await?;
            let (pending, delivery) = inner.sent(changed, new.code);
            let PendingView { id, expires_at, code_expires_at, .. } = pending;
            Ok(GeneratedPrimary { token, id, expires_at, code_expires_at, delivery })
        })
        .await
    }

    /// Makes a new code for the pending token `id` and sends it; the old one is
    /// dead, the pending token expires when it would have. Returns the pending
    /// token as it is then, and what became of the code.
    ///
    /// # Errors
    ///
    /// [`TooSoon`](RotationError::TooSoon) within the resend interval of the
    /// last code, [`ExpiredCode`](RotationError::ExpiredCode) if the pending
    /// token has expired, [`Stale`](RotationError::Stale) if `id` is not
    /// pending; [`ManageError`] if it could not be done.
    pub async fn resend_confirmation(
        &self,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<(PendingView, Delivery), ManageError> {
        let new = self.new_code()?;
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move {
            let command = Command::ResendConfirmation { id, code: new.code.digest(&user) };
            let changed = inner.change(expected, &actor, &user, &command, None, Some(&new)).await?;
            Ok(inner.sent(changed, new.code))
        })
        .await
    }

    /// Issues the first token of a user who has none that works, active at once.
    /// If it is not the user who asks, they are told of it by a
    /// [notice](crate::notify::Notifier::notice).
    ///
    /// # Errors
    ///
    /// [`NoAccess`](RotationError::NoAccess),
    /// [`PrimaryExists`](RotationError::PrimaryExists); [`ManageError`] if it
    /// could not be done.
    pub async fn issue(&self, actor: &Actor, user: &UserId) -> Result<IssuedToken, ManageError> {
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move {
            let command = |token| Command::Issue { token };
            let made = inner.change_with_token(expected, &actor, &user, command, None).await?;
            let (token, changed) = made;
            Ok(IssuedToken::new(token, changed))
        })
        .await
    }

    /// A new code, and who sends it.
    fn new_code(&self) -> Result<NewCode, ManageError> {
        let Inner { notifier, random, .. } = &*self.inner;
        let notifier = match self.confirmation {
            Confirmation::ByCaller => None,
            Confirmation::ByNotifier => Some(notifier.clone().ok_or(ManageError::NoNotifier)?),
        };
        let code = ConfirmationCode::generate(&**random).map_err(ManageError::Random)?;
        Ok(NewCode { code, notifier, client: self.client.clone() })
    }
}

/// How the code that activates a generated token reaches its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confirmation {
    /// The [`Notifier`](crate::notify::Notifier) sends it, so that only who reads
    /// the user's mail can activate the token.
    #[default]
    ByNotifier,
    /// It is returned to the caller beside the token, and nothing is sent: for
    /// machine accounts, whose secret rotator cannot read mail. It confirms in
    /// a second call, after it has stored the token.
    ByCaller,
}

/// What became of a confirmation code.
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub enum Delivery {
    /// The notifier has taken it.
    Sent,
    /// The notifier has failed. The pending token waits; another code can be
    /// sent for it, or the token be generated anew.
    NotSent(NotifyError),
    /// Here it is: nothing was sent.
    ToCaller(ConfirmationCode),
}

/// A new primary that waits for its confirmation. `Debug` shows no secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratedPrimary {
    /// The token: shown here and never again.
    pub token: Token,
    /// Its public name.
    pub id: TokenId,
    /// From when on no code can activate it, by the store's clock.
    pub expires_at: Timestamp,
    /// From when on its present code is dead, by the store's clock.
    pub code_expires_at: Timestamp,
    /// What became of that code.
    pub delivery: Delivery,
}

/// A first token. `Debug` does not show it.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token: shown here and never again.
    pub token: Token,
    /// Its public name.
    pub id: TokenId,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
}

impl IssuedToken {
    fn new(token: Token, changed: Changed) -> Self {
        let primary = changed.account.primary.expect("the rules put an issued token there");
        Self { token, id: primary.id, expires_at: primary.expires_at }
    }
}

impl Inner {
    /// The token that waits for this code, and what became of the code.
    fn sent(&self, changed: Changed, code: ConfirmationCode) -> (PendingView, Delivery) {
        let Changed { account, delivery, .. } = changed;
        let pending = account.pending().expect("the rules have just given it this code");
        let backup = account.backup().map(|backup| backup.id);
        (self.seen_pending(pending, backup), delivery.unwrap_or(Delivery::ToCaller(code)))
    }

    /// Makes a change with a token that no account names, under whichever key.
    async fn change_with_token(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        user: &UserId,
        command: impl Fn(NewToken) -> Command + Send + Sync,
        code: Option<&NewCode>,
    ) -> Result<(Token, Changed), ManageError> {
        for _ in 0..GENERATIONS {
            let token = self.scheme.generate(&*self.random).map_err(ManageError::Random)?;
            let digests = self.scheme.digests_of(&token);
            if self.named_by(&digests).await?.is_some() {
                continue;
            }
            let new = NewToken::new(digests.stored, self.scheme.hint(&token));
            let command = command(new);
            match self.change(expected, actor, user, &command, Some(&token), code).await {
                Err(ManageError::Refused(RotationError::DigestInUse)) => {}
                changed => return Ok((token, changed?)),
            }
        }
        Err(ManageError::RepeatedToken)
    }
}

//! The changes that pages and JSON operations make, once.
//!
//! A change that names its tokens and has happened before counts as done; one
//! that is about tokens which are no longer there is stale.

use super::Shared;
use super::session::PortalUser;
use crate::account::{Lifetimes, Revision};
use crate::manage::{
    AccountView, Delivery, GeneratedPrimary, Guard, ManageError, PendingView, Problem, TokenManager,
};
use crate::method::MethodSet;
use crate::rotation::{Command, RotationError};
use crate::token::{ConfirmationCode, Token, TokenId};
use crate::user::{Actor, UserId};

/// The tokens that a user was shown when they decided.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) primary: Option<TokenId>,
    pub(super) backup: Option<TokenId>,
    pub(super) pending: Option<TokenId>,
}

impl Shown {
    pub(super) fn of(view: &AccountView) -> Self {
        Self {
            primary: view.primary.as_ref().map(|token| token.id),
            backup: view.backup.as_ref().map(|token| token.id),
            pending: view.pending.as_ref().map(|pending| pending.id),
        }
    }
}

/// How often something else about an account may change between a look at its
/// tokens and a change of them.
const ATTEMPTS: usize = 8;

impl Shared {
    /// A new primary beside `primary`, which must still be it; its confirmation
    /// will end `replacing_backup`. Of two at once the later wins.
    pub(super) async fn generate(
        &self,
        owner: &PortalUser,
        primary: Option<TokenId>,
        replacing_backup: Option<TokenId>,
    ) -> Result<GeneratedPrimary, Problem> {
        let user = owner.user();
        let mut shown = self.generated_beside(user, primary).await?;
        self.limits.generate.take(user).map_err(Problem::limited)?;
        for _ in 0..ATTEMPTS {
            let manager = self.manager_for(owner).at_revision(shown);
            let generated = match replacing_backup {
                Some(id) => manager.generate_primary_replacing(&Actor::User, user, id).await,
                None => manager.generate_primary(&Actor::User, user).await,
            };
            match generated {
                Err(error) if error.refusal() == Some(RotationError::Stale) => {
                    let now = self.generated_beside(user, primary).await?;
                    if now == shown {
                        return Err(Problem::STALE);
                    }
                    shown = now;
                }
                generated => return Ok(generated?),
            }
        }
        Err(Problem::STALE)
    }

    /// The revision at which `primary` is the user's primary, or none is.
    async fn generated_beside(
        &self,
        user: &UserId,
        primary: Option<TokenId>,
    ) -> Result<Revision, Problem> {
        let view = self.manager.view(user).await?;
        if Shown::of(&view).primary == primary { Ok(view.revision) } else { Err(Problem::STALE) }
    }

    pub(super) async fn resend(
        &self,
        owner: &PortalUser,
        id: TokenId,
    ) -> Result<(PendingView, Delivery), Problem> {
        let user = owner.user();
        self.limits.resend.take(user).map_err(Problem::limited)?;
        Ok(self.manager_for(owner).resend_confirmation(&Actor::User, user, id).await?)
    }

    /// The manager that tells by which client the owner asks, where that is known.
    fn manager_for(&self, owner: &PortalUser) -> TokenManager {
        let client = owner.client().cloned();
        client.map_or_else(|| self.manager.clone(), |client| self.manager.from_client(client))
    }

    /// Activates the token of this code. Wrong codes are counted, and so is one
    /// whose sender hangs up before it is known for wrong or right.
    pub(super) async fn confirm(
        &self,
        user: &UserId,
        code: Result<ConfirmationCode, Problem>,
    ) -> Result<(), Problem> {
        self.limits.verify.take(user).map_err(Problem::limited)?;
        let confirmed = match code {
            Ok(code) => self.manager.confirm(&Actor::User, user, &code).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        };
        let is_wrong = |refusal: &Problem| refusal.code == Problem::UNKNOWN_CODE.code;
        if !confirmed.as_ref().is_err_and(is_wrong) {
            self.limits.verify.give_back(user);
        }
        confirmed.map(drop)
    }

    pub(super) async fn cancel(&self, user: &UserId, id: TokenId) -> Result<(), Problem> {
        done(self.manager.cancel_pending(&Actor::User, user, id).await)
    }

    pub(super) async fn delete_backup(
        &self,
        user: &UserId,
        id: TokenId,
        guard: Guard,
    ) -> Result<(), Problem> {
        done(self.manager.delete_backup(&Actor::User, user, id, guard).await)
    }

    pub(super) async fn roll_back(
        &self,
        user: &UserId,
        give_up: TokenId,
        guard: Guard,
    ) -> Result<(), Problem> {
        done(self.manager.roll_back(&Actor::User, user, give_up, guard).await)
    }

    /// Ends every token of the user, as long as they are those that were shown.
    pub(super) async fn revoke_all(
        &self,
        actor: &Actor,
        user: &UserId,
        shown: Shown,
    ) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS {
            let view = self.manager.view(user).await?;
            let now = Shown::of(&view);
            if now == Shown::default() {
                return Ok(());
            }
            if now != shown {
                return Err(Problem::STALE);
            }
            match self.manager.at_revision(view.revision).revoke_all(actor, user).await {
                Err(error) if error.refusal() == Some(RotationError::Stale) => {}
                revoked => return done(revoked),
            }
        }
        Err(Problem::STALE)
    }

    /// Grants exactly these methods and lifetimes, as long as the account is the one
    /// that was shown; no method ends the user's access.
    pub(super) async fn grant(
        &self,
        actor: &Actor,
        user: &UserId,
        methods: MethodSet,
        lifetimes: Option<Lifetimes>,
        shown: Option<Revision>,
    ) -> Result<(), Problem> {
        let manager = self.manager.at_revision(shown.unwrap_or(Revision::ABSENT));
        let granted = match lifetimes {
            Some(lifetimes) => {
                manager.grant_with_lifetimes(actor, user, methods.clone(), lifetimes).await
            }
            None => manager.grant(actor, user, methods.clone()).await,
        };
        unless_stale(granted, async {
            // The same form may have been sent twice.
            let command = Command::Grant { methods, lifetimes };
            let again = self.manager.preview(user, command).await;
            Ok(again.is_err_and(|error| error.refusal() == Some(RotationError::AlreadyDone)))
        })
        .await
    }

    /// Suspends the user's access, as long as the account is the one that was shown.
    pub(super) async fn suspend(
        &self,
        actor: &Actor,
        user: &UserId,
        shown: Revision,
    ) -> Result<(), Problem> {
        let suspended = self.manager.at_revision(shown).suspend(actor, user).await;
        unless_stale(suspended, async { Ok(self.is_suspended(user).await? == Some(true)) }).await
    }

    /// Resumes the user's access, as long as the account is the one that was shown.
    pub(super) async fn resume(
        &self,
        actor: &Actor,
        user: &UserId,
        shown: Revision,
    ) -> Result<(), Problem> {
        let resumed = self.manager.at_revision(shown).resume(actor, user).await;
        unless_stale(resumed, async { Ok(self.is_suspended(user).await? == Some(false)) }).await
    }

    /// Whether the user's access is suspended; `None` if there is no account.
    async fn is_suspended(&self, user: &UserId) -> Result<Option<bool>, Problem> {
        let account = self.manager.summary(user).await?;
        Ok(account.map(|account| account.suspended_since.is_some()))
    }

    /// The token itself, where the host keeps tokens sealed. The history keeps
    /// that it was shown.
    pub(super) async fn reveal(&self, user: &UserId, id: TokenId) -> Result<Token, Problem> {
        self.limits.reveal.take(user).map_err(Problem::limited)?;
        Ok(self.manager.reveal(&Actor::User, user, id).await?)
    }

    /// Erases the user, as long as the account is the one that was shown.
    pub(super) async fn erase(
        &self,
        actor: &Actor,
        user: &UserId,
        shown: Revision,
    ) -> Result<(), Problem> {
        done(self.manager.at_revision(shown).erase(actor, user).await)
    }
}

/// A change of the account that was shown, made now or before: one that is stale may
/// have been asked for twice.
async fn unless_stale<T>(
    changed: Result<T, ManageError>,
    is_so: impl Future<Output = Result<bool, Problem>>,
) -> Result<(), Problem> {
    match done(changed) {
        Err(refusal) if refusal.code == Problem::STALE.code && is_so.await? => Ok(()),
        changed => changed,
    }
}

/// A change that was made, now or before.
fn done<T>(changed: Result<T, ManageError>) -> Result<(), Problem> {
    match changed {
        Err(error) if error.refusal() != Some(RotationError::AlreadyDone) => Err(error.into()),
        _ => Ok(()),
    }
}

//! What an administrator does about a user's access beside granting methods.

use super::{ManageError, TokenManager};
use crate::account::Lifetimes;
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::rotation::Command;
use crate::user::{Actor, UserId};

impl TokenManager {
    /// As [`grant`](Self::grant), and lets the user's tokens live no longer than
    /// `lifetimes` say from now on. A live token that would live longer ends so long
    /// from now; none is prolonged. No method at all is
    /// [`revoke_access`](Self::revoke_access), with which the lifetimes go.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// use tower_api_token::account::Lifetimes;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = TokenManager::builder(MemoryStore::new());
    /// # let manager = builder.confirmation(Confirmation::ByCaller).build().await?;
    /// # let (root, guest) = (Actor::administrator("root")?, UserId::new("guest")?);
    /// let week = Lifetimes { token: Some(Duration::from_secs(7 * 86_400)), backup: None };
    /// manager.grant_with_lifetimes(&root, &guest, MethodSet::new(["GET"])?, week).await?;
    /// manager.issue(&root, &guest).await?;
    /// assert!(manager.view(&guest).await?.primary.unwrap().expires_at.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LifetimeTooLong`](crate::rotation::RotationError::LifetimeTooLong) if one is
    /// longer than the policy's,
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if this is what
    /// the user has; [`ManageError`] if it could not be done.
    pub async fn grant_with_lifetimes(
        &self,
        actor: &Actor,
        user: &UserId,
        methods: MethodSet,
        lifetimes: Lifetimes,
    ) -> Result<AuditEntry, ManageError> {
        let command = Command::Grant { methods, lifetimes: Some(lifetimes) };
        self.change_without_secret(actor, user, command).await
    }

    /// Suspends the user's access: every request with one of their tokens is refused,
    /// as `access-suspended`, until it is [resumed](Self::resume). Methods and tokens
    /// stay as they are, and lifetimes go on. The user may look at tokens and end
    /// them, and neither make nor confirm nor reveal any.
    ///
    /// # Errors
    ///
    /// [`NoAccess`](crate::rotation::RotationError::NoAccess) if the user has none,
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if it is
    /// suspended; [`ManageError`] if it could not be done.
    pub async fn suspend(&self, actor: &Actor, user: &UserId) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::Suspend).await
    }

    /// Resumes the user's access: the tokens work again that have not ended meanwhile.
    /// To revoke the access and to grant it anew does not lift a suspension; to
    /// [erase](Self::erase) the account does, and to grant access anew after that.
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if it is not
    /// suspended; [`ManageError`] if it could not be done.
    pub async fn resume(&self, actor: &Actor, user: &UserId) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::Resume).await
    }
}

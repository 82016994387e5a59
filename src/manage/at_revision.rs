//! Changes that hold only for the account as it was seen.

use std::sync::Arc;

use super::{Inner, ManageError, TokenManager};
use crate::account::Revision;
use crate::audit::{AccountErased, AuditEntry};
use crate::method::MethodSet;
use crate::rotation::Command;
use crate::user::{Actor, UserId};

impl TokenManager {
    /// Changes that are made only if the account still has this revision when
    /// they are written: for a decision about what was shown, which nobody must
    /// have changed meanwhile. [`Revision::ABSENT`] stands for a user without an
    /// account.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::rotation::RotationError;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let root = Actor::administrator("root")?;
    /// # let alice = UserId::new("alice")?;
    /// # manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    /// let shown = manager.view(&alice).await?.revision;
    /// // Another administrator is faster.
    /// manager.grant(&root, &alice, MethodSet::new(["GET", "POST"])?).await?;
    ///
    /// let methods = MethodSet::new(["GET", "DELETE"])?;
    /// let refused = manager.at_revision(shown).grant(&root, &alice, methods).await;
    /// assert_eq!(refused.unwrap_err().refusal(), Some(RotationError::Stale));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn at_revision(&self, revision: Revision) -> AtRevision<'_> {
        AtRevision { manager: self, revision }
    }
}

/// Changes of an account that still has a certain revision; see
/// [`TokenManager::at_revision`].
#[derive(Clone, Copy, Debug)]
pub struct AtRevision<'a> {
    manager: &'a TokenManager,
    revision: Revision,
}

impl AtRevision<'_> {
    /// As [`TokenManager::grant`].
    ///
    /// # Errors
    ///
    /// [`Stale`](crate::rotation::RotationError::Stale) if the account has
    /// another revision; else as that.
    pub async fn grant(
        self,
        actor: &Actor,
        user: &UserId,
        methods: MethodSet,
    ) -> Result<AuditEntry, ManageError> {
        self.simply(actor, user, Command::Grant { methods }).await
    }

    /// As [`TokenManager::revoke_access`].
    ///
    /// # Errors
    ///
    /// [`Stale`](crate::rotation::RotationError::Stale) if the account has
    /// another revision; else as that.
    pub async fn revoke_access(
        self,
        actor: &Actor,
        user: &UserId,
    ) -> Result<AuditEntry, ManageError> {
        self.simply(actor, user, Command::RevokeAccess).await
    }

    /// As [`TokenManager::revoke_all`].
    ///
    /// # Errors
    ///
    /// [`Stale`](crate::rotation::RotationError::Stale) if the account has
    /// another revision; else as that.
    pub async fn revoke_all(self, actor: &Actor, user: &UserId) -> Result<AuditEntry, ManageError> {
        self.simply(actor, user, Command::RevokeAll).await
    }

    /// As [`TokenManager::erase`].
    ///
    /// # Errors
    ///
    /// [`Stale`](crate::rotation::RotationError::Stale) if the account has
    /// another revision; else as that.
    pub async fn erase(self, actor: &Actor, user: &UserId) -> Result<AccountErased, ManageError> {
        self.manager.erase_at(Some(self.revision), actor, user).await
    }

    async fn simply(
        self,
        actor: &Actor,
        user: &UserId,
        command: Command,
    ) -> Result<AuditEntry, ManageError> {
        let (actor, user, revision) = (actor.clone(), user.clone(), self.revision);
        let change = |inner: Arc<Inner>| async move {
            Ok(inner.change_at(revision, &actor, &user, &command).await?.entry)
        };
        self.manager.run(change).await
    }
}

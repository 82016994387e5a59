//! The end of an account.

use std::sync::Arc;

use super::change::{ATTEMPTS, has_revision};
use super::follow::{Erasing, Follows};
use super::{Inner, ManageError, TokenManager};
use crate::account::Revision;
use crate::audit::AccountErased;
use crate::rotation::RotationError;
use crate::store::{Erasure, PageSize, StoreError, StoreErrorKind};
use crate::user::{Actor, UserId};

impl TokenManager {
    /// Erases the user's account, for good: its methods and tokens, its history
    /// and its uses. From then on there is no such user, until somebody grants
    /// them methods again.
    ///
    /// Every token that the account had is unknown at once. Its digests stay
    /// taken for 90 days at least, without a name, so that none of them can be
    /// imported. A new account of that name begins its revisions and token ids
    /// above those of the erased one, so no form, code or id of before ever
    /// meets the new account.
    ///
    /// The log and the [`EventSink`](crate::audit::EventSink) are told of it by an
    /// [`AccountErased`], which names no user. The user gets no notice: the
    /// host, which knows their address, may write to them. What logs, audit
    /// files, backups and mailboxes hold of before is not touched.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    /// manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    /// manager.erase(&root, &alice).await?;
    /// assert!(manager.summary(&alice).await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](RotationError::AlreadyDone) if the user has no account:
    /// nobody can tell one that was erased from one that never was.
    /// [`ManageError`] if it could not be done.
    pub async fn erase(&self, actor: &Actor, user: &UserId) -> Result<AccountErased, ManageError> {
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move { inner.erase(expected, &actor, &user).await }).await
    }
}

impl Inner {
    async fn erase(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        user: &UserId,
    ) -> Result<AccountErased, ManageError> {
        for _ in 0..ATTEMPTS {
            let loaded = self.store.load(user).await?;
            let account = loaded.account.ok_or(RotationError::AlreadyDone)?;
            has_revision(Some(account.revision()), expected)?;
            let erased = AccountErased::new(user, loaded.now, actor);
            let erasure = Erasure::new(Arc::unwrap_or_clone(account), loaded.now, actor.clone());
            if self.write_erasure(erasure, &erased).await? {
                return Ok(erased);
            }
        }
        Err(ManageError::Contended)
    }

    /// Writes and tells of it; `false` if others were faster.
    async fn write_erasure(
        self: &Arc<Self>,
        erasure: Erasure,
        erased: &AccountErased,
    ) -> Result<bool, StoreError> {
        let erasing = self.follows_erasure(&erasure, erased.clone());
        if let Err(error) = self.store.erase(erasure).await {
            match error.kind() {
                StoreErrorKind::Conflict => return Ok(false),
                kind if !kind.may_have_written() => return Err(error),
                _ if self.is_erased(&erasing).await.unwrap_or(false) => {}
                _ => {
                    self.await_outcome(vec![Follows::Erasure(erasing)], &error);
                    return Err(error);
                }
            }
        }
        self.tell(Follows::Erasure(erasing)).await;
        Ok(true)
    }

    /// Whether the account is erased. One that is not has a history up to its last
    /// revision of then, whatever has become of it since.
    pub(super) async fn is_erased(&self, erasing: &Erasing) -> Result<bool, StoreError> {
        let before = Some(erasing.last.next());
        let history = self.store.history(&erasing.user, before, PageSize::clamped(1)).await?;
        Ok(history.items.is_empty())
    }
}

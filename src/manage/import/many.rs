//! Imports by the thousand.

use std::sync::Arc;

use super::super::change::ATTEMPTS;
use super::batch::Batch;
use super::{ImportedToken, Inner, ManageError, TokenManager};
use crate::account::Slot;
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::rotation::{Command, NewToken};
use crate::store::StoreErrorKind;
use crate::time::Timestamp;
use crate::user::{Actor, UserId};

/// One of many tokens to import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImportItem {
    /// Whose token it is.
    pub user: UserId,
    /// The slot it goes into.
    pub slot: Slot,
    /// The token.
    pub token: ImportedToken,
    /// When it was made, if known.
    pub made_at: Option<Timestamp>,
    /// The methods to grant to the user with it; `None` leaves them alone.
    pub methods: Option<MethodSet>,
}

impl ImportItem {
    /// A token made at a time unknown, to be put into that slot of a user who
    /// has API access.
    #[must_use]
    pub const fn new(user: UserId, slot: Slot, token: ImportedToken) -> Self {
        Self { user, slot, token, made_at: None, methods: None }
    }

    pub(super) fn commands(&self, token: NewToken) -> impl Iterator<Item = Command> + use<> {
        let grant = self.methods.clone().map(|methods| Command::Grant { methods });
        let import = Command::Import { slot: self.slot, token, made_at: self.made_at };
        grant.into_iter().chain([import])
    }
}

impl TokenManager {
    /// Imports many tokens in one durable transaction, and answers for each in
    /// their order. One that is refused leaves the others alone; the methods of
    /// an item are granted together with its token, or not at all.
    ///
    /// Some hundreds or thousands at a time are best. The same items again
    /// change nothing: those that are in their slots are refused as
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone), so an import that was
    /// interrupted is simply started anew.
    ///
    /// ```
    /// use tower_api_token::account::Slot;
    /// use tower_api_token::user::{Actor, UserId};
    /// use tower_api_token::manage::{ImportItem, ImportedToken};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// use tower_api_token::method::MethodSet;
    /// use tower_api_token::token::TokenScheme;
    /// # use tower_api_token::store::MemoryStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// // A digest does not tell the form of its token.
    /// let builder = builder.scheme(TokenScheme::default().accept_foreign_tokens(true));
    /// # let manager = builder.build().await?;
    /// # let sha256 = [7; 32];
    /// let user = UserId::new("alice")?;
    /// let mut item = ImportItem::new(user, Slot::Primary, ImportedToken::Sha256(sha256));
    /// item.methods = Some(MethodSet::new(["GET"])?);
    /// let importer = Actor::program("importer")?;
    /// for answer in manager.import_many(&importer, &[item]).await? {
    ///     answer?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if a transaction as a whole failed: those that
    /// others were faster than are tried again one by one, so some may have been
    /// imported, and others not. For a single item as
    /// [`import`](Self::import).
    pub async fn import_many(
        &self,
        actor: &Actor,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, ManageError> {
        let (actor, items) = (actor.clone(), items.to_vec());
        self.run(|inner| async move { inner.import_many(&actor, &items).await }).await
    }

    /// What [`import_many`](Self::import_many) would answer, as far as can be
    /// told without writing anything.
    ///
    /// # Errors
    ///
    /// As [`import_many`](Self::import_many).
    pub async fn rehearse_import(
        &self,
        actor: &Actor,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, ManageError> {
        Ok(Batch::new(&self.inner, actor).plan(items).await?)
    }
}

impl Inner {
    async fn import_many(
        self: &Arc<Self>,
        actor: &Actor,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, ManageError> {
        let mut batch = Batch::new(self, actor);
        let mut results = batch.plan(items).await?;
        batch.write(&mut results).await?;
        for (result, item) in results.iter_mut().zip(items) {
            if is_conflict(result) {
                *result = self.import_alone(actor, item).await;
            }
        }
        Ok(results)
    }

    /// An item that others were faster than: planned anew as a whole, so that no
    /// methods are granted for a token that is refused.
    async fn import_alone(
        self: &Arc<Self>,
        actor: &Actor,
        item: &ImportItem,
    ) -> Result<AuditEntry, ManageError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new(self, actor);
            let mut results = batch.plan(std::slice::from_ref(item)).await?;
            batch.write(&mut results).await?;
            match results.pop() {
                Some(result) if !is_conflict(&result) => return result,
                _ => {}
            }
        }
        Err(ManageError::Contended)
    }
}

fn is_conflict<T>(result: &Result<T, ManageError>) -> bool {
    matches!(result, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Conflict)
}

//! Imports by the thousand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::change::replacement;
use super::{ImportedToken, Inner, ManageError, TokenManager};
use crate::account::{Account, Slot};
use crate::audit::AuditEntry;
use crate::identity::{Actor, UserId};
use crate::method::MethodSet;
use crate::rotation::{Command, Facts, NewToken, RotationError};
use crate::store::{Loaded, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::TokenDigest;

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

    fn commands(&self, token: NewToken) -> impl Iterator<Item = Command> + use<> {
        let grant = self.methods.clone().map(|methods| Command::Grant { methods });
        let import = Command::Import { slot: self.slot, token, made_at: self.made_at };
        grant.into_iter().chain([import])
    }
}

impl TokenManager {
    /// Imports many tokens in one durable transaction, and answers for each in
    /// their order. One that is refused leaves the others alone; the methods of
    /// an item are granted only if its token can be imported.
    ///
    /// Some hundreds or thousands at a time are best. The same items again
    /// change nothing: those that are in their slots are refused as
    /// [`AlreadyDone`](RotationError::AlreadyDone), so an import that was
    /// interrupted is simply started anew.
    ///
    /// ```
    /// use tower_api_token::account::Slot;
    /// use tower_api_token::identity::{Actor, UserId};
    /// use tower_api_token::manage::{ImportItem, ImportedToken};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
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
    /// [`ManageError::Store`] if the transaction as a whole failed: nothing was
    /// imported, or after an error of kind `Unavailable` perhaps all. For a
    /// single item as [`import`](Self::import).
    pub async fn import_many(
        &self,
        actor: &Actor,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, ManageError> {
        let mut batch = Batch::new(&self.inner, actor);
        let planned = batch.plan_all(items).await?;
        let mut answers = self.inner.write_all(batch.replacements).await?.into_iter();
        let settle = |planned: Result<Vec<AuditEntry>, ManageError>| {
            self.inner.settle(planned?, &mut answers)
        };
        let mut results: Vec<_> = planned.into_iter().map(settle).collect();
        for (result, item) in results.iter_mut().zip(items) {
            if is_conflict(result) {
                *result = self.import_alone(actor, item).await;
            }
        }
        Ok(results)
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
        let planned = Batch::new(&self.inner, actor).plan_all(items).await?;
        Ok(planned.into_iter().map(|entries| last(entries?)).collect())
    }

    /// An item that others were faster than.
    async fn import_alone(
        &self,
        actor: &Actor,
        item: &ImportItem,
    ) -> Result<AuditEntry, ManageError> {
        let ImportItem { user, slot, token, made_at, methods } = item;
        if let Some(methods) = methods {
            let granted = self.grant(actor, user, methods.clone()).await;
            unless_already_done(granted)?;
        }
        self.import(actor, user, *slot, token, *made_at).await
    }
}

impl Inner {
    /// No transaction for nothing: a second run of an import finds all done.
    async fn write_all(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if replacements.is_empty() {
            return Ok(Vec::new());
        }
        self.store.replace_many(replacements).await
    }

    /// Tells of an item's changes that are written, and answers for the item.
    fn settle(
        &self,
        entries: Vec<AuditEntry>,
        answers: &mut impl Iterator<Item = Result<(), StoreError>>,
    ) -> Result<AuditEntry, ManageError> {
        let answers: Vec<_> = answers.take(entries.len()).collect();
        for (entry, _) in entries.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()) {
            self.events.audit(entry);
        }
        let missing = answers.len() < entries.len();
        answers.into_iter().collect::<Result<(), _>>()?;
        if missing { Err(unanswered().into()) } else { last(entries) }
    }
}

/// The last entry of an item is that of its import.
fn last(mut entries: Vec<AuditEntry>) -> Result<AuditEntry, ManageError> {
    entries.pop().ok_or_else(|| unanswered().into())
}

/// A store must answer for each change of a batch; one that does not has left
/// its outcome unknown.
const fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "waiting for the answer to each change")
}

fn is_conflict<T>(result: &Result<T, ManageError>) -> bool {
    matches!(result, Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Conflict)
}

fn unless_already_done<T>(result: Result<T, ManageError>) -> Result<Option<T>, ManageError> {
    match result {
        Err(ManageError::Refused(RotationError::AlreadyDone)) => Ok(None),
        result => result.map(Some),
    }
}

/// Changes that are written together, each built on those before it.
struct Batch<'a> {
    inner: &'a Inner,
    actor: &'a Actor,
    /// What the accounts will be after the changes.
    accounts: HashMap<UserId, (Arc<Account>, Timestamp)>,
    /// The tokens that the changes bring.
    tokens: HashSet<TokenDigest>,
    replacements: Vec<Replacement>,
}

impl<'a> Batch<'a> {
    fn new(inner: &'a Inner, actor: &'a Actor) -> Self {
        let (accounts, tokens) = (HashMap::new(), HashSet::new());
        Self { inner, actor, accounts, tokens, replacements: Vec::new() }
    }

    /// The entries of each item's changes; an outage ends it all.
    async fn plan_all(
        &mut self,
        items: &[ImportItem],
    ) -> Result<Vec<Result<Vec<AuditEntry>, ManageError>>, StoreError> {
        let mut planned = Vec::with_capacity(items.len());
        for item in items {
            planned.push(match self.plan(item).await {
                Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                    return Err(error);
                }
                result => result,
            });
        }
        Ok(planned)
    }

    async fn plan(&mut self, item: &ImportItem) -> Result<Vec<AuditEntry>, ManageError> {
        let inner = self.inner;
        let token = inner.importable(&item.user, item.slot, &item.token).await?;
        let digest = token.digest.digest;
        if self.tokens.contains(&digest) {
            return Err(RotationError::DigestInUse.into());
        }
        let (mut account, now) = self.account(&item.user).await?;
        let facts = Facts::new(now, &inner.policy);
        let mut replacements = Vec::new();
        for command in item.commands(token) {
            let planned = replacement(&account, self.actor, command, &facts);
            if let Some(planned) = unless_already_done(planned.map_err(ManageError::from))? {
                account = Arc::new(planned.account.clone());
                replacements.push(planned);
            }
        }
        self.accounts.insert(item.user.clone(), (account, now));
        self.tokens.insert(digest);
        let entries = replacements.iter().map(|planned| planned.entry.clone()).collect();
        self.replacements.append(&mut replacements);
        Ok(entries)
    }

    async fn account(&self, user: &UserId) -> Result<(Arc<Account>, Timestamp), StoreError> {
        if let Some((account, now)) = self.accounts.get(user) {
            return Ok((Arc::clone(account), *now));
        }
        let Loaded { account, now } = self.inner.store.load(user).await?;
        Ok((account.unwrap_or_else(|| Arc::new(Account::absent(user.clone()))), now))
    }
}

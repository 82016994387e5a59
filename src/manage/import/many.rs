//! Imports by the thousand: planned first and written together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::change::{ATTEMPTS, has_revision, replacement};
use super::{ImportedToken, Inner, ManageError, TokenManager};
use crate::account::{Account, Revision, Slot};
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::rotation::{Command, Facts, NewToken, RotationError};
use crate::store::{Loaded, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::TokenDigest;
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

    fn commands(&self, token: NewToken) -> impl Iterator<Item = Command> + use<> {
        let grant = self.methods.clone().map(|methods| Command::Grant { methods, lifetimes: None });
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
        let (actor, items, expected) = (actor.clone(), items.to_vec(), self.expected);
        self.run(|inner| async move { inner.import_many(expected, &actor, &items).await }).await
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
        Ok(Batch::new(&self.inner, actor, self.expected).plan(items).await?)
    }
}

impl Inner {
    async fn import_many(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, ManageError> {
        let mut batch = Batch::new(self, actor, expected);
        let mut results = batch.plan(items).await?;
        batch.write(&mut results).await?;
        for (result, item) in results.iter_mut().zip(items) {
            if is_conflict(result) {
                *result = self.import_alone(expected, actor, item).await;
            }
        }
        Ok(results)
    }

    /// An item that others were faster than: planned anew as a whole, so that no
    /// methods are granted for a token that is refused.
    async fn import_alone(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        item: &ImportItem,
    ) -> Result<AuditEntry, ManageError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new(self, actor, expected);
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

/// What becomes of each item.
type Results = [Result<AuditEntry, ManageError>];

/// Changes that are written together.
struct Batch<'a> {
    inner: &'a Arc<Inner>,
    actor: &'a Actor,
    /// The revision that each account must have, if it matters.
    expected: Option<Revision>,
    /// The tokens that the changes bring.
    tokens: HashSet<TokenDigest>,
    /// One for each account, however many items are about it. Were there two
    /// and the first failed, the account might have reached the revision that
    /// the second expects by another's change, which it must not overwrite.
    changes: Vec<Replacement>,
    /// Which of them is a user's.
    of_users: HashMap<UserId, usize>,
    /// Each item that needs a change, and which.
    items: Vec<(usize, usize)>,
}

impl<'a> Batch<'a> {
    fn new(inner: &'a Arc<Inner>, actor: &'a Actor, expected: Option<Revision>) -> Self {
        Self {
            inner,
            actor,
            expected,
            tokens: HashSet::new(),
            changes: Vec::new(),
            of_users: HashMap::new(),
            items: Vec::new(),
        }
    }

    /// What would become of each item; an outage ends it all.
    async fn plan(
        &mut self,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, StoreError> {
        let mut results = Vec::with_capacity(items.len());
        self.changes.reserve_exact(items.len());
        for (place, item) in items.iter().enumerate() {
            results.push(match self.plan_item(place, item).await {
                Err(ManageError::Store(error)) if !is_of_one_account(&error) => return Err(error),
                result => result,
            });
        }
        Ok(results)
    }

    async fn plan_item(
        &mut self,
        place: usize,
        item: &ImportItem,
    ) -> Result<AuditEntry, ManageError> {
        let mut token = self.inner.importable(&item.user, item.slot, &item.token).await?;
        let digest = token.digest.digest;
        let loaded = self.load(&item.user).await?;
        has_revision(loaded.revision(), self.expected)?;
        let before = loaded.account_or_absent(&item.user);
        if self.tokens.contains(&digest) {
            let is_there = before.slot_of(&digest) == Some(item.slot);
            let why =
                if is_there { RotationError::AlreadyDone } else { RotationError::DigestInUse };
            return Err(why.into());
        }
        self.inner.seal(&mut token, item.token.plain(), &before).await?;
        let change = self.change(&before, &loaded, item, token)?;
        let entry = change.entry.clone();
        self.tokens.insert(digest);
        let change = self.add(change);
        self.items.push((place, change));
        Ok(entry)
    }

    /// The user's account as it will be, and the store's time.
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        if let Some(&place) = self.of_users.get(user) {
            let Replacement { account, entry, .. } = &self.changes[place];
            return Ok(Loaded::new(Some(Arc::new(account.clone())), entry.at));
        }
        self.inner.store.load(user).await
    }

    /// The change that imports the item.
    fn change(
        &self,
        before: &Account,
        loaded: &Loaded,
        item: &ImportItem,
        token: NewToken,
    ) -> Result<Replacement, RotationError> {
        let facts = Facts::new(loaded.now, &self.inner.policy);
        let mut change: Option<Replacement> = None;
        for command in item.commands(token) {
            let before = change.as_ref().map_or(before, |change| &change.account);
            let next = replacement(before, loaded.revision(), self.actor, command, &facts);
            match (next, &mut change) {
                // The methods are granted already.
                (Err(RotationError::AlreadyDone), _) => {}
                (next, None) => change = Some(next?),
                (next, Some(change)) => change.append(next?),
            }
        }
        change.ok_or(RotationError::AlreadyDone)
    }

    /// Takes the change up, and says where it is.
    fn add(&mut self, change: Replacement) -> usize {
        let user = change.account.user();
        if let Some(&place) = self.of_users.get(user) {
            self.changes[place].append(change);
            return place;
        }
        self.of_users.insert(user.clone(), self.changes.len());
        self.changes.push(change);
        self.changes.len() - 1
    }

    /// Writes what was planned, tells of it, and says what became of each item.
    async fn write(self, results: &mut Results) -> Result<(), StoreError> {
        let Self { inner, mut changes, items, tokens, of_users, .. } = self;
        // They are many, and only the planning needs them.
        drop((tokens, of_users));
        if changes.is_empty() {
            return Ok(());
        }
        if inner.is_due_by_another_policy().await {
            changes.iter_mut().for_each(|change| change.due = Some(change.entry.at));
        }
        let follows: Vec<_> = changes.iter().map(|change| inner.follows(change, None)).collect();
        let mut answers = match inner.store.replace_many(changes).await {
            Err(error) if error.kind().may_have_written() => {
                inner.await_outcome(follows, &error);
                return Err(error);
            }
            answers => answers?,
        };
        answers.resize_with(follows.len(), || Err(unanswered()));
        let mut failures: Vec<_> = answers.into_iter().map(Result::err).collect();
        for (follows, failure) in follows.into_iter().zip(&failures) {
            match failure {
                None => drop(inner.tell(follows).await),
                Some(error) if error.kind().may_have_written() => {
                    inner.await_outcome(vec![follows], error);
                }
                Some(_) => {}
            }
        }
        for (item, change) in items {
            if let Some(failure) = &mut failures[change] {
                results[item] = Err(std::mem::replace(failure, conflict()).into());
            }
        }
        Ok(())
    }
}

/// Whether the failure is one account's, and not the whole store's.
const fn is_of_one_account(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::Corrupt)
}

/// What each further item of a change that failed is told: it may not have been
/// what was wrong, and is tried alone.
const fn conflict() -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, "importing beside an item that failed")
}

/// A store must answer for each change of a batch; of one that it does not
/// answer for nobody knows what became.
const fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "waiting for the answer to each change")
}

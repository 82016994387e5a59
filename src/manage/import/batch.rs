//! Imports that are planned first and written together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::change::replacement;
use super::{ImportItem, Inner, ManageError};
use crate::account::Account;
use crate::audit::AuditEntry;
use crate::rotation::{Facts, NewToken, RotationError};
use crate::store::{Loaded, Replacement, StoreError, StoreErrorKind};
use crate::token::TokenDigest;
use crate::user::{Actor, UserId};

/// What becomes of each item.
type Results = [Result<AuditEntry, ManageError>];

/// Changes that are written together.
pub(super) struct Batch<'a> {
    inner: &'a Arc<Inner>,
    actor: &'a Actor,
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
    pub(super) fn new(inner: &'a Arc<Inner>, actor: &'a Actor) -> Self {
        Self {
            inner,
            actor,
            tokens: HashSet::new(),
            changes: Vec::new(),
            of_users: HashMap::new(),
            items: Vec::new(),
        }
    }

    /// What would become of each item; an outage ends it all.
    pub(super) async fn plan(
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
    pub(super) async fn write(self, results: &mut Results) -> Result<(), StoreError> {
        let Self { inner, changes, items, tokens, of_users, .. } = self;
        // They are many, and only the planning needs them.
        drop((tokens, of_users));
        if changes.is_empty() {
            return Ok(());
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

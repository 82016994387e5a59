//! Imports that are planned first and written together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::change::replacement;
use super::{ImportItem, Inner, ManageError};
use crate::account::Account;
use crate::audit::AuditEntry;
use crate::identity::{Actor, UserId};
use crate::rotation::{Facts, NewToken, RotationError};
use crate::store::{Loaded, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::TokenDigest;

/// What becomes of each item.
type Results = [Result<AuditEntry, ManageError>];

/// Changes that are written together.
pub(super) struct Batch<'a> {
    inner: &'a Inner,
    actor: &'a Actor,
    /// The accounts as they will be.
    accounts: HashMap<UserId, Planned>,
    /// The tokens that the changes bring.
    tokens: HashSet<TokenDigest>,
    /// At most one change of each account in each transaction. If one fails,
    /// the account may have reached the revision that the next one expects by
    /// another's change, which that next one must not overwrite.
    transactions: Vec<Vec<Step>>,
}

#[derive(Clone)]
struct Planned {
    account: Arc<Account>,
    now: Timestamp,
    changes: usize,
}

/// A change that the item at that place needs.
struct Step {
    item: usize,
    replacement: Replacement,
}

impl<'a> Batch<'a> {
    pub(super) fn new(inner: &'a Inner, actor: &'a Actor) -> Self {
        let (accounts, tokens) = (HashMap::new(), HashSet::new());
        Self { inner, actor, accounts, tokens, transactions: Vec::new() }
    }

    /// What would become of each item; an outage ends it all.
    pub(super) async fn plan(
        &mut self,
        items: &[ImportItem],
    ) -> Result<Vec<Result<AuditEntry, ManageError>>, StoreError> {
        let mut results = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            results.push(match self.plan_item(place, item).await {
                Err(ManageError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                    return Err(error);
                }
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
        let token = self.inner.importable(&item.user, item.slot, &item.token).await?;
        let digest = token.digest.digest;
        if self.tokens.contains(&digest) {
            return Err(RotationError::DigestInUse.into());
        }
        let before = self.account(&item.user).await?;
        let token = self.inner.sealed(token, item.token.plain(), &before.account)?;
        let changes = self.changes(&before, item, token)?;
        let last = changes.last().ok_or(RotationError::AlreadyDone)?;
        let (entry, account) = (last.entry.clone(), Arc::new(last.account.clone()));
        self.tokens.insert(digest);
        let after = Planned { account, changes: before.changes + changes.len(), ..before };
        self.accounts.insert(item.user.clone(), after);
        for (transaction, replacement) in (before.changes..).zip(changes) {
            self.transaction(transaction).push(Step { item: place, replacement });
        }
        Ok(entry)
    }

    /// The changes that import the item, one built on the other.
    fn changes(
        &self,
        before: &Planned,
        item: &ImportItem,
        token: NewToken,
    ) -> Result<Vec<Replacement>, RotationError> {
        let facts = Facts::new(before.now, &self.inner.policy);
        let mut changes: Vec<Replacement> = Vec::with_capacity(2);
        for command in item.commands(token) {
            let before = changes.last().map_or(&*before.account, |last| &last.account);
            match replacement(before, self.actor, command, &facts) {
                // The methods are granted already.
                Err(RotationError::AlreadyDone) => {}
                change => changes.push(change?),
            }
        }
        Ok(changes)
    }

    fn transaction(&mut self, number: usize) -> &mut Vec<Step> {
        let count = self.transactions.len().max(number + 1);
        self.transactions.resize_with(count, Vec::new);
        &mut self.transactions[number]
    }

    async fn account(&self, user: &UserId) -> Result<Planned, StoreError> {
        if let Some(planned) = self.accounts.get(user) {
            return Ok(planned.clone());
        }
        let Loaded { account, now } = self.inner.store.load(user).await?;
        let account = account.unwrap_or_else(|| Arc::new(Account::absent(user.clone())));
        Ok(Planned { account, now, changes: 0 })
    }

    /// Writes what was planned, tells of it, and says what became of each item.
    pub(super) async fn write(self, results: &mut Results) -> Result<(), StoreError> {
        let mut failed = HashSet::new();
        for steps in self.transactions {
            let follows_failure = |step: &Step| failed.contains(&step.replacement.entry.user);
            let (steps, given_up): (Vec<_>, Vec<_>) =
                steps.into_iter().partition(|step| !follows_failure(step));
            for Step { item, .. } in given_up {
                results[item] = Err(conflict().into());
            }
            for (item, entry, answer) in self.inner.replace_many(steps).await? {
                results[item] = match answer {
                    Ok(()) => {
                        self.inner.events.audit(&entry);
                        Ok(entry)
                    }
                    Err(error) => {
                        failed.insert(entry.user);
                        Err(error.into())
                    }
                };
            }
        }
        Ok(())
    }
}

/// The item, its entry, and whether it is written.
type Answer = (usize, AuditEntry, Result<(), StoreError>);

impl Inner {
    async fn replace_many(&self, steps: Vec<Step>) -> Result<Vec<Answer>, StoreError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |step: &Step| (step.item, step.replacement.entry.clone());
        let entries: Vec<_> = steps.iter().map(entry).collect();
        let replacements = steps.into_iter().map(|step| step.replacement).collect();
        let mut answers = self.store.replace_many(replacements).await?.into_iter();
        let answer =
            |(item, entry)| (item, entry, answers.next().unwrap_or_else(|| Err(unanswered())));
        Ok(entries.into_iter().map(answer).collect())
    }
}

const fn conflict() -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, "following up a change that failed")
}

/// A store must answer for each change of a batch; of one that it does not
/// answer for nobody knows what became.
const fn unanswered() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "waiting for the answer to each change")
}

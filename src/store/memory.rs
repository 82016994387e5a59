//! Accounts in this process's memory.

mod accounts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::accounts::Accounts;
use super::feed::{FeedHub, Wakes};
use super::maps::{self, DigestMap};
use super::{
    AccountStore, Change, ChangeFeed, Erasure, Feed, FeedItem, LastUses, Loaded, Page, PageSize,
    Replacement, StoreError, TokenStore, sync,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::time::{Clock, SystemClock};
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// Accounts in this process's memory, gone with it.
///
/// Look-ups take no lock and write nothing that two threads share, and changes
/// do not stop them. The history keeps every entry: this store is for tests and
/// for hosts that fill it at start from a source of their own, with
/// [`insert`](Self::insert).
///
/// ```
/// use tower_api_token::store::MemoryStore;
///
/// let store = MemoryStore::new();
/// ```
pub struct MemoryStore {
    accounts: Accounts,
    feed: FeedHub,
    clock: Box<dyn Clock>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store that reads the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store whose time comes from `clock`.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        let accounts = Accounts::new(DigestMap::new());
        Self { accounts, feed: FeedHub::default(), clock: Box::new(clock) }
    }

    /// Puts an account in as it is, without an entry in the history: for hosts
    /// that fill the store at start.
    ///
    /// # Errors
    ///
    /// [`Conflict`](super::StoreErrorKind::Conflict) if the user has an account here already, or
    /// another account names one of its digests.
    pub fn insert(&self, account: Account) -> Result<(), StoreError> {
        self.accounts.change(account, None, |_, change| self.publish(change)).map(drop)
    }

    fn replace_now(&self, replacement: Replacement) -> Result<(), StoreError> {
        let Replacement { account, expected, entry, earlier } = replacement;
        let named: BTreeSet<_> = account.token_ids().collect();
        let changed = self.accounts.change(account, expected, |state, change| {
            if let Some(usage) = state.usage.get_mut(&entry.user) {
                usage.retain(|token, _| named.contains(token));
            }
            let history = state.history.entry(entry.user.clone()).or_default();
            history.extend(earlier);
            history.push(entry);
            self.publish(change)
        });
        changed.map(drop)
    }

    /// How often each thing comes that `things` shows of an account.
    fn count<T: Ord>(&self, things: impl Fn(&Account, &mut dyn FnMut(T))) -> Vec<(T, u64)> {
        let mut counts = BTreeMap::new();
        let state = self.accounts.state();
        for account in self.accounts.after(&state, None) {
            things(&account, &mut |thing| *counts.entry(thing).or_default() += 1);
        }
        counts.into_iter().collect()
    }

    fn publish(&self, change: Change) -> Wakes {
        self.feed.send(&FeedItem::Change(change))
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        if self.accounts.read(digest, |account| visit(Some(account))).is_none() {
            visit(None);
        }
        true
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        // A copy, as every other store gives: a use that a request notes in it is noted
        // for that request alone.
        Ok(self.accounts.read(digest, |account| Arc::new(account.clone())))
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        let state = self.accounts.state();
        let account = self.accounts.of(&state, user);
        Ok(Loaded::new(account, self.clock.now()).with_erased_up_to(state.erased_up_to))
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.replace_now(replacement)
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let replace = |replacement| self.replace_now(replacement);
        Ok(replacements.into_iter().map(replace).collect())
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        let state = self.accounts.state();
        let accounts = self.accounts.after(&state, after).take(size.get() + 1);
        Ok(Page::of_accounts(accounts.collect(), size))
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        let state = self.accounts.state();
        let entries = state.history.get(user).into_iter().flatten().rev();
        let entries = entries.filter(|entry| before.is_none_or(|before| entry.revision < before));
        Ok(Page::of_entries(entries.take(size.get() + 1).cloned().collect(), size))
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        Ok(self.count(|account, count| account.pepper_versions_in_use().for_each(count)))
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        Ok(self.count(|account, count| account.prefixes_in_use().for_each(count)))
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        let state = self.accounts.state();
        Ok(PepperChecks::new(state.pepper_checks.iter().map(|(of, check)| (*of, *check)).collect()))
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        Ok(*self.accounts.state().pepper_checks.entry(version).or_insert(check))
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.accounts.erase(&erasure, |change| self.publish(change)).map(drop)
    }
}

#[async_trait]
impl LastUses for MemoryStore {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let mut state = self.accounts.state();
        for (user, used) in batch {
            if !state.has(user) {
                continue;
            }
            let uses = state.usage.entry(user.clone()).or_default();
            match uses.get(&used.id) {
                Some(kept) if kept.at >= used.at => {}
                _ => drop(uses.insert(used.id, used.clone())),
            }
        }
        Ok(())
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        let state = self.accounts.state();
        let usage = state.usage.get(user).into_iter().flatten();
        Ok(usage.map(|(_, usage)| usage.clone()).collect())
    }
}

#[async_trait]
impl ChangeFeed for MemoryStore {
    async fn changes(&self) -> Result<Feed, StoreError> {
        Ok(self.feed.subscribe())
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        // Under the lock of the changes, so that it stays in order with them.
        let state = self.accounts.state();
        let sleepers = self.feed.send(&FeedItem::Heartbeat(id));
        drop(state);
        drop(sleepers);
        Ok(())
    }
}

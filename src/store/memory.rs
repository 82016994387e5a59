//! Accounts in this process's memory.

mod accounts;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::accounts::{Accounts, State};
use self::log::{Log, Logged};
use super::audit_log::KEPT_AT_LEAST;
use super::feed::{FeedHub, Wakes};
use super::maps::{self, DigestMap};
use super::{
    AccountStore, AuditCursor, AuditItem, AuditLog, AuditPosition, Change, ChangeFeed, Due,
    DueAccounts, Erasure, Feed, FeedItem, LastUses, Loaded, Page, PageSize, Replacement,
    StoreError, TokenStore, sync,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::time::{Clock, SystemClock, Timestamp};
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
    log: Mutex<Log>,
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
        let (log, feed) = (Mutex::default(), FeedHub::default());
        Self { accounts, log, feed, clock: Box::new(clock) }
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
        let Replacement { account, expected, due, entry, earlier } = replacement;
        let named: BTreeSet<_> = account.token_ids().collect();
        let changed = self.accounts.change(account, expected, |state, change| {
            if let Some(usage) = state.usage.get_mut(&entry.user) {
                usage.retain(|token, _| named.contains(token));
            }
            let mut log = self.log();
            log.set_due(&entry.user, due);
            let user = entry.user.clone();
            let history = state.history.entry(user.clone()).or_default();
            for entry in earlier.into_iter().chain([entry]) {
                log.push(Logged::Entry(user.clone(), entry.revision));
                history.push(entry);
            }
            self.publish(change)
        });
        changed.map(drop)
    }

    /// No code that holds this lock can panic half-way through a change.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        Some(self)
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
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
        let erased = self.accounts.erase(&erasure, |change| {
            let mut log = self.log();
            log.forget(erasure.user());
            log.push(Logged::Erased(erasure.erased()));
            self.publish(change)
        });
        erased.map(drop)
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

#[async_trait]
impl AuditLog for MemoryStore {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        let state = self.accounts.state();
        let log = self.log();
        let items = log.after(after).filter_map(|(position, logged)| match logged {
            Logged::Entry(user, revision) => {
                let entry = entry_of(&state, user, *revision)?;
                Some((position, AuditItem::Entry(entry.clone())))
            }
            Logged::Erased(erased) => Some((position, AuditItem::Erased(erased.clone()))),
        });
        Ok(items.take(size.get()).collect())
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        Ok(self.log().end())
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.min(self.clock.now() - KEPT_AT_LEAST);
        let mut state = self.accounts.state();
        let mut log = self.log();
        let mut pruned: BTreeMap<UserId, Revision> = BTreeMap::new();
        let removed = log.retain(|logged| match logged {
            Logged::Entry(user, revision) => {
                let is_last = |entry: &AuditEntry| entry.revision == *revision;
                let last = state.history.get(user).and_then(|entries| entries.last());
                last.is_some_and(is_last)
                    || entry_of(&state, user, *revision).is_some_and(|entry| entry.at >= before)
            }
            Logged::Erased(erased) => erased.at >= before,
        });
        for (_, logged) in log.after(AuditPosition::START) {
            if let Logged::Entry(user, revision) = logged {
                pruned.entry(user.clone()).or_insert(*revision);
            }
        }
        for (user, first) in pruned {
            if let Some(history) = state.history.get_mut(&user) {
                history.retain(|entry| entry.revision >= first);
            }
        }
        Ok(removed)
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        Ok(self.log().cursors())
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        Ok(self.log().lease(name, holder, self.clock.now(), time))
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        Ok(self.log().advance(name, holder, to))
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        Ok(self.log().keep_done(name, holder, done))
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        Ok(self.log().done(name))
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        self.log().remove_cursor(name);
        Ok(())
    }
}

fn entry_of<'a>(state: &'a State, user: &UserId, revision: Revision) -> Option<&'a AuditEntry> {
    let history = state.history.get(user)?;
    let place = history.binary_search_by_key(&revision, |entry| entry.revision).ok()?;
    history.get(place)
}

#[async_trait]
impl DueAccounts for MemoryStore {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        let log = self.log();
        let due = log.due(until, after).take(size.get() + 1).cloned().collect();
        Ok(Page::of_due(due, size))
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        for (user, revision, due) in accounts {
            let state = self.accounts.state();
            let account = self.accounts.of(&state, user);
            if account.is_some_and(|account| account.revision() == *revision) {
                self.log().set_due(user, *due);
            }
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        Ok(self.log().schedule)
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        self.log().schedule = schedule;
        Ok(())
    }
}

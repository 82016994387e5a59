//! Accounts in this process's memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::feed::FeedHub;
use super::hashing::DigestHashing;
use super::{
    AccountPage, AccountStore, Change, Feed, FeedItem, HeartbeatId, HistoryPage, Loaded, PageSize,
    Replacement, StoreError, StoreErrorKind, TokenStore,
};
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::identity::UserId;
use crate::time::{Clock, SystemClock};
use crate::token::{PepperVersion, TokenDigest, TokenId};
use crate::usage::{TokenUsage, TokenUse};

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
    /// What requests read.
    by_digest: papaya::HashMap<TokenDigest, Arc<Account>, DigestHashing>,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
    feed: FeedHub,
    clock: Box<dyn Clock>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<UserId, Arc<Account>>,
    usage: HashMap<UserId, BTreeMap<TokenId, TokenUsage>>,
    history: HashMap<UserId, Vec<AuditEntry>>,
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
        Self {
            by_digest: papaya::HashMap::with_hasher(DigestHashing::default()),
            state: Mutex::default(),
            feed: FeedHub::default(),
            clock: Box::new(clock),
        }
    }

    /// Puts an account in as it is, without an entry in the history: for hosts
    /// that fill the store at start.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Conflict`] if the user has an account here already, or
    /// another account names one of its digests.
    pub fn insert(&self, account: Account) -> Result<(), StoreError> {
        self.write(&mut self.state(), account, None)
    }

    /// No code that holds this lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one change, its checks first.
    fn write(
        &self,
        state: &mut State,
        account: Account,
        expected: Option<Revision>,
    ) -> Result<(), StoreError> {
        let before = state.accounts.get(account.user()).cloned();
        if before.as_ref().map(|before| before.revision()) != expected {
            return Err(conflict());
        }
        self.publish(before.as_deref(), Arc::new(account), state)
    }

    fn publish(
        &self,
        before: Option<&Account>,
        account: Arc<Account>,
        state: &mut State,
    ) -> Result<(), StoreError> {
        let by_digest = self.by_digest.pin();
        let elsewhere = |digest| {
            let named = by_digest.get(digest);
            named.is_some_and(|other: &Arc<Account>| other.user() != account.user())
        };
        if account.digests().any(|stored| elsewhere(&stored.digest)) {
            return Err(conflict());
        }
        // Each digest goes from the old account to the new one in one step, so
        // a reader finds a token that stays live in every instant.
        for stored in account.digests() {
            by_digest.insert(stored.digest, Arc::clone(&account));
        }
        // Left to itself the table grows when it is nearly full, and then step
        // by step: a look-up would probe many places of two tables.
        by_digest.reserve(by_digest.len() / 2);
        let named: HashSet<_> = account.digests().map(|stored| stored.digest).collect();
        for stored in before.into_iter().flat_map(Account::digests) {
            if !named.contains(&stored.digest) {
                by_digest.remove(&stored.digest);
            }
        }
        let change = Change::between(before, &account);
        state.accounts.insert(account.user().clone(), account);
        self.feed.send(&FeedItem::Change(change));
        Ok(())
    }

    fn replace_now(&self, replacement: Replacement) -> Result<(), StoreError> {
        let Replacement { account, expected, entry } = replacement;
        let mut state = self.state();
        self.write(&mut state, account, expected)?;
        state.history.entry(entry.user.clone()).or_default().push(entry);
        Ok(())
    }
}

const fn conflict() -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, "replacing an account")
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        let by_digest = self.by_digest.pin();
        visit(by_digest.get(digest).map(|account| &**account));
        true
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Ok(self.by_digest.pin().get(digest).cloned())
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        let account = self.state().accounts.get(user).cloned();
        Ok(Loaded::new(account, self.clock.now()))
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
    ) -> Result<AccountPage, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let accounts = state.accounts.range((start, Bound::Unbounded));
        let accounts = accounts.map(|(_, account)| Arc::clone(account));
        Ok(AccountPage::of(accounts.take(size.get() + 1).collect(), size))
    }

    async fn record_usage(&self, batch: &[TokenUse]) -> Result<(), StoreError> {
        let mut state = self.state();
        for token_use in batch {
            let TokenUse { user, usage } = token_use;
            let user = state.usage.entry(user.clone()).or_default();
            match user.get(&usage.id) {
                Some(kept) if kept.at >= usage.at => {}
                _ => drop(user.insert(usage.id, usage.clone())),
            }
        }
        Ok(())
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<TokenUsage>, StoreError> {
        let state = self.state();
        let usage = state.usage.get(user).into_iter().flatten();
        Ok(usage.map(|(_, usage)| usage.clone()).collect())
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<HistoryPage, StoreError> {
        let state = self.state();
        let entries = state.history.get(user).into_iter().flatten().rev();
        let entries = entries.filter(|entry| before.is_none_or(|before| entry.revision < before));
        Ok(HistoryPage::of(entries.take(size.get() + 1).cloned().collect(), size))
    }

    async fn changes(&self) -> Result<Feed, StoreError> {
        Ok(self.feed.subscribe())
    }

    async fn heartbeat(&self, id: HeartbeatId) -> Result<(), StoreError> {
        // Under the lock of the changes, so that it stays in order with them.
        let _state = self.state();
        self.feed.send(&FeedItem::Heartbeat(id));
        Ok(())
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for account in self.state().accounts.values() {
            for version in account.pepper_versions_in_use() {
                *counts.entry(version).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }
}

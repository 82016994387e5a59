//! A cache that never serves a revoked token for longer than it promises.

mod capacity;
mod clock;
mod counters;
mod entries;
mod load;
mod options;
mod shared;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

pub use self::clock::MonotonicClock;
pub use self::counters::CacheStatistics;
pub use self::options::CacheOptions;
use self::shared::Shared;
use super::{
    AccountStore, AuditLog, Change, ChangeFeed, DueAccounts, Erasure, LastUses, Loaded, Page,
    PageSize, Replacement, StoreError, TokenStore, maps, sync,
};
use crate::ConfigError;
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// Remembers in this process what a store further away has answered.
///
/// # How fresh an answer is
///
/// After a change has returned, on whichever node, no node decides a new
/// request by the old state later than the
/// [staleness bound](CacheOptions::staleness_bound) D. What a
/// [feed](super::ChangeFeed) that is live brings takes effect at once; what
/// this node changes itself takes effect before the call returns, whatever its
/// outcome.
///
/// * An answer is remembered for less than D, counted from before the store was
///   asked. Use does not prolong it.
/// * Nothing is answered from memory unless a heartbeat, sent less than D ago
///   through the channel that carries the changes, has come back through it.
///   The clock that this is measured by counts the time for which the machine
///   was suspended.
/// * Where the feed is lost, late or opened anew, all is forgotten, and every
///   look-up goes to the store until a heartbeat sent after that has come back;
///   so at the start. At most
///   [`CacheOptions::bypass_loads`] are then under way at once, and the others
///   are [`Unavailable`](super::StoreErrorKind::Unavailable) after
///   [`CacheOptions::bypass_wait`].
/// * An error of the store is never remembered, and never taken for an answer.
///
/// A store without a feed can have a cache, too: [`start`](Self::start) sees that it
/// has none, and [`without_feed`](Self::without_feed) is for a [`TokenStore`] alone.
/// An answer is then believed for as long as it is remembered, less than D from before
/// the store was asked. What others change takes effect by then, a revoked token as
/// well as a new one; what is changed through the cache still takes effect at once.
///
/// # What it costs
///
/// [`peek`](TokenStore::peek) answers for a remembered account and takes no
/// lock, allocates nothing and writes nothing that two threads share. That a
/// digest is named by no account is remembered too (a negative entry), in a bound of
/// its own, and answered by [`find`](TokenStore::find). Requests for one digest share one look-up.
/// `peek` of the store behind is not asked, or nothing would ever be
/// remembered.
///
/// The cache waits for the store for as long as that takes: put a
/// [`WithTimeout`](super::WithTimeout) around the store.
///
/// ```
/// use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore, WithTimeout};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = WithTimeout::new(MemoryStore::new());
/// let store = CachedStore::start(store, CacheOptions::new())?;
/// # Ok(())
/// # }
/// ```
pub struct CachedStore<S> {
    shared: Arc<Shared<S>>,
    /// They end with the store.
    _tasks: JoinSet<()>,
}

impl<S: AccountStore> CachedStore<S> {
    /// A cache in front of `store`, and the two tasks that follow the store's
    /// feed and send heartbeats through it, until the cache is dropped. If the store
    /// has no feed, the cache is one [without](Self::without_feed).
    ///
    /// The runtime must have its timer enabled.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that an option breaks, or that no runtime
    /// is there.
    pub fn start(store: S, options: CacheOptions) -> Result<Self, ConfigError> {
        if store.feed().is_none() {
            return Self::without_feed(store, options);
        }
        let (shared, runtime) = share(store, options)?;
        let mut tasks = JoinSet::new();
        tasks.spawn_on(shared::follow(Arc::clone(&shared)), &runtime);
        tasks.spawn_on(shared::send_heartbeats(Arc::clone(&shared)), &runtime);
        Ok(Self { shared, _tasks: tasks })
    }
}

impl<S: TokenStore> CachedStore<S> {
    /// A cache in front of a store that nothing tells of changes. It believes what it
    /// was told for less than the [staleness bound](CacheOptions::staleness_bound):
    /// until then a token that was revoked past the cache may be accepted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_api_token::TokenAuthLayer;
    /// use tower_api_token::store::{CacheOptions, CachedStore, TokenStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let own_table = tower_api_token::store::MemoryStore::new();
    /// let options = CacheOptions::new().staleness_bound(Duration::from_secs(1));
    /// let layer = TokenAuthLayer::new(CachedStore::without_feed(own_table, options)?);
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The runtime must have its timer enabled.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that an option breaks, or that no runtime
    /// is there.
    pub fn without_feed(store: S, options: CacheOptions) -> Result<Self, ConfigError> {
        let (shared, runtime) = share(store, options)?;
        shared.entries.trust_without_feed();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(shared::report(Arc::clone(&shared)), &runtime);
        Ok(Self { shared, _tasks: tasks })
    }
}

impl<S> CachedStore<S> {
    /// The store behind.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.shared.inner
    }

    /// Whether answers may come from memory now. Not so before the first
    /// heartbeat has come back; always so without a feed.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.shared.entries.is_trusted()
    }

    /// What the cache has done, and how it stands.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.shared.statistics()
    }

    /// Forgets, when it is dropped, what these changes make untrue. So it is
    /// done whether they are written or not, and also if the caller hangs up.
    fn invalidation<'a>(
        &self,
        changes: impl Iterator<Item = &'a Replacement>,
    ) -> Invalidation<'_, S> {
        let changes = changes.map(|change| Change::between(None, &change.account));
        Invalidation { shared: &self.shared, changes: changes.collect() }
    }
}

fn share<S>(store: S, options: CacheOptions) -> Result<(Arc<Shared<S>>, Handle), ConfigError> {
    options.check()?;
    let runtime = Handle::try_current().map_err(|_| ConfigError::CacheNoRuntime)?;
    Ok((Arc::new(Shared::new(store, options)), runtime))
}

struct Invalidation<'a, S> {
    shared: &'a Shared<S>,
    changes: Vec<Change>,
}

impl<S> Drop for Invalidation<'_, S> {
    fn drop(&mut self) {
        self.shared.invalidate_own(&self.changes);
    }
}

impl<S> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore").finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore> TokenStore for CachedStore<S> {
    #[inline]
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        let answered = self.shared.entries.peek(digest, |account| visit(Some(account)));
        if answered.is_some() {
            self.shared.counters.hits.add();
        }
        answered.is_some()
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.shared.find(digest).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AccountStore> AccountStore for CachedStore<S> {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.shared.inner.load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        let _invalidation = self.invalidation(std::iter::once(&replacement));
        self.shared.inner.replace(replacement).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let _invalidation = self.invalidation(replacements.iter());
        self.shared.inner.replace_many(replacements).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.shared.inner.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.shared.inner.history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        self.shared.inner.last_uses()
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.shared.inner.feed()
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        self.shared.inner.audit_log()
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        self.shared.inner.due_accounts()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.shared.inner.pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.shared.inner.prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.shared.inner.pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.shared.inner.keep_pepper_check(version, check).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        let _invalidation = Invalidation { shared: &self.shared, changes: vec![erasure.change()] };
        self.shared.inner.erase(erasure).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::TokenRecord;
    use crate::store::MemoryStore;
    use crate::time::Timestamp;
    use crate::token::{StoredDigest, TokenHint, TokenId};

    #[tokio::test]
    async fn a_look_into_memory_waits_for_no_writer() {
        let digest = TokenDigest::from_bytes([7; 32]);
        let stored = StoredDigest::new(digest, PepperVersion::NONE);
        let id = TokenId::from_u64(1);
        let token = TokenRecord::new(id, stored, TokenHint::unknown(), Timestamp::default());
        let account = Account::builder(UserId::new("alice").unwrap()).primary(token);
        let store = MemoryStore::new();
        store.insert(account.build().unwrap()).unwrap();
        let cache = CachedStore::start(store, CacheOptions::new()).unwrap();
        while !cache.peek(&digest, &mut |_| ()) {
            tokio::task::yield_now().await;
            cache.find(&digest).await.unwrap().unwrap();
        }
        // Whoever waited for this lock would wait for ever.
        let _writing = cache.shared.entries.state();
        assert!(cache.peek(&digest, &mut |account| assert!(account.is_some())));
    }
}

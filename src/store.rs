//! Where accounts are kept: two traits, and the stores that implement them.
//!
//! | store | feature | for |
//! |---|---|---|
//! | [`MemoryStore`] | | tests, and hosts that fill it at start |
//! | `SqliteStore` | `sqlite` | one file, shared by the processes of a machine |
//! | `PostgresStore` | `postgres` | several nodes on one PostgreSQL database |
//! | `RedisStore` | `redis` | several nodes on one Redis server that keeps what it is given |
//! | `CachedStore` | `cache` | in front of a store that several nodes share |
//! | `WithTimeout` | `tokio` | around a store that may hang |
//! | `WithMetrics` | `metrics` | around a store whose latency is to be known |
//!
//! [`TokenStore`] is what the layer needs, with one method to write; a host
//! that has tokens of its own implements it over its own tables.
//! [`AccountStore`] is what the manager needs: it only loads an account and
//! replaces it if its revision is still the one that was read, so that every
//! rule of a token's life stands in [`rotation`](crate::rotation) and no two
//! stores can disagree.

mod arc;
#[cfg(feature = "cache")]
mod cached;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod detached;
mod erasure;
mod error;
mod feed;
mod hashing;
#[cfg(feature = "tokio")]
mod late;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod listener;
mod lock_free;
mod map;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
mod page;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(crate) mod record;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "tokio")]
mod timeout;

use std::sync::Arc;

use async_trait::async_trait;

#[cfg(feature = "cache")]
pub use self::cached::{CacheOptions, CacheStatistics, CachedStore, MonotonicClock};
pub use self::erasure::Erasure;
pub use self::error::{StoreError, StoreErrorKind};
pub use self::feed::{Change, Feed, FeedItem, HeartbeatId};
#[cfg(feature = "tokio")]
pub(crate) use self::late::{LateWrite, NotBegun};
pub use self::memory::MemoryStore;
#[cfg(feature = "metrics")]
pub use self::metrics::WithMetrics;
pub use self::page::{AccountPage, HistoryPage, PageSize};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisOpenError, RedisOptions, RedisStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{
    Durability, SchemaError, SqliteBackupError, SqliteOpenError, SqliteOptions, SqliteStore,
};
#[cfg(feature = "tokio")]
pub use self::timeout::WithTimeout;
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::identity::UserId;
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::usage::{TokenUsage, TokenUse};

/// Finds the account that names a token digest: all that the layer needs.
///
/// Both methods answer for *every* digest that an account names: primary,
/// backup, pending and retired. Which of them is accepted is not the store's
/// decision. Only a digest that no account names is `None`.
///
/// The layer asks only for digests of strings that its
/// [`TokenScheme`](crate::token::TokenScheme) admits. Under the default one a string
/// that has not the form of a generated token is refused before the store is asked:
/// a store of tokens that another system made needs
/// [`TokenScheme::accept_foreign_tokens(true)`](crate::token::TokenScheme::accept_foreign_tokens).
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use tower_api_token::account::Account;
/// use tower_api_token::store::{StoreError, TokenStore};
/// use tower_api_token::token::TokenDigest;
///
/// struct OwnTable(HashMap<TokenDigest, Arc<Account>>);
///
/// #[async_trait]
/// impl TokenStore for OwnTable {
///     async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
///         Ok(self.0.get(digest).cloned())
///     }
/// }
/// ```
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Lends the answer to `visit` if it is known without waiting, and says
    /// whether it was.
    ///
    /// `visit` is called exactly once where the answer is `true`, with `None`
    /// if no account names the digest, and not at all where it is `false`. An
    /// implementation must not block, and an answer must be as fresh as one of
    /// [`find`](Self::find). The default knows nothing.
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        let _ = (digest, visit);
        false
    }

    /// The account that names the digest, or `None` if none does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the answer cannot be had. An implementation must never
    /// answer `None` when it does not know.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError>;
}

/// An account as a store has it, and the time by that store's clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The account; `None` if the user has none.
    pub account: Option<Arc<Account>>,
    /// The store's time: what codes and pending tokens expire by.
    pub now: Timestamp,
    /// The greatest number that an account which was [erased](AccountStore::erase)
    /// had given to a revision or a token; 0 if none was erased.
    pub erased_up_to: u64,
}

impl Loaded {
    /// What a store has, at the store's time `now`.
    #[must_use]
    pub const fn new(account: Option<Arc<Account>>, now: Timestamp) -> Self {
        Self { account, now, erased_up_to: 0 }
    }

    /// The same, where erased accounts have reached this number.
    #[must_use]
    pub const fn with_erased_up_to(mut self, number: u64) -> Self {
        self.erased_up_to = number;
        self
    }

    /// The account of `user`, who is the one asked for, or the one to begin with
    /// if there is none.
    #[must_use]
    pub fn account_or_absent(&self, user: &UserId) -> Arc<Account> {
        let absent = || Account::absent_above(user.clone(), self.erased_up_to);
        self.account.clone().unwrap_or_else(|| Arc::new(absent()))
    }

    /// What a [`Replacement`] of it expects: the revision, or that there is no
    /// account.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.account.as_ref().map(|account| account.revision())
    }
}

/// A change to write: the account as it shall be, the revision that was read,
/// and what to keep in the history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replacement {
    /// The account as it shall be.
    pub account: Account,
    /// The revision that it replaces; `None`: the user must have no account.
    pub expected: Option<Revision>,
    /// What to keep in the history.
    pub entry: AuditEntry,
    /// What to keep before it, the earliest first: the entries of changes that
    /// this one was made one with.
    pub earlier: Vec<AuditEntry>,
}

impl Replacement {
    /// `account` in place of revision `expected`, with `entry` in the history.
    #[must_use]
    pub const fn new(account: Account, expected: Option<Revision>, entry: AuditEntry) -> Self {
        Self { account, expected, entry, earlier: Vec::new() }
    }

    /// Makes one change of this one and `next`, which was made of this one's
    /// account: both are written or neither is.
    pub(crate) fn append(&mut self, next: Self) {
        let Self { account, entry, earlier, .. } = next;
        self.account = account;
        // Growing by itself, a vector would make room for four, and batches are long.
        self.earlier.reserve_exact(1 + earlier.len());
        self.earlier.push(std::mem::replace(&mut self.entry, entry));
        self.earlier.extend(earlier);
    }

    /// Everything to keep in the history, the earliest first.
    pub fn entries(&self) -> impl Iterator<Item = &AuditEntry> {
        self.earlier.iter().chain([&self.entry])
    }
}

/// Keeps accounts: what the manager needs.
///
/// # The contract
///
/// * A change is *conditional*: it is written if, and only if, the account's
///   revision is the expected one at that moment. Else it is a
///   [`StoreErrorKind::Conflict`], and nothing has changed.
/// * A digest is named by at most one place of at most one account. A change
///   that would name one twice is a `Conflict` too, and nothing has changed.
/// * A change is *atomic and durable*: when `replace` has returned `Ok`, the
///   account, its digests, its entries in the history and the message to the
///   feed are there, and a crash does not undo them; else none of them is.
/// * When `replace` has returned, `find`, `peek` and `load` of this store
///   answer by the new state. A reader during a change sees the old account or
///   the new one.
/// * A future that is dropped half-way leaves the change made or not made, and
///   the store usable.
/// * Recorded uses never change an account, its revision or its history. A use
///   goes with its token: when the account names it no longer, or is erased.
/// * What was erased stays apart: its digests are taken as if an account named
///   them, for 90 days at least, and no account begins below what it has reached.
///
/// The module `conformance` (feature of that name) holds a test for each.
#[async_trait]
pub trait AccountStore: TokenStore {
    /// The user's account and the store's time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError>;

    /// Writes one change.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Conflict`] if the revision is not the expected one or
    /// a digest is named elsewhere: nothing has changed.
    /// [`StoreErrorKind::Unavailable`]: it may or may not have been written;
    /// load the account to find out.
    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError>;

    /// Writes many changes in few durable transactions, each of them as
    /// [`replace`](Self::replace) would, and answers for each in their order.
    /// One that conflicts leaves the others alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the batch as a whole failed: then none was written, or
    /// for [`StoreErrorKind::Unavailable`] perhaps some or all. A store that
    /// fails after a part of the batch has been written answers for each change
    /// instead.
    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// The accounts after that of user `after` in the byte order of user ids,
    /// at most `size` of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn list(&self, after: Option<&UserId>, size: PageSize)
    -> Result<AccountPage, StoreError>;

    /// Keeps the latest use of each token in the batch; an earlier one than is
    /// kept makes no difference, and one of an unknown user or token may be
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written; the caller tries again.
    async fn record_usage(&self, batch: &[TokenUse]) -> Result<(), StoreError>;

    /// The latest use of each of the user's tokens that has one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn usage(&self, user: &UserId) -> Result<Vec<TokenUsage>, StoreError>;

    /// The user's history, the latest entry first: entries with a revision
    /// below `before`, at most `size` of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<HistoryPage, StoreError>;

    /// A feed of every change from now on, made by any node or process.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if no feed can be opened.
    async fn changes(&self) -> Result<Feed, StoreError>;

    /// Sends a heartbeat through the channel that carries the changes, in order
    /// with them, to every feed including the sender's own.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be sent.
    async fn heartbeat(&self, id: HeartbeatId) -> Result<(), StoreError>;

    /// How many tokens in use (primary, backup, pending) have a digest made
    /// under each pepper version; versions without any are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError>;

    /// How many tokens in use have each prefix; prefixes without any are left
    /// out. `None` counts those of another form than this crate generates, and
    /// those that were imported by their digest alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError>;

    /// The check values of peppers that are kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError>;

    /// Keeps the check value of a pepper version, unless it has one, and answers
    /// with the one that it has from now on. Of several that are offered at the
    /// same time one is kept for all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written.
    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError>;

    /// Removes an account, its history and its uses, in one durable change.
    ///
    /// From then on the user has no account; a digest that it named leads to
    /// nobody and can be named by no account, for 90 days at least; and an
    /// account is made only with a revision and with token ids above what it has
    /// [reached](Erasure::reached). The feed carries [`Erasure::change`].
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Conflict`] if there is no account at that revision:
    /// nothing has changed. [`StoreErrorKind::Unavailable`]: it may or may not
    /// be erased; load the account to find out.
    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError>;
}

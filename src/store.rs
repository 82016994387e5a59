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
//! stores can disagree. What not every host has is a capability beside it:
//! [`ChangeFeed`], [`LastUses`], [`AuditLog`] and [`DueAccounts`].

mod arc;
mod audit_log;
#[cfg(feature = "cache")]
mod cached;
#[cfg(feature = "conformance")]
pub mod conformance;
mod due;
mod error;
mod feed;
mod maps;
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
mod replacement;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
mod sync;
#[cfg(feature = "tokio")]
mod timeout;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::audit_log::{AuditCursor, AuditItem, AuditLog, AuditPosition};
#[cfg(feature = "cache")]
pub use self::cached::{CacheOptions, CacheStatistics, CachedStore, MonotonicClock};
pub use self::due::{Due, DueAccounts};
#[cfg(feature = "tokio")]
pub(crate) use self::error::supported;
pub use self::error::{StoreError, StoreErrorKind};
pub use self::feed::{Change, ChangeFeed, Feed, FeedItem};
pub use self::memory::MemoryStore;
#[cfg(feature = "metrics")]
pub use self::metrics::WithMetrics;
pub use self::page::{Page, PageSize};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisOpenError, RedisOptions, RedisStore};
pub use self::replacement::{Erasure, Loaded, Replacement};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Durability, SqliteError, SqliteOptions, SqliteStore};
#[cfg(feature = "tokio")]
pub use self::timeout::WithTimeout;
#[cfg(feature = "tokio")]
pub(crate) use self::timeout::{LateWrite, NotBegun};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

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

/// Keeps accounts: what the manager needs.
///
/// A host that keeps accounts in a table of its own writes [`load`](Self::load),
/// [`replace`](Self::replace), [`list`](Self::list) and [`history`](Self::history).
/// Everything else has a default:
///
/// | method | default |
/// |---|---|
/// | [`replace_many`](Self::replace_many) | one change after the other |
/// | [`pepper_versions`](Self::pepper_versions), [`prefixes`](Self::prefixes) | counted over the whole list |
/// | [`last_uses`](Self::last_uses) | none: views show no last use, and a token may always be in use |
/// | [`feed`](Self::feed) | none: a `CachedStore` believes what it was told for a bounded time |
/// | [`audit_log`](Self::audit_log) | none: nothing is delivered, and only histories of one user are shown |
/// | [`due_accounts`](Self::due_accounts) | none: nobody is told before a token ends |
/// | [`pepper_checks`](Self::pepper_checks), [`keep_pepper_check`](Self::keep_pepper_check) | [`Unsupported`](StoreErrorKind::Unsupported): no manager starts with a pepper |
/// | [`erase`](Self::erase) | [`Unsupported`](StoreErrorKind::Unsupported): nobody can be erased |
///
/// # The contract
///
/// * A change is *conditional*: it is written if, and only if, the account's
///   revision is the expected one at that moment. Else it is a
///   [`StoreErrorKind::Conflict`], and nothing has changed.
/// * A digest is named by at most one place of at most one account. A change
///   that would name one twice is a `Conflict` too, and nothing has changed.
/// * A deadlock or a serialization failure is no `Conflict`, since the account has
///   not changed: the store tries again, and if that does not help it is
///   [`Unavailable`](StoreErrorKind::Unavailable).
/// * A change is *atomic and durable*: when `replace` has returned `Ok`, the
///   account, its digests, its entries in the history and the message to the
///   feed, if there is one, are there, and a crash does not undo them. A change that
///   failed has left all of that or nothing, and the error's kind says which: nothing,
///   but after [`Unavailable`](StoreErrorKind::Unavailable) or
///   [`Refused`](StoreErrorKind::Refused), one of which a store answers that cannot
///   know. `load` and `history` then show what was made, and nothing that can still
///   be undone: by them the manager finds out.
/// * When `replace` has returned, `find`, `peek` and `load` of this store
///   answer by the new state. A reader during a change sees the old account or
///   the new one.
/// * A future that is dropped half-way leaves the change made or not made, and
///   the store usable.
/// * Recorded uses never change an account, its revision or its history. A use
///   goes with its token: when the account names it no longer, or is erased.
/// * What was erased stays apart: its digests are taken as if an account named
///   them, for 90 days at least, and no account begins below what it has reached.
/// * Revisions and token ids are kept exactly up to 2⁶³ − 1, the greatest signed
///   integer of 64 bits; the manager makes none beyond it.
/// * A history may be pruned from its earliest entry on. Its latest entry stays for
///   as long as the account, and every entry for an hour: by them the manager
///   finds out whether a change was made whose outcome it was not told.
///
/// The module `conformance` (feature of that name) holds tests of it.
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
    /// [`StoreErrorKind::Unavailable`] or [`StoreErrorKind::Refused`]: it may or may
    /// not have been written; load the account to find out.
    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError>;

    /// The accounts after that of user `after` in the byte order of user ids,
    /// at most `size` of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError>;

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
    ) -> Result<Page<AuditEntry, Revision>, StoreError>;

    /// Writes many changes, each of them as [`replace`](Self::replace) would and in
    /// their order, and answers for each. One that conflicts leaves the others
    /// alone. A user or a digest may come more than once: a later change meets what
    /// an earlier one has written.
    ///
    /// By default one is written after the other. A store whose transactions are
    /// costly writes many of them in one.
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
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut answers = Vec::with_capacity(replacements.len());
        for replacement in replacements {
            answers.push(self.replace(replacement).await);
        }
        Ok(answers)
    }

    /// Where last uses are kept, if they are.
    ///
    /// A store in front of another one answers for that one.
    fn last_uses(&self) -> Option<&dyn LastUses> {
        None
    }

    /// What tells of changes, if anything does.
    ///
    /// A store in front of another one answers for that one.
    fn feed(&self) -> Option<&dyn ChangeFeed> {
        None
    }

    /// What gives the histories of all accounts as one log, if anything does.
    ///
    /// A store in front of another one answers for that one.
    fn audit_log(&self) -> Option<&dyn AuditLog> {
        None
    }

    /// What finds the accounts about which something is to be done, if anything does.
    ///
    /// A store in front of another one answers for that one.
    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        None
    }

    /// How many tokens in use (primary, backup, pending) have a digest made
    /// under each pepper version; versions without any are left out.
    ///
    /// By default they are counted over the whole [`list`](Self::list).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        count_over_list(self, |account| account.pepper_versions_in_use().collect()).await
    }

    /// How many tokens in use have each prefix; prefixes without any are left
    /// out. `None` counts those of another form than this crate generates, and
    /// those that were imported by their digest alone.
    ///
    /// By default they are counted over the whole [`list`](Self::list).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        count_over_list(self, |account| account.prefixes_in_use().collect()).await
    }

    /// The check values of peppers that are kept. Asked for only where there is a
    /// pepper.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unsupported`] by default; [`StoreError`] if they cannot be
    /// had.
    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        Err(StoreError::unsupported("reading pepper check values"))
    }

    /// Keeps the check value of a pepper version, unless it has one, and answers
    /// with the one that it has from now on. Of several that are offered at the
    /// same time one is kept for all.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unsupported`] by default; [`StoreError`] if it could not be
    /// written.
    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        let _ = (version, check);
        Err(StoreError::unsupported("keeping a pepper check value"))
    }

    /// Removes an account, its history and its uses, in one durable change.
    ///
    /// From then on the user has no account; a digest that it named leads to
    /// no account and can be named by no account, for 90 days at least; and an
    /// account is made only with a revision and with token ids above what it has
    /// [reached](Erasure::reached). The feed, if there is one, carries
    /// [`Erasure::change`].
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unsupported`] by default: nothing has changed.
    /// [`StoreErrorKind::Conflict`] if there is no account at that revision:
    /// nothing has changed. [`StoreErrorKind::Unavailable`]: it may or may not
    /// be erased; load the account to find out.
    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        let _ = erasure;
        Err(StoreError::unsupported("erasing an account"))
    }
}

/// How often each thing comes that `things` shows of an account.
async fn count_over_list<T: Ord + Send>(
    store: &(impl AccountStore + ?Sized),
    things: fn(&Account) -> Vec<T>,
) -> Result<Vec<(T, u64)>, StoreError> {
    let (mut counts, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.list(after.as_ref(), PageSize::MAX).await?;
        for thing in page.items.iter().flat_map(|account| things(account)) {
            *counts.entry(thing).or_default() += 1;
        }
        after = page.next;
        if after.is_none() {
            return Ok(counts.into_iter().collect());
        }
    }
}

/// Keeps when, and by which client, each token was last used: a capability of an
/// [`AccountStore`].
///
/// Without it views show no last use, and only somebody who says so ends a token
/// that may be in use.
#[async_trait]
pub trait LastUses: Send + Sync {
    /// Keeps the latest use of each token in the batch; an earlier one than is
    /// kept makes no difference, and one of an unknown user or token may be
    /// dropped. A token may come more than once.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written; the caller tries again.
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError>;

    /// The latest use of each of the user's tokens that has one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError>;
}

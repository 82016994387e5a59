//! A limit on how long a store may take, and writes that go on although their callers
//! were told that they take too long.

use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::error::supported;
use super::{
    AccountStore, AuditCursor, AuditItem, AuditLog, AuditPosition, ChangeFeed, Due, DueAccounts,
    Erasure, Feed, LastUses, Loaded, Page, PageSize, Replacement, StoreError, StoreErrorKind,
    TokenStore,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// How many writes may be under way at once, those included that nobody waits
/// for any more.
const WRITES: usize = 256;

/// How long tokens may be counted at least: some stores go through all accounts,
/// and no request waits for it.
const COUNTING: Duration = Duration::from_secs(30);

/// Gives up waiting for a store after a limit: the answer is then
/// [`StoreErrorKind::Unavailable`].
///
/// Reading is dropped when the limit has passed or the caller hangs up.
/// Writing is not: it goes on in its own task, so that no store ever sees a
/// write broken off half-way, and an answer that says `Unavailable` means that
/// it may still happen. At most 256 writes are under way at once; a further one
/// waits for its turn within its limit, and is not begun if that passes.
/// A [`TokenManager`](crate::manage::TokenManager) waits for a change that goes
/// on, and tells of it when it is made.
///
/// A whole batch of changes ([`replace_many`](AccountStore::replace_many)) has one
/// limit too: whoever imports tens of thousands of accounts at once sets a longer one.
///
/// Counting tokens ([`pepper_versions`](AccountStore::pepper_versions) and
/// [`prefixes`](AccountStore::prefixes), as at a start) may take half a minute where
/// the limit is shorter. [`peek`](TokenStore::peek) does not wait and has no limit.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::store::{MemoryStore, WithTimeout};
///
/// let store = WithTimeout::new(MemoryStore::new()).limit(Duration::from_millis(500));
/// ```
///
/// # Panics
///
/// Its methods panic outside a tokio runtime whose timer is enabled.
pub struct WithTimeout<S> {
    inner: Arc<S>,
    limit: Duration,
    writes: Arc<Semaphore>,
}

impl<S> WithTimeout<S> {
    /// Waits for `store` for two seconds at most.
    #[must_use]
    pub fn new(store: S) -> Self {
        let (inner, writes) = (Arc::new(store), Arc::new(Semaphore::new(WRITES)));
        Self { inner, limit: Duration::from_secs(2), writes }
    }

    /// Waits for `limit` at most, by default two seconds.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The store behind.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn read<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        read_within(self.limit, doing, work).await
    }

    async fn count<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        read_within(self.limit.max(COUNTING), doing, work).await
    }
}

impl<S: AccountStore> WithTimeout<S> {
    /// Writes in a task of its own; `work` gets the store. An error that says
    /// that it takes too long leads to the answer.
    async fn write<F>(&self, doing: &'static str, work: impl FnOnce(Arc<S>) -> F + Send) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let limit = Instant::now().checked_add(self.limit);
        let turn = match within(limit, Arc::clone(&self.writes).acquire_owned()).await {
            Ok(turn) => turn.map_err(|closed| unavailable(doing).with_source(closed))?,
            Err(_) => return Err(unavailable(doing).with_source(NotBegun)),
        };
        let work = work(Arc::clone(&self.inner));
        let mut task = tokio::spawn(async move {
            let _turn = turn;
            work.await
        });
        match within(limit, &mut task).await {
            // The message of a panic is left out: it may quote anything.
            Ok(answer) => answer.unwrap_or_else(|_| Err(unavailable(doing))),
            Err(_) => {
                let late = async move { task.await.unwrap_or_else(|_| Err(unavailable(doing))) };
                Err(unavailable(doing).with_source(LateWrite::new(late)))
            }
        }
    }
}

async fn read_within<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(limit, work).await;
    answer.unwrap_or_else(|elapsed| Err(unavailable(doing).with_source(elapsed)))
}

/// What comes of `work` until `limit`, for which `None` is never.
async fn within<T>(limit: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        Some(limit) => timeout_at(limit, work).await,
        None => Ok(work.await),
    }
}

const fn unavailable(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing)
}

impl<S> fmt::Debug for WithTimeout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTimeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore> TokenStore for WithTimeout<S> {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        self.inner.peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.read("looking up a token", self.inner.find(digest)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AccountStore> AccountStore for WithTimeout<S> {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.read("loading an account", self.inner.load(user)).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.write("replacing an account", |store| async move {
            let written = store.replace(replacement).await;
            written.map(|()| vec![Ok(())])
        })
        .await
        .map(drop)
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.write(
            "replacing accounts",
            |store| async move { store.replace_many(replacements).await },
        )
        .await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.read("listing accounts", self.inner.list(after, size)).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.read("reading a history", self.inner.history(user, before, size)).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        self.inner.last_uses().map(|_| self as &dyn LastUses)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner.feed().map(|_| self as &dyn ChangeFeed)
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        self.inner.audit_log().map(|_| self as &dyn AuditLog)
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        self.inner.due_accounts().map(|_| self as &dyn DueAccounts)
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.count("counting tokens by pepper", self.inner.pepper_versions()).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.count("counting tokens by prefix", self.inner.prefixes()).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.read("reading pepper check values", self.inner.pepper_checks()).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        const KEEPING: &str = "keeping a pepper check value";
        self.write(KEEPING, move |store| async move {
            let kept = store.keep_pepper_check(version, check).await;
            kept.map(|_| Vec::new())
        })
        .await?;
        let kept = self.pepper_checks().await?.of(version).copied();
        kept.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, KEEPING))
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.write("erasing an account", |store| async move {
            let erased = store.erase(erasure).await;
            erased.map(|()| vec![Ok(())])
        })
        .await
        .map(drop)
    }
}

#[async_trait]
impl<S: AccountStore> LastUses for WithTimeout<S> {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        const RECORDING: &str = "recording last uses";
        let batch = batch.to_vec();
        self.write(RECORDING, |store| async move {
            let written = supported(store.last_uses(), RECORDING)?.record_usage(&batch).await;
            written.map(|()| Vec::new())
        })
        .await
        .map(drop)
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        const READING: &str = "reading last uses";
        self.read(READING, supported(self.inner.last_uses(), READING)?.usage(user)).await
    }
}

#[async_trait]
impl<S: AccountStore> ChangeFeed for WithTimeout<S> {
    async fn changes(&self) -> Result<Feed, StoreError> {
        const OPENING: &str = "opening the feed of changes";
        self.read(OPENING, supported(self.inner.feed(), OPENING)?.changes()).await
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        const SENDING: &str = "sending a heartbeat";
        self.read(SENDING, supported(self.inner.feed(), SENDING)?.heartbeat(id)).await
    }
}

#[async_trait]
impl<S: AccountStore> AuditLog for WithTimeout<S> {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        const DOING: &str = "reading the audit log";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.count(DOING, inner.audit(after, size)).await
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        const DOING: &str = "reading the audit log";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.count(DOING, inner.audit_end()).await
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        const DOING: &str = "pruning the audit log";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.count(DOING, inner.prune_audit(before)).await
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        const DOING: &str = "reading cursors";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.audit_cursors()).await
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        const DOING: &str = "leasing a cursor";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.lease_cursor(name, holder, time)).await
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "moving a cursor";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.move_cursor(name, holder, to)).await
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        const DOING: &str = "keeping what is done";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.keep_done(name, holder, done)).await
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        const DOING: &str = "reading what is done";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.done(name)).await
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        const DOING: &str = "removing a cursor";
        let inner = supported(self.inner.audit_log(), DOING)?;
        self.read(DOING, inner.remove_cursor(name)).await
    }
}

#[async_trait]
impl<S: AccountStore> DueAccounts for WithTimeout<S> {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        const DOING: &str = "reading due accounts";
        let inner = supported(self.inner.due_accounts(), DOING)?;
        self.read(DOING, inner.due(until, after, size)).await
    }

    async fn put_off(
        &self,
        user: &UserId,
        revision: Revision,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "putting off an account";
        let inner = supported(self.inner.due_accounts(), DOING)?;
        self.read(DOING, inner.put_off(user, revision, due)).await
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        const DOING: &str = "putting off accounts";
        let inner = supported(self.inner.due_accounts(), DOING)?;
        self.count(DOING, inner.put_off_many(accounts)).await
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        const DOING: &str = "reading the schedule";
        let inner = supported(self.inner.due_accounts(), DOING)?;
        self.read(DOING, inner.schedule()).await
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        const DOING: &str = "keeping the schedule";
        let inner = supported(self.inner.due_accounts(), DOING)?;
        self.read(DOING, inner.keep_schedule(schedule)).await
    }
}

/// What a store says of some changes: of each, or that it failed as a whole.
type Answer = Result<Vec<Result<(), StoreError>>, StoreError>;

type Waiting = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Leads to the answer to a write that is still going on.
///
/// It is the source of the error that says so, where whoever must know what
/// becomes of the write finds it, whatever stands around the store.
pub(crate) struct LateWrite(Arc<Mutex<Option<Waiting>>>);

impl LateWrite {
    fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(answer)))))
    }

    /// The write that the error is about, if it goes on.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        cause(error).map(|Self(waiting)| Self(Arc::clone(waiting)))
    }

    /// Waits for the answer, which only the first to ask gets.
    pub(crate) async fn answer(self) -> Answer {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match waiting {
            Some(waiting) => waiting.await,
            None => Ok(Vec::new()),
        }
    }
}

/// The error's cause of that type, whatever stands around it.
fn cause<T: Error + 'static>(error: &StoreError) -> Option<&T> {
    successors(error.source(), |&cause| cause.source()).find_map(|cause| cause.downcast_ref())
}

impl Error for LateWrite {}

impl fmt::Display for LateWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it takes too long, and goes on")
    }
}

impl fmt::Debug for LateWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateWrite")
    }
}

/// The source of an error that says that a write was never begun.
#[derive(Debug, thiserror::Error)]
#[error("too many writes are under way, and it was not begun")]
pub(crate) struct NotBegun;

impl NotBegun {
    /// Whether the error says so: nothing was written, and nothing will be.
    pub(crate) fn is_cause_of(error: &StoreError) -> bool {
        cause::<Self>(error).is_some()
    }
}

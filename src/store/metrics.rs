//! Measures how long a store takes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::error::supported;
use super::{
    AccountStore, AuditCursor, AuditItem, AuditLog, AuditPosition, ChangeFeed, Due, DueAccounts,
    Erasure, Feed, LastUses, Loaded, Page, PageSize, Replacement, StoreError, StoreErrorKind,
    TokenStore,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::telemetry::{store_answered, store_measured};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// Measures how long each call of a store takes, and counts those that fail, as
/// [`metrics`](crate::metrics) says.
///
/// Put it around a `WithTimeout`, so that a call which takes too long counts as
/// failed, and behind a `CachedStore`, so that what is measured is the store. A
/// call that its caller drops is not counted, nor is
/// [`peek`](TokenStore::peek), which does not wait.
///
/// ```
/// use tower_api_token::store::{MemoryStore, WithMetrics};
///
/// let store = WithMetrics::new(MemoryStore::new());
/// ```
pub struct WithMetrics<S> {
    inner: S,
}

impl<S> WithMetrics<S> {
    /// Measures `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        store_measured(&FAILURES);
        Self { inner: store }
    }

    /// The store behind.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

/// Every kind of failure, so that its count is there before the first.
const FAILURES: [&str; 7] = [
    StoreErrorKind::Conflict.label(),
    StoreErrorKind::Corrupt.label(),
    StoreErrorKind::Unavailable.label(),
    StoreErrorKind::NotSetUp.label(),
    StoreErrorKind::NewerSchema.label(),
    StoreErrorKind::Refused.label(),
    StoreErrorKind::Unsupported.label(),
];

async fn measured<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let outcome = work.await;
    store_answered(
        operation,
        begun.elapsed(),
        outcome.as_ref().err().map(|error| error.kind().label()),
    );
    outcome
}

impl<S> fmt::Debug for WithMetrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithMetrics").finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TokenStore> TokenStore for WithMetrics<S> {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        self.inner.peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        measured("find", self.inner.find(digest)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AccountStore> AccountStore for WithMetrics<S> {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        measured("load", self.inner.load(user)).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        measured("replace", self.inner.replace(replacement)).await
    }

    /// One call; of its replacements those that conflict are not counted.
    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        measured("replace_many", self.inner.replace_many(replacements)).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        measured("list", self.inner.list(after, size)).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        measured("history", self.inner.history(user, before, size)).await
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
        measured("pepper_versions", self.inner.pepper_versions()).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        measured("prefixes", self.inner.prefixes()).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        measured("pepper_checks", self.inner.pepper_checks()).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        let kept = self.inner.keep_pepper_check(version, check);
        measured("keep_pepper_check", kept).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        measured("erase", self.inner.erase(erasure)).await
    }
}

#[async_trait]
impl<S: AccountStore> LastUses for WithMetrics<S> {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let uses = supported(self.inner.last_uses(), "recording last uses")?;
        measured("record_usage", uses.record_usage(batch)).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        let uses = supported(self.inner.last_uses(), "reading last uses")?;
        measured("usage", uses.usage(user)).await
    }
}

#[async_trait]
impl<S: AccountStore> ChangeFeed for WithMetrics<S> {
    async fn changes(&self) -> Result<Feed, StoreError> {
        let feed = supported(self.inner.feed(), "opening the feed of changes")?;
        measured("changes", feed.changes()).await
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        let feed = supported(self.inner.feed(), "sending a heartbeat")?;
        measured("heartbeat", feed.heartbeat(id)).await
    }
}

#[async_trait]
impl<S: AccountStore> AuditLog for WithMetrics<S> {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        let inner = supported(self.inner.audit_log(), "reading the audit log")?;
        measured("audit", inner.audit(after, size)).await
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        let inner = supported(self.inner.audit_log(), "reading the audit log")?;
        measured("audit_end", inner.audit_end()).await
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let inner = supported(self.inner.audit_log(), "pruning the audit log")?;
        measured("prune_audit", inner.prune_audit(before)).await
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        let inner = supported(self.inner.audit_log(), "reading cursors")?;
        measured("audit_cursors", inner.audit_cursors()).await
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let inner = supported(self.inner.audit_log(), "leasing a cursor")?;
        measured("lease_cursor", inner.lease_cursor(name, holder, time)).await
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        let inner = supported(self.inner.audit_log(), "moving a cursor")?;
        measured("move_cursor", inner.move_cursor(name, holder, to)).await
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        let inner = supported(self.inner.audit_log(), "keeping what is done")?;
        measured("keep_done", inner.keep_done(name, holder, done)).await
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        let inner = supported(self.inner.audit_log(), "reading what is done")?;
        measured("done", inner.done(name)).await
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        let inner = supported(self.inner.audit_log(), "removing a cursor")?;
        measured("remove_cursor", inner.remove_cursor(name)).await
    }
}

#[async_trait]
impl<S: AccountStore> DueAccounts for WithMetrics<S> {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        let inner = supported(self.inner.due_accounts(), "reading due accounts")?;
        measured("due", inner.due(until, after, size)).await
    }

    async fn put_off(
        &self,
        user: &UserId,
        revision: Revision,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let inner = supported(self.inner.due_accounts(), "putting off an account")?;
        measured("put_off", inner.put_off(user, revision, due)).await
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        let inner = supported(self.inner.due_accounts(), "putting off accounts")?;
        measured("put_off_many", inner.put_off_many(accounts)).await
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        let inner = supported(self.inner.due_accounts(), "reading the schedule")?;
        measured("schedule", inner.schedule()).await
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        let inner = supported(self.inner.due_accounts(), "keeping the schedule")?;
        measured("keep_schedule", inner.keep_schedule(schedule)).await
    }
}

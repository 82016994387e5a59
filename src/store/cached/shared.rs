//! What requests and the tasks of a cache share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::clock::nanos;
use super::counters::{CacheStatistics, Counters};
use super::entries::{Asked, Entries, Known, Unknown};
use super::load::{Outcome, Work};
use super::negative::{NegativeEntries, negative_entries};
use super::options::CacheOptions;
use crate::account::Account;
use crate::store::lock_free::{LockFree, lock_free};
use crate::store::{Change, StoreError, StoreErrorKind, TokenStore};
use crate::token::TokenDigest;

pub(super) struct Shared<S> {
    pub(super) entries: Entries<LockFree<Known>, NegativeEntries<Unknown>>,
    pub(super) inner: S,
    pub(super) counters: Counters,
    /// Asks for a heartbeat at once.
    pub(super) hurry: Notify,
    /// For how long an answer and a lease hold.
    pub(super) term: Duration,
    bypass: Semaphore,
    bypass_wait: Duration,
}

impl<S> Shared<S> {
    pub(super) fn new(inner: S, options: CacheOptions) -> Self {
        let term = options.term();
        let (known, unknown) = (lock_free(), negative_entries(options.negative_entries));
        Self {
            entries: Entries::new(known, unknown, options.accounts, nanos(term), options.clock),
            inner,
            counters: Counters::default(),
            hurry: Notify::new(),
            term,
            bypass: Semaphore::new(options.bypass_loads.min(Semaphore::MAX_PERMITS)),
            bypass_wait: options.bypass_wait,
        }
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        let (entries, loads) = self.entries.sizes();
        CacheStatistics {
            entries: entries as u64,
            loads: loads as u64,
            trusted: self.entries.is_trusted(),
            ..self.counters.statistics()
        }
    }

    /// Changes may have been missed.
    pub(super) fn lose(&self) {
        self.counters.losses.add(1);
        self.entries.lose();
        self.hurry.notify_one();
    }

    /// The feed tells of a change.
    pub(super) fn heard(&self, change: &Change) {
        self.counters.invalidations.add(1);
        self.entries.forget(change);
    }

    /// This node has made these changes, or may have.
    pub(super) fn wrote(&self, changes: &[Change]) {
        self.counters.invalidations.add(changes.len());
        self.entries.forget_own(changes);
    }
}

impl<S: TokenStore> Shared<S> {
    /// The remembered answer, or the store's. A request that has joined a
    /// look-up which turns out to be too old asks once more.
    pub(super) async fn find(
        self: &Arc<Self>,
        digest: &TokenDigest,
    ) -> Result<Option<Arc<Account>>, StoreError> {
        for _ in 0..2 {
            let waiting = match self.entries.ask(digest, || self.work(*digest)) {
                Asked::Remembered(answer) => return Ok(self.count(answer)),
                Asked::Waiting(waiting) => waiting,
            };
            if !waiting.leads() {
                self.counters.joined.add(1);
            }
            if let Some(outcome) = waiting.outcome().await {
                return told(outcome);
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "waiting for look-ups that took too long"))
    }

    fn count(&self, answer: Option<Arc<Account>>) -> Option<Arc<Account>> {
        match answer {
            Some(_) => self.counters.hits.add(),
            None => self.counters.negative_hits.add(1),
        }
        answer
    }

    fn work(self: &Arc<Self>, digest: TokenDigest) -> Work {
        let shared = Arc::clone(self);
        Box::pin(async move {
            let _turn = shared.turn().await?;
            shared.counters.misses.add(1);
            shared.inner.find(&digest).await
        })
    }

    /// A turn among the look-ups while the cache is not trusted.
    async fn turn(&self) -> Result<Option<SemaphorePermit<'_>>, StoreError> {
        if self.entries.is_trusted() {
            return Ok(None);
        }
        match tokio::time::timeout(self.bypass_wait, self.bypass.acquire()).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            _ => {
                self.counters.refused.add(1);
                let doing = "waiting for a turn past the cache, which is not trusted";
                Err(StoreError::new(StoreErrorKind::Unavailable, doing))
            }
        }
    }
}

/// Errors cannot be cloned: each request gets one of the same kind, with the
/// store's as its source.
fn told(outcome: Outcome) -> Result<Option<Arc<Account>>, StoreError> {
    let told = |error: Arc<StoreError>| {
        StoreError::new(error.kind(), "looking up a token past the cache").with_source(error)
    };
    outcome.map_err(told)
}

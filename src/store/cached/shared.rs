//! What requests and the tasks of a cache share, and the tasks: one follows the feed,
//! one sends heartbeats.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::clock::nanos;
use super::counters::{CacheMeter, CacheStatistics, Counters};
use super::entries::Entries;
use super::load::{Asked, Outcome, Work};
use super::maps::{DigestMap, NegativeMap};
use super::options::CacheOptions;
use crate::account::Account;
use crate::store::error::supported;
use crate::store::{AccountStore, Change, Feed, FeedItem, StoreError, StoreErrorKind, TokenStore};
use crate::telemetry::cache_trust_changed;
use crate::token::TokenDigest;

const OPENING: &str = "opening the feed of changes";
const SENDING: &str = "sending a heartbeat";

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how many terms a feed may bring no echo before it is opened anew: it may
/// be half open, which only TCP's own time-outs would find.
const SILENCE: u32 = 2;

/// Heartbeats a term: some may be lost or late before trust runs out.
const HEARTBEATS: u32 = 4;

pub(super) struct Shared<S> {
    pub(super) entries: Entries,
    pub(super) inner: S,
    pub(super) counters: Counters,
    /// Asks for a heartbeat at once.
    pub(super) heartbeat_wanted: Notify,
    /// For how long an answer and a lease hold.
    pub(super) term: Duration,
    bypass: Semaphore,
    bypass_wait: Duration,
}

impl<S> Shared<S> {
    pub(super) fn new(inner: S, options: CacheOptions) -> Self {
        let term = options.term();
        let (known, negative) = (DigestMap::new(), NegativeMap::new(options.negative_entries));
        Self {
            entries: Entries::new(known, negative, options.accounts, nanos(term), options.clock),
            inner,
            counters: Counters::default(),
            heartbeat_wanted: Notify::new(),
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
    fn lose(&self) {
        self.counters.losses.add(1);
        self.entries.lose();
        self.heartbeat_wanted.notify_one();
    }

    /// The feed has brought a change.
    fn invalidate(&self, change: &Change) {
        self.counters.invalidations.add(1);
        self.entries.invalidate(change);
    }

    /// This node has made these changes, or may have.
    pub(super) fn invalidate_own(&self, changes: &[Change]) {
        self.counters.invalidations.add(changes.len());
        self.entries.invalidate_own(changes);
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
                return shared_error(outcome);
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
            let _permit = shared.bypass_permit().await?;
            shared.counters.misses.add(1);
            shared.inner.find(&digest).await
        })
    }

    /// Leave to ask the store; while the cache is not trusted one of a few permits.
    async fn bypass_permit(&self) -> Result<Option<SemaphorePermit<'_>>, StoreError> {
        if self.entries.is_trusted() {
            return Ok(None);
        }
        match timeout(self.bypass_wait, self.bypass.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
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
fn shared_error(outcome: Outcome) -> Result<Option<Arc<Account>>, StoreError> {
    outcome.map_err(|error| {
        StoreError::new(error.kind(), "looking up a token past the cache").with_source(error)
    })
}

/// Follows the feed, and opens it anew whenever it ends or falls silent.
pub(super) async fn follow<S: AccountStore>(shared: Arc<Shared<S>>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        match open(&shared).await {
            Ok(feed) => {
                if receive(&shared, feed).await {
                    pause = SHORTEST_PAUSE;
                }
                shared.lose();
            }
            Err(error) => error.log(),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn open<S: AccountStore>(shared: &Shared<S>) -> Result<Feed, StoreError> {
    let limit = (shared.term * SILENCE).max(LONGEST_PAUSE);
    let feed = supported(shared.inner.feed(), OPENING)?;
    timeout(limit, feed.changes()).await.unwrap_or_else(|elapsed| {
        let error = StoreError::new(StoreErrorKind::Unavailable, OPENING);
        Err(error.with_source(elapsed))
    })
}

/// Receives what a feed brings, to its end; whether it ever brought an echo.
async fn receive<S: AccountStore>(shared: &Shared<S>, mut feed: Feed) -> bool {
    shared.lose();
    let mut echoed = false;
    let mut deadline = Instant::now() + shared.term * SILENCE;
    while let Ok(Some(item)) = timeout_at(deadline, next(&mut feed)).await {
        match item {
            FeedItem::Change(change) => shared.invalidate(&change),
            FeedItem::Lost => shared.lose(),
            FeedItem::Heartbeat(id) => {
                if let Some(lag) = shared.entries.echo(id) {
                    shared.counters.echoed(lag);
                    echoed = true;
                    deadline = Instant::now() + shared.term * SILENCE;
                }
            }
        }
    }
    echoed
}

async fn next(feed: &mut Feed) -> Option<FeedItem> {
    std::future::poll_fn(|cx| Pin::new(&mut *feed).poll_next(cx)).await
}

/// Sends heartbeats, and tells when trust begins or ends.
pub(super) async fn send_heartbeats<S: AccountStore>(shared: Arc<Shared<S>>) {
    let mut healthy = true;
    let mut trusted = false;
    let mut meter = CacheMeter::default();
    loop {
        let sent = heartbeat(&shared).await;
        if let Err(error) = &sent
            && healthy
        {
            error.log();
        }
        healthy = sent.is_ok();
        let waited = timeout(shared.term / HEARTBEATS, shared.heartbeat_wanted.notified()).await;
        drop(waited);
        if std::mem::replace(&mut trusted, shared.entries.is_trusted()) != trusted {
            cache_trust_changed(trusted);
        }
        meter.report(shared.statistics());
    }
}

/// Measures a cache that follows no feed.
pub(super) async fn report<S: TokenStore>(shared: Arc<Shared<S>>) {
    let mut meter = CacheMeter::default();
    loop {
        sleep(shared.term / HEARTBEATS).await;
        meter.report(shared.statistics());
    }
}

/// Gives up in time for another before trust runs out.
async fn heartbeat<S: AccountStore>(shared: &Shared<S>) -> Result<(), StoreError> {
    let id = shared.entries.heartbeat();
    let feed = supported(shared.inner.feed(), SENDING)?;
    timeout(shared.term / 2, feed.heartbeat(id)).await.unwrap_or_else(|elapsed| {
        let error = StoreError::new(StoreErrorKind::Unavailable, SENDING);
        Err(error.with_source(elapsed))
    })
}

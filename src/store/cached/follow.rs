//! The tasks of a cache: one hears the feed, one sends heartbeats.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::counters::CacheMeter;
use super::shared::Shared;
use crate::store::error::supported;
use crate::store::{AccountStore, Feed, FeedItem, StoreError, StoreErrorKind, TokenStore};
use crate::telemetry::cache_trust_changed;

const OPENING: &str = "opening the feed of changes";
const SENDING: &str = "sending a heartbeat";

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how many terms a feed may bring no echo before it is opened anew: it may
/// be half open, which only TCP's own patience would find.
const SILENCE: u32 = 2;

/// Heartbeats a term: some may be lost or late before trust runs out.
const HEARTBEATS: u32 = 4;

/// Follows the feed, and opens it anew whenever it ends or falls silent.
pub(super) async fn follow<S: AccountStore>(shared: Arc<Shared<S>>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        match open(&shared).await {
            Ok(feed) => {
                if hear(&shared, feed).await {
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
    let patience = (shared.term * SILENCE).max(LONGEST_PAUSE);
    let feed = supported(shared.inner.feed(), OPENING)?;
    timeout(patience, feed.changes()).await.unwrap_or_else(|elapsed| {
        let error = StoreError::new(StoreErrorKind::Unavailable, OPENING);
        Err(error.with_source(elapsed))
    })
}

/// Hears a feed to its end; whether it ever brought an echo.
async fn hear<S: AccountStore>(shared: &Shared<S>, mut feed: Feed) -> bool {
    shared.lose();
    let mut echoed = false;
    let mut patience = Instant::now() + shared.term * SILENCE;
    while let Ok(Some(item)) = timeout_at(patience, next(&mut feed)).await {
        match item {
            FeedItem::Change(change) => shared.heard(&change),
            FeedItem::Lost => shared.lose(),
            FeedItem::Heartbeat(id) => {
                if let Some(lag) = shared.entries.echo(id) {
                    shared.counters.echoed(lag);
                    echoed = true;
                    patience = Instant::now() + shared.term * SILENCE;
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
        let waited = timeout(shared.term / HEARTBEATS, shared.hurry.notified()).await;
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

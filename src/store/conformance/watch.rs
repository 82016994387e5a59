//! Reading a feed with a bounded patience.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::subject::Rule;
use crate::store::{Change, ChangeFeed, Feed, FeedItem, StoreError};
use crate::token::TokenDigest;

/// How long a case waits for one item.
const PATIENCE: Duration = Duration::from_secs(30);

/// A feed that is known to be open.
pub(super) struct Watch {
    feed: Feed,
    rule: Rule,
}

impl Watch {
    /// Opens a feed and waits until a heartbeat has come through it. A feed may
    /// begin with the word that earlier changes were missed.
    pub(super) async fn open(store: &dyn ChangeFeed, rule: Rule) -> Self {
        let feed = rule.answered(store.changes().await, "opening a feed");
        let mut watch = Self::over(feed, rule);
        let beat = beat(store, rule).await;
        while watch.next().await != FeedItem::Heartbeat(beat) {}
        watch
    }

    /// Reads a feed from its beginning.
    pub(super) const fn over(feed: Feed, rule: Rule) -> Self {
        Self { feed, rule }
    }

    /// The next item. A heartbeat that no case has sent is passed over: a cache
    /// sends its own through the store that it stands before.
    pub(super) async fn next(&mut self) -> FeedItem {
        loop {
            match self.any().await {
                FeedItem::Heartbeat(id) if !sent().contains(&id) => {}
                item => return item,
            }
        }
    }

    async fn any(&mut self) -> FeedItem {
        let item = poll_fn(|cx| Pin::new(&mut self.feed).poll_next(cx));
        match tokio::time::timeout(PATIENCE, item).await {
            Ok(Some(item)) => item,
            Ok(None) => self.fail("the feed ended before its store"),
            Err(_) => self.fail("an item has not come through the feed within half a minute"),
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("broken rule: {}: {what}", self.rule.0)
    }

    /// The next item, which must be a change.
    pub(super) async fn change(&mut self) -> Change {
        match self.next().await {
            FeedItem::Change(change) => change,
            item => self.fail(&format!("a change should have come, and {item:?} did")),
        }
    }

    /// The items that come before a heartbeat that is sent now.
    pub(super) async fn items(&mut self, store: &dyn ChangeFeed) -> Vec<FeedItem> {
        let beat = beat(store, self.rule).await;
        let mut items = Vec::new();
        loop {
            match self.next().await {
                FeedItem::Heartbeat(echo) if echo == beat => return items,
                item => items.push(item),
            }
        }
    }

    /// The items that come before the echo of a heartbeat, of which some are sent in
    /// vain: the way to the feed may be broken still.
    pub(super) async fn items_after_outage(&mut self, feed: &dyn ChangeFeed) -> Vec<FeedItem> {
        let (mut beats, mut items) = (HashSet::new(), Vec::new());
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let id = new_beat();
            if feed.heartbeat(id).await.is_ok() {
                beats.insert(id);
            }
            while let Some(item) = self.soon().await {
                match item {
                    FeedItem::Heartbeat(echo) if beats.contains(&echo) => return items,
                    item => items.push(item),
                }
            }
        }
        self.fail("no heartbeat has come through the feed within half a minute")
    }

    /// The next item, if one comes within a tenth of a second.
    async fn soon(&mut self) -> Option<FeedItem> {
        let item = poll_fn(|cx| Pin::new(&mut self.feed).poll_next(cx));
        match tokio::time::timeout(PATIENCE / 300, item).await {
            Ok(None) => self.fail("the feed ended before its store"),
            item => item.ok().flatten(),
        }
    }

    /// The changes that come before a heartbeat that is sent now; there must be
    /// nothing else.
    pub(super) async fn changes(&mut self, store: &dyn ChangeFeed) -> Vec<Change> {
        let items = self.items(store).await.into_iter();
        let change = |item| match item {
            FeedItem::Change(change) => change,
            item => self.fail(&format!("only changes should have come, and {item:?} did")),
        };
        items.map(change).collect()
    }
}

/// Sends a heartbeat that nobody has sent before.
async fn beat(store: &dyn ChangeFeed, rule: Rule) -> u64 {
    let id = new_beat();
    send(store, id, rule).await;
    id
}

/// A heartbeat that nobody has sent before; its bits are spread over the whole
/// number.
fn new_beat() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a store answers that may have to connect anew first.
pub(super) async fn patiently<T, F>(rule: Rule, ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(_) if Instant::now() < end => tokio::time::sleep(PATIENCE / 300).await,
            answer => return rule.answered(answer, "asking after an outage"),
        }
    }
}

/// Sends this heartbeat, so that watches do not pass it over.
pub(super) async fn send(store: &dyn ChangeFeed, id: u64, rule: Rule) {
    sent().insert(id);
    rule.answered(store.heartbeat(id).await, "sending a heartbeat");
}

/// The heartbeats that the cases of this process have sent.
fn sent() -> MutexGuard<'static, HashSet<u64>> {
    static SENT: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
    SENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Digests in an order in which they can be compared.
pub(super) fn sorted<'a>(digests: impl IntoIterator<Item = &'a TokenDigest>) -> Vec<TokenDigest> {
    let mut digests: Vec<_> = digests.into_iter().copied().collect();
    digests.sort_unstable_by_key(|digest| *digest.as_bytes());
    digests.dedup();
    digests
}

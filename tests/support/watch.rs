//! Reading a feed with a bounded patience.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use tower_api_token::store::{Change, ChangeFeed, Feed, FeedItem};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn next(feed: &mut Feed) -> FeedItem {
    let item = timeout(PATIENCE, feed.next()).await.expect("an item within half a minute");
    item.expect("the feed goes on")
}

/// The next item that is no heartbeat.
pub(crate) async fn next_change(feed: &mut Feed) -> Change {
    loop {
        match next(feed).await {
            FeedItem::Change(change) => return change,
            FeedItem::Heartbeat(_) => {}
            item => panic!("a change should have come, and {item:?} did"),
        }
    }
}

/// Waits until a loss is reported.
pub(crate) async fn lost(feed: &mut Feed) {
    while next(feed).await != FeedItem::Lost {}
}

/// Sends heartbeats until one of them has come back, and gives what came before
/// it.
pub(crate) async fn echo(store: &impl ChangeFeed, feed: &mut Feed) -> Vec<FeedItem> {
    let mut items = Vec::new();
    for id in 1_000.. {
        let sent = store.heartbeat(id).await.is_ok();
        let pause = Duration::from_millis(if sent { 500 } else { 20 });
        while let Ok(item) = timeout(pause, feed.next()).await {
            match item.expect("the feed goes on") {
                FeedItem::Heartbeat(echo) if echo == id => return items,
                item => items.push(item),
            }
        }
        assert!(id < 2_000, "no heartbeat has come back");
    }
    items
}

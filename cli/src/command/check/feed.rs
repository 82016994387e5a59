//! Whether a store tells of changes.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_core::Stream;
use tokio::time::timeout;
use tower_api_token::store::{ChangeFeed, Feed, FeedItem, HeartbeatId};

use crate::failure::Failure;

/// How long a heartbeat may take to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a heartbeat, and waits for its echo.
pub(super) async fn echo(store: &impl ChangeFeed) -> Result<String, String> {
    let explained = |error| Failure::Store(error).explained();
    let mut feed = store.changes().await.map_err(explained)?;
    // Its own among those of others: the odds of a repetition are nil.
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = time.unwrap_or_default().as_nanos() as u64;
    let id = HeartbeatId::from_u64(nanos.rotate_left(32) ^ u64::from(std::process::id()));
    let sent = Instant::now();
    store.heartbeat(id).await.map_err(explained)?;
    match timeout(PATIENCE, heard(&mut feed, id)).await {
        Ok(true) => Ok(format!("a heartbeat came back after {} ms", sent.elapsed().as_millis())),
        Ok(false) => Err("the feed ended".to_owned()),
        Err(_) => Err(format!("no heartbeat came back within {} s", PATIENCE.as_secs())),
    }
}

async fn heard(feed: &mut Feed, id: HeartbeatId) -> bool {
    loop {
        match poll_fn(|cx| Pin::new(&mut *feed).poll_next(cx)).await {
            Some(FeedItem::Heartbeat(heard)) if heard == id => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

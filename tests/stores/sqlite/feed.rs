//! What tells other processes of changes.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tower_api_token::store::{AccountStore, Change, ChangeFeed, FeedItem, SqliteOptions};

use super::support::{Place, account, count, digest, next, step, until, user};
use tower_api_token::account::Revision;

fn change(name: &str, revision: u64, digests: &[u64]) -> FeedItem {
    let mut digests: Vec<_> = digests.iter().copied().map(digest).collect();
    digests.sort_unstable_by_key(|digest| *digest.as_bytes());
    FeedItem::Change(Change::new(user(name), Revision::from_u64(revision), digests))
}

#[tokio::test]
async fn changes_and_heartbeats_of_another_store_on_the_file_arrive_in_order() {
    let place = Place::new();
    let (here, there) = (place.store().await, place.store().await);
    let mut feed = here.changes().await.unwrap();
    there.replace(step(account("alice", 1, 1))).await.unwrap();
    there.heartbeat(u64::MAX).await.unwrap();
    here.replace(step(account("alice", 2, 2))).await.unwrap();
    here.heartbeat(7).await.unwrap();
    assert_eq!(next(&mut feed).await, change("alice", 1, &[1]));
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(u64::MAX));
    assert_eq!(next(&mut feed).await, change("alice", 2, &[1, 2]));
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(7));
}

#[tokio::test]
async fn a_feed_begins_exactly_where_it_is_opened() {
    let place = Place::new();
    let (here, there) = (place.store().await, place.store().await);
    for round in 0..100 {
        let store = if round % 2 == 0 { &here } else { &there };
        store.replace(step(account("alice", 2 * round + 1, 2 * round + 1))).await.unwrap();
        let mut feed = here.changes().await.unwrap();
        store.replace(step(account("alice", 2 * round + 2, 2 * round + 2))).await.unwrap();
        let digests = [2 * round + 1, 2 * round + 2];
        assert_eq!(next(&mut feed).await, change("alice", 2 * round + 2, &digests));
    }
}

#[tokio::test]
async fn this_store_s_own_changes_do_not_wait_for_the_interval() {
    let place = Place::new();
    let slow = SqliteOptions::new().poll_interval(Duration::from_secs(1));
    let store = slow.open(place.path()).unwrap();
    store.migrate().await.unwrap();
    let mut feed = store.changes().await.unwrap();
    let begin = std::time::Instant::now();
    for revision in 1..=20 {
        store.replace(step(account("alice", revision, revision))).await.unwrap();
        next(&mut feed).await;
    }
    // At the interval's pace it would take 20 s.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_gap_in_the_log_is_reported_as_a_loss() {
    let place = Place::new();
    let store = place.store().await;
    let mut feed = store.changes().await.unwrap();
    place
        .raw()
        .execute_batch(
            "BEGIN IMMEDIATE;
             INSERT INTO changes (heartbeat) VALUES (1), (2);
             DELETE FROM changes WHERE heartbeat = 1;
             COMMIT",
        )
        .unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(2));
    store.heartbeat(3).await.unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(3));
}

#[tokio::test]
async fn a_change_that_cannot_be_read_is_reported_as_a_loss() {
    let place = Place::new();
    let store = place.store().await;
    let mut feed = store.changes().await.unwrap();
    let insert = "INSERT INTO changes (user_id, revision, digests) VALUES ('alice', 1, x'00')";
    place.raw().execute_batch(insert).unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
}

#[tokio::test]
async fn a_file_that_goes_back_in_time_is_reported_as_a_loss() {
    let place = Place::new();
    let store = place.store().await;
    store.heartbeat(1).await.unwrap();
    let mut feed = store.changes().await.unwrap();
    let back = "DELETE FROM changes; UPDATE sqlite_sequence SET seq = 0";
    place.raw().execute_batch(back).unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
    store.heartbeat(2).await.unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(2));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_reported_once_and_tried_again() {
    let place = Place::new();
    let store = place.store().await;
    let mut feed = store.changes().await.unwrap();
    let raw = place.raw();
    raw.execute_batch("ALTER TABLE changes RENAME TO elsewhere").unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
    until(async || store.changes().await.is_err()).await;
    raw.execute_batch("ALTER TABLE elsewhere RENAME TO changes").unwrap();
    store.heartbeat(2).await.unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Heartbeat(2));
}

#[tokio::test]
async fn a_feed_ends_with_its_store() {
    let place = Place::new();
    let store = place.store().await;
    let mut feed = store.changes().await.unwrap();
    assert!(feed.next().now_or_never().is_none());
    drop(store);
    assert_eq!(feed.next().now_or_never(), Some(None));
}

#[tokio::test]
async fn the_log_of_changes_is_bounded() {
    let place = Place::new();
    let store = place.store().await;
    for batch in 0..5 {
        let numbers = batch * 5_000..(batch + 1) * 5_000;
        let batch = numbers.map(|number| step(account(&format!("user {number}"), 1, number)));
        let results = store.replace_many(batch.collect()).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
    // The last batch, and as many as a reader may be behind it.
    let kept = count(&place.raw(), "changes");
    assert!((15_000..=16_000).contains(&kept), "{kept}");
}

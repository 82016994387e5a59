//! The feed: what breaks it, and what a listener is told then.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tower_api_token::store::{AccountStore, ChangeFeed, FeedItem, RedisStore, StoreErrorKind};

use crate::redis_server::{DURABLE, Server};
use crate::relay::{Mode, Relay};
use crate::sample::{account, change, user};
use crate::watch::{echo, lost, next, next_change};

/// Nothing here hangs on events of the key space, which servers have switched
/// off by default.
#[tokio::test]
async fn cache_012_the_feed_needs_no_events_of_the_key_space() {
    let server = Server::start(&DURABLE);
    let events = server.tell("CONFIG GET notify-keyspace-events");
    assert!(events.contains("$0\r\n"), "the default: {events:?}");
    let store = server.deployment().store().await;
    let mut feed = store.changes().await.unwrap();
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert_eq!(next_change(&mut feed).await.user, user("alice"));
    assert_eq!(server.tell("CONFIG GET notify-keyspace-events"), events, "nothing was set");
}

/// Messages that do not come through are found when a feed is opened.
#[tokio::test]
async fn cache_012_a_channel_that_carries_nothing_is_found_at_the_start() {
    let server = Server::shared();
    let relay = Relay::filtering(server.address(), without_messages).await;
    let store = server.deployment().through(relay.address).store().await;
    let error = store.changes().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

fn without_messages(bytes: &[u8]) -> Vec<u8> {
    let message = b"smessage";
    let holds = bytes.windows(message.len()).any(|part| part == message);
    if holds { Vec::new() } else { bytes.to_vec() }
}

#[tokio::test]
async fn a_user_without_leave_to_listen_has_no_feed() {
    let server = Server::start(&DURABLE);
    server.tell("ACL SETUSER deaf on >secret ~* resetchannels +@all");
    let url = format!("redis://deaf:secret@{}/", server.address());
    let client = redis::Client::open(url).unwrap();
    let store = tower_api_token::store::RedisOptions::new(client).open().await.unwrap();
    store.create().await.unwrap();
    assert_eq!(store.changes().await.unwrap_err().kind(), StoreErrorKind::Refused);
    let error = store.heartbeat(1).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
}

#[tokio::test]
async fn a_killed_subscriber_is_a_loss_and_the_next_one_hears_again() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let (other, store) = (deployment.store().await, deployment.store().await);
    let mut feed = store.changes().await.unwrap();
    for round in 1..=10 {
        assert!(server.tell("CLIENT KILL TYPE pubsub").starts_with(":1"));
        // In the gap, or just before or after it.
        other.replace(change(account("alice", round, round))).await.unwrap();
        lost(&mut feed).await;
        lost(&mut feed).await;
        let later = other.replace(change(account(&format!("after {round}"), 1, 100 + round)));
        later.await.unwrap();
        assert_eq!(next_change(&mut feed).await.user, user(&format!("after {round}")));
        echo(&store, &mut feed).await;
    }
}

#[tokio::test]
async fn a_half_open_subscriber_is_noticed_and_replaced() {
    let server = Server::shared();
    let deployment = server.deployment();
    let other = deployment.store().await;
    let relay = Relay::to(server.address()).await;
    let store: RedisStore = deployment.through(relay.address).opened().await;
    let mut feed = store.changes().await.unwrap();
    relay.set(Mode::HalfOpen);
    other.replace(change(account("alice", 1, 1))).await.unwrap();
    let start = Instant::now();
    assert_eq!(next(&mut feed).await, FeedItem::Lost, "nothing came through");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    relay.set(Mode::Open);
    lost(&mut feed).await;
    echo(&store, &mut feed).await;
    relay.set(Mode::Cut);
    lost(&mut feed).await;
    relay.set(Mode::Open);
    lost(&mut feed).await;
    echo(&store, &mut feed).await;
}

#[tokio::test]
async fn feeds_share_one_connection_and_end_with_their_store() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    let mut feeds = Vec::new();
    for _ in 0..5 {
        feeds.push(store.changes().await.unwrap());
    }
    let listeners = || server.tell("CLIENT LIST TYPE pubsub").matches("laddr=").count();
    assert_eq!(listeners(), 1);
    drop(store);
    for mut feed in feeds {
        while feed.next().await.is_some() {}
    }
    while listeners() > 0 {
        tokio::task::yield_now().await;
    }
}

/// What other programs send on the channel is not understood, and therefore a
/// loss.
#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_loss() {
    let server = Server::shared();
    let deployment = server.deployment();
    let store = deployment.store().await;
    let mut feed = store.changes().await.unwrap();
    server.tell(&format!("SPUBLISH {} later", deployment.key("feed")));
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
}

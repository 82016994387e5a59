//! A server that hangs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tower_api_token::store::{AccountStore, ChangeFeed, StoreErrorKind, TokenStore};

use crate::redis_server::{DURABLE, Server};
use crate::relay::Relay;
use crate::sample::{account, change, digest, user};
use crate::watch::echo;

/// Nobody waits for ever, and what was being written when it began to hang is
/// made once or not at all.
#[tokio::test]
async fn store_002_a_server_that_hangs_is_unavailable_within_a_limit_of_its_own() {
    let server = Server::start(&DURABLE);
    let store = Arc::new(server.deployment().store().await);
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    server.freeze(true);
    let limit = Duration::from_secs(20);
    for _ in 0..2 {
        let found = timeout(limit, store.find(&digest(1))).await.expect("an end");
        assert_eq!(found.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    let written = timeout(limit, store.replace(change(account("alice", 2, 2)))).await;
    assert_eq!(written.expect("an end").unwrap_err().kind(), StoreErrorKind::Unavailable);
    let feed = timeout(limit, store.changes()).await.expect("an end");
    assert_eq!(feed.unwrap_err().kind(), StoreErrorKind::Unavailable);
    let opening = timeout(limit, server.deployment().options().open()).await;
    assert!(opening.expect("an end").is_err());
    server.freeze(false);
    let revision = loop {
        match store.load(&user("alice")).await {
            Ok(loaded) => break loaded.account.unwrap().revision().as_u64(),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
    };
    assert!(revision == 1 || revision == 2, "{revision}");
}

/// A server that answers nothing any more holds up a bounded number of changes,
/// however many are asked for.
#[tokio::test]
async fn a_server_that_hangs_bounds_the_work_that_waits_for_it() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    server.freeze(true);
    for number in 2..600 {
        let change = store.replace(change(account(&format!("user {number}"), 1, number)));
        assert!(timeout(Duration::from_millis(1), change).await.is_err());
    }
    // As many writes as may be under way, and what drives some connections.
    assert!(tasks() <= before + 128 + 16, "{} tasks, and {before} before", tasks());
    server.freeze(false);
    let found = loop {
        match store.find(&digest(1)).await {
            Ok(found) => break found,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
    };
    assert!(found.is_some());
    store.replace(change(account("alice", 2, 1_000))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_none());
}

/// A cut that neither end is told of leaves every connection silent for ever.
#[tokio::test]
async fn connections_that_have_become_silent_are_replaced() {
    let server = Server::shared();
    let relay = Relay::to(server.address()).await;
    let store = server.deployment().through(relay.address).store().await;
    let mut feed = store.changes().await.unwrap();
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    relay.strand();
    let error = store.find(&digest(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    store.replace(change(account("alice", 2, 2))).await.unwrap();
    assert!(store.find(&digest(2)).await.unwrap().is_some());
    echo(&store, &mut feed).await;
}

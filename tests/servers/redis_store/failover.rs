//! A replica that takes the place of its primary.

use std::time::Duration;

use tower_api_token::store::{AccountStore, ChangeFeed, RedisStore, StoreErrorKind, TokenStore};

use crate::redis_server::{DURABLE, Server, client_of, replicated};
use crate::sample::{account, change, digest, user};
use crate::watch::{echo, lost, next_change};

/// Asks until there is an answer, which must come within a minute.
async fn found(store: &RedisStore, number: u64) -> bool {
    for _ in 0..12_000 {
        match store.find(&digest(number)).await {
            Ok(found) => return found.is_some(),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no server answers")
}

#[tokio::test]
async fn after_a_failover_a_node_finds_the_new_primary_and_what_was_acknowledged() {
    let first = Server::start(&DURABLE);
    let second = first.replica();
    let deployment = first.deployment();
    let store = deployment.options().or_else(client_of(second.address())).open().await.unwrap();
    replicated(&store).await;
    let mut feed = store.changes().await.unwrap();
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert_eq!(next_change(&mut feed).await.user, user("alice"));
    first.kill();
    assert_eq!(store.find(&digest(1)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    // The replica does not answer by itself.
    for _ in 0..20 {
        assert!(store.find(&digest(1)).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.tell("REPLICAOF NO ONE");
    assert!(found(&store, 1).await, "the replica had it");
    lost(&mut feed).await;
    // Connections that were made before the last turn end one after the other.
    while !echo(&store, &mut feed).await.is_empty() {}
    // There is no replica any more to have a change.
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    first.start_again();
    first.tell(&format!("REPLICAOF 127.0.0.1 {}", second.address().port()));
    second.wait_for_replica();
    replicated(&store).await;
    store.replace(change(account("alice", 3, 3))).await.unwrap();
    assert!(found(&store, 3).await);
    for revision in [2, 3] {
        assert_eq!(next_change(&mut feed).await.revision.as_u64(), revision);
    }
}

#[tokio::test]
async fn a_store_is_opened_on_the_primary_whichever_server_is_named_first() {
    let first = Server::start(&DURABLE);
    let second = first.replica();
    let options = second.deployment().options().or_else(client_of(first.address()));
    let store = options.open().await.unwrap();
    replicated(&store).await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

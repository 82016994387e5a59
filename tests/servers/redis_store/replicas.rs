//! Servers that have replicas.

use std::error::Error;
use std::sync::Arc;

use tower_api_token::TokenManager;
use tower_api_token::manage::{Confirmation, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{
    AccountStore, ChangeFeed, FeedItem, LastUses, PageSize, StoreErrorKind, TokenStore,
};
use tower_api_token::user::Actor;

use crate::redis_server::{DURABLE, Server};
use crate::sample::{account, change, digest, user};
use crate::server::wait_until;

#[tokio::test]
async fn a_change_that_too_few_replicas_have_is_unavailable() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    replica.freeze(true);
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(error.source().unwrap().to_string(), "0 of 1 replicas have the change");
    // A batch too, and whoever reads a change back finds out that it is in doubt.
    let batch = (5..8).map(|number| change(account(&format!("user {number}"), 1, number)));
    let error = store.replace_many(batch.collect()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(store.load(&user("alice")).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    // Requests are decided all the same, by what the primary has.
    assert!(store.find(&digest(1)).await.unwrap().is_none());
    assert!(store.find(&digest(2)).await.unwrap().is_some());
    replica.freeze(false);
    let loaded = store.load(&user("alice")).await.unwrap().account.unwrap();
    assert_eq!(*loaded, account("alice", 2, 2));
    store.replace(change(account("alice", 3, 3))).await.unwrap();
    // The replica has it, and the replica is never asked.
    server.kill();
    assert_eq!(store.find(&digest(3)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

/// The manager reads back what the store could not vouch for: it must not take
/// for made what a failover would undo.
#[tokio::test]
async fn the_manager_does_not_acknowledge_what_no_replica_has() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let store = Arc::new(server.deployment().store().await);
    let manager = TokenManager::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let manager = manager.build().await.unwrap();
    let (actor, alice) = (Actor::User, user("alice"));
    manager.grant(&actor, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    manager.issue(&actor, &alice).await.unwrap();
    replica.freeze(true);
    match manager.revoke_all(&actor, &alice).await {
        Err(ManageError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        other => panic!("nobody knows that it is made: {other:?}"),
    }
    replica.freeze(false);
    let refusal = manager.revoke_all(&actor, &alice).await.err().and_then(|error| error.refusal());
    assert_eq!(refusal, Some(RotationError::AlreadyDone), "it was made");
    assert!(store.load(&alice).await.unwrap().account.unwrap().primary().is_none());
}

/// Changes that would wait for too long are not begun, and what goes on without
/// replicas is not disturbed.
#[tokio::test]
async fn many_changes_that_wait_for_replicas_break_nothing_else() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let store = Arc::new(server.deployment().store().await);
    let mut feed = store.changes().await.unwrap();
    replica.freeze(true);
    let waiting: Vec<_> = (1..=40)
        .map(|number| {
            let store = Arc::clone(&store);
            let new = change(account(&format!("user {number}"), 1, number));
            tokio::spawn(async move { store.replace(new).await })
        })
        .collect();
    for waiting in waiting {
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    replica.freeze(false);
    let lost = crate::watch::echo(&*store, &mut feed).await.contains(&FeedItem::Lost);
    assert!(!lost, "the feed went on");
    let made = store.list(None, PageSize::MAX).await.unwrap().items.len();
    assert!((1..=5).contains(&made), "{made} were begun");
}

#[tokio::test]
async fn look_ups_do_not_wait_for_a_change_that_waits_for_replicas() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let store = Arc::new(server.deployment().store().await);
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    replica.freeze(true);
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.replace(change(account("alice", 2, 2))).await }
    });
    while store.find(&digest(2)).await.unwrap().is_none() {}
    for _ in 0..50 {
        assert!(store.find(&digest(2)).await.unwrap().is_some());
    }
    assert!(!waiting.is_finished(), "the look-ups were answered first");
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), StoreErrorKind::Unavailable);
    replica.freeze(false);
}

/// As many as the host says, or none.
#[tokio::test]
async fn the_host_says_how_many_replicas_must_have_a_change() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    deployment.store().await;
    let demanding = deployment.options().replicas(1).open().await.unwrap();
    let error = demanding.replace(change(account("alice", 1, 1))).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "0 of 1 replicas have the change");
    let replica = server.replica();
    demanding.replace(change(account("alice", 2, 1))).await.unwrap();
    replica.freeze(true);
    let careless = deployment.options().replicas(0).open().await.unwrap();
    careless.replace(change(account("alice", 3, 1))).await.unwrap();
    replica.freeze(false);
}

/// A primary that has become a replica answers nothing by the past.
#[tokio::test]
async fn a_server_that_has_become_a_replica_answers_nothing() {
    let (server, other) = (Server::start(&DURABLE), Server::start(&DURABLE));
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let mut feed = store.changes().await.unwrap();
    // It keeps its data until it has reached its primary.
    server.tell("CONFIG SET masterauth nonsense");
    other.tell("CONFIG SET requirepass secret");
    server.tell(&format!("REPLICAOF 127.0.0.1 {}", other.address().port()));
    for answer in [store.find(&digest(1)).await, store.find(&digest(2)).await] {
        assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    assert!(store.load(&user("alice")).await.is_err());
    assert!(store.list(None, Default::default()).await.is_err());
    assert!(store.usage(&user("alice")).await.is_err());
    assert!(store.heartbeat(1).await.is_err(), "a cache is not to be trusted");
    assert!(store.replace(change(account("alice", 2, 1))).await.is_err());
    server.tell("REPLICAOF NO ONE");
    wait_until("it is a primary", || server.tell("ROLE").contains("master"));
    crate::watch::echo(&store, &mut feed).await;
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    store.replace(change(account("alice", 2, 1))).await.unwrap();
}

/// A primary that is cut off from its replicas may have been replaced.
#[tokio::test]
async fn a_primary_that_has_too_few_replicas_to_write_answers_nothing() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    server.tell("CONFIG SET min-replicas-to-write 1");
    let error = store.find(&digest(1)).await.unwrap_err();
    assert!(error.source().unwrap().to_string().starts_with("NOREPLICAS"), "{error:?}");
    server.tell("CONFIG SET min-replicas-to-write 0");
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

/// Requests go on when a snapshot has failed, which stops changes.
#[tokio::test]
async fn a_snapshot_that_failed_stops_changes_and_no_look_up() {
    let settings = [DURABLE.as_slice(), &["--enable-protected-configs yes"]].concat();
    let server = Server::start(&settings);
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let gone = tempfile::tempdir().unwrap();
    server.tell(&format!("CONFIG SET dir {}", gone.path().display()));
    drop(gone);
    server.tell("CONFIG SET save \"3600 1\"");
    server.tell("BGSAVE");
    wait_until("the snapshot has failed", || {
        server.tell("INFO persistence").contains("rdb_last_bgsave_status:err")
    });
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    assert!(store.find(&digest(2)).await.unwrap().is_none());
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert!(source.starts_with("MISCONF"), "{source}");
    let account_now = store.load(&user("alice")).await.unwrap().account.unwrap();
    assert_eq!(*account_now, account("alice", 1, 1), "nothing was written");
}

/// A full memory refuses a change before any of it is written.
#[tokio::test]
async fn a_server_without_memory_refuses_changes_as_a_whole() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    server.tell("CONFIG SET maxmemory 1");
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.source().unwrap().to_string().starts_with("OOM"), "{error:?}");
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    assert!(store.find(&digest(2)).await.unwrap().is_none());
    server.tell("CONFIG SET maxmemory 0");
    let history = store.history(&user("alice"), None, Default::default()).await.unwrap();
    assert_eq!(history.items.len(), 1);
    store.replace(change(account("alice", 2, 2))).await.unwrap();
    assert!(store.find(&digest(2)).await.unwrap().is_some());
}

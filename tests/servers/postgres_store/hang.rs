//! A server that hangs, connections that do, and a server that lives in the past.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower_api_token::store::{
    AccountStore, PostgresStore, StoreErrorKind, TokenStore, WithTimeout,
};

use crate::postgres::{Database, Server};
use crate::relay::Relay;
use crate::sample::{account, change, digest, user};

/// A server that answers nothing any more holds up at most as many changes as
/// the pool has connections, however many are asked for.
#[tokio::test]
async fn a_server_that_hangs_bounds_the_work_that_waits_for_it() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    database.store().await;
    let store = PostgresStore::new(database.pool(4));
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    server.freeze(true);
    for number in 2..300 {
        let change = store.replace(change(account(&format!("user {number}"), 1, number)));
        assert!(timeout(Duration::from_millis(5), change).await.is_err());
        assert!(timeout(Duration::from_millis(1), store.find(&digest(1))).await.is_err());
    }
    // For each connection one task that waits, and one that drives it.
    assert!(tasks() <= before + 2 * 4, "{} tasks, and {before} before", tasks());
    server.freeze(false);
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    store.replace(change(account("alice", 2, 1_000))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_none());
}

/// Neither end of a connection may be told of a cut. One that a look-up got no
/// answer on is not lent to the next caller.
#[tokio::test]
async fn connections_that_were_cut_silently_are_replaced() {
    let (database, relay) = behind_relay().await;
    let store = WithTimeout::new(PostgresStore::new(database.through(relay.address).pool(4)));
    let store = Arc::new(store.limit(Duration::from_millis(300)));
    let token = digest(1);
    let connected = join_all([(); 4].map(|()| store.find(&token))).await;
    assert!(connected.iter().all(|found| found.as_ref().is_ok_and(Option::is_some)));
    relay.strand();
    let mut failures = 0;
    for _ in 0..4 {
        while store.find(&token).await.is_err() {
            failures += 1;
            assert!(failures < 40, "no connection takes the place of those that were cut");
        }
    }
    assert!(failures > 0, "they were cut");
    let connected = join_all([(); 4].map(|()| store.find(&token))).await;
    assert!(connected.iter().all(Result::is_ok), "all of them are replaced");
}

/// So does one that a change got no answer on, after a while.
#[tokio::test]
async fn a_change_that_is_never_answered_gives_its_connection_up() {
    let (database, relay) = behind_relay().await;
    let store = PostgresStore::new(database.through(relay.address).pool(1));
    store.find(&digest(1)).await.unwrap().unwrap();
    relay.strand();
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(store.find(&digest(1)).await.unwrap().is_some(), "it was cut on its way");
}

async fn behind_relay() -> (Database, Relay) {
    let server = Server::shared();
    let database = server.database().await;
    database.store().await.replace(change(account("alice", 1, 1))).await.unwrap();
    (database, Relay::to(server.address()).await)
}

/// A primary that was made a standby knows nothing of later changes, and says
/// so instead of answering.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_not_asked_what_holds() {
    let server = block_in_place(|| Server::start(&["fsync=off"]));
    let database = server.database().await;
    let store = database.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    block_in_place(|| {
        server.kill();
        File::create(server.data().join("standby.signal")).unwrap();
        server.start_again();
    });
    let reads = "SELECT record FROM tower_api_token.account";
    assert_eq!(database.client().await.query(reads, &[]).await.unwrap().len(), 1, "it answers");
    for number in [1, 2] {
        let error = store.find(&digest(number)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{number}");
        assert!(error.source().unwrap().to_string().contains("(SQLSTATE 55000)"));
    }
    let error = store.load(&user("alice")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

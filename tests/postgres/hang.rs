//! A server that hangs.

use std::time::Duration;

use tokio::time::timeout;
use tower_api_token::store::{AccountStore, PostgresStore, TokenStore};

use crate::postgres::Server;
use crate::sample::{account, change, digest};

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

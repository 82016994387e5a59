//! A server that is killed, and one that hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tokio::time::timeout;
use tower_api_token::store::{AccountStore, PostgresStore, TokenStore};

use crate::postgres::Server;
use crate::relay::{Mode, Relay};
use crate::rotation::Rotation;
use crate::sample::{account, change, digest};

const KILLS: u32 = 100;

/// I1, I3, I5, I6 and I8 while the server is killed during rotations; what was
/// acknowledged is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_019_a_server_that_is_killed_keeps_what_it_has_acknowledged() {
    let server = block_in_place(|| Server::start(&["fsync=off"]));
    let database = server.database().await;
    let other = database.store().await;
    // On a slow network most of an operation is on its way: to the server, or
    // back with the news of its commit.
    let relay = Relay::slow(server.address(), Duration::from_millis(5)).await;
    let store = Arc::new(database.through(relay.address).unmigrated());
    let mut rotation = Rotation::start(store, other).await;
    let (start, mut cut_off) = (Instant::now(), 0);
    // How late in an operation the latest kills come: as late as they can on
    // this machine without coming after its end.
    let mut latest = 0.8_f64;
    for kill in 0..KILLS {
        rotation.done(2).await;
        let part = latest * f64::from(kill % 10) / 9.0;
        // What was on its way is lost with the machine.
        let crash = || {
            relay.set(Mode::Cut);
            server.kill();
        };
        let was_cut_off = rotation.cut_off(part, crash).await;
        cut_off += u32::from(was_cut_off);
        latest = if was_cut_off { (latest * 1.02).min(0.9) } else { latest * 0.7 };
        block_in_place(|| server.start_again());
        relay.set(Mode::Open);
    }
    rotation.done(3).await;
    let requests = rotation.stop().await;
    println!("{KILLS} kills in {:?}, {cut_off} in flight; {requests:?}", start.elapsed());
    assert!(cut_off >= KILLS * 80 / 100, "{cut_off} of {KILLS} in flight");
    assert_eq!(requests.violations, Vec::<String>::new());
    assert!(requests.served > 500, "{requests:?}");
}

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

//! Several stores, threads and processes on one file.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tower_api_token::store::{
    AccountStore, ChangeFeed, FeedItem, SqliteOptions, SqliteStore, StoreError, StoreErrorKind,
    TokenStore,
};

use super::process::{child, parent};
use super::support::{
    PATIENCE, Place, account, assert_sound, block_on, count, digest, next, step, user,
};

/// Raises alice's revision until `rounds` changes were this store's.
async fn contend(store: &SqliteStore, salt: u64, rounds: u64) -> Result<(), StoreError> {
    for round in 0..rounds {
        loop {
            let loaded = store.load(&user("alice")).await?.account;
            let revision = loaded.map_or(0, |account| account.revision().as_u64());
            let next = account("alice", revision + 1, salt * 1_000_000 + round);
            match store.replace(step(next)).await {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                written => break written?,
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_change_by_one_store_is_seen_by_the_other_at_once() {
    let place = Place::new();
    let (one, other) = (place.store().await, place.store().await);
    for revision in 1..=50 {
        one.replace(step(account("alice", revision, revision))).await.unwrap();
        let found = other.find(&digest(revision)).await.unwrap().unwrap();
        assert_eq!(found.revision().as_u64(), revision);
        assert!(other.find(&digest(revision - 1)).await.unwrap().is_none());
    }
    let stale = one.replace(step(account("alice", 1, 99))).await.unwrap_err();
    assert_eq!(stale.kind(), StoreErrorKind::Conflict);
}

/// A transaction that read before it took the write lock would fail with
/// `SQLITE_BUSY_SNAPSHOT`, and no waiting would help.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_014_writers_of_two_stores_wait_for_each_other_and_none_fails() {
    let place = Place::new();
    let stores = [Arc::new(place.store().await), Arc::new(place.store().await)];
    let tasks = (0..4).map(|number| {
        let store = Arc::clone(&stores[number as usize % 2]);
        tokio::spawn(async move { contend(&store, number, 50).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let account = stores[0].load(&user("alice")).await.unwrap().account.unwrap();
    assert_eq!(account.revision().as_u64(), 200);
    assert_eq!(count(&place.raw(), "history"), 200);
}

#[tokio::test]
async fn a_writer_elsewhere_is_waited_for_and_then_the_store_is_unavailable() {
    let place = Place::new();
    place.store().await;
    let options = SqliteOptions::new().busy_timeout(Duration::from_millis(100));
    let store = options.open(place.path()).unwrap();
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = Instant::now();
    let error = store.replace(step(account("alice", 1, 1))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(begin.elapsed() >= Duration::from_millis(90) && begin.elapsed() < PATIENCE);
    assert!(store.find(&digest(1)).await.unwrap().is_none(), "reads go on");
    raw.execute_batch("COMMIT").unwrap();
    store.replace(step(account("alice", 1, 1))).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_ends_in_time_is_not_noticed() {
    let place = Place::new();
    let store = SqliteOptions::new().busy_timeout(PATIENCE).open(place.path()).unwrap();
    store.migrate().await.unwrap();
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let change = tokio::spawn(async move { store.replace(step(account("alice", 1, 1))).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!change.is_finished());
    raw.execute_batch("COMMIT").unwrap();
    change.await.unwrap().unwrap();
}

/// Here SQLite does not wait by itself.
#[test]
fn opening_waits_for_those_who_write_without_a_write_ahead_log() {
    let place = Place::new();
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE; PRAGMA user_version = 0").unwrap();
    let soon = SqliteOptions::new().busy_timeout(Duration::from_millis(10));
    assert!(soon.open(place.path()).is_err());
    thread::scope(|scope| {
        let open = scope.spawn(|| SqliteOptions::new().busy_timeout(PATIENCE).open(place.path()));
        thread::sleep(Duration::from_millis(50));
        assert!(!open.is_finished());
        raw.execute_batch("COMMIT").unwrap();
        open.join().unwrap().unwrap();
    });
}

#[test]
fn processes_that_migrate_and_write_at_once_lose_nothing() {
    if let Some((store, number)) = parent() {
        return block_on(contend(&store, number, 50)).unwrap();
    }
    let place = Place::new();
    let name = "sqlite::sharing::processes_that_migrate_and_write_at_once_lose_nothing";
    let children = [1, 2, 3].map(|number| child(name, &place.path(), number));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = SqliteStore::open(place.path()).unwrap();
    let account = block_on(store.load(&user("alice"))).unwrap().account.unwrap();
    assert_eq!(account.revision().as_u64(), 150);
    assert_eq!(count(&place.raw(), "history"), 150);
    assert_eq!(count(&place.raw(), "digests"), 1);
    assert_sound(&place.raw());
}

#[test]
fn a_change_by_another_process_reaches_the_feed() {
    if let Some((store, number)) = parent() {
        return block_on(store.replace(step(account("alice", 1, number)))).unwrap();
    }
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = place.store().await;
        let mut feed = store.changes().await.unwrap();
        let name = "sqlite::sharing::a_change_by_another_process_reaches_the_feed";
        let mut child = child(name, &place.path(), 5);
        let FeedItem::Change(change) = next(&mut feed).await else { panic!("no change") };
        assert_eq!(change.user, user("alice"));
        assert_eq!(&*change.digests, &[digest(5)]);
        assert!(store.find(&digest(5)).await.unwrap().is_some());
        assert!(child.wait().unwrap().success());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_patience_of_a_write_does_not_begin_anew_behind_others() {
    const PATIENCE: Duration = Duration::from_millis(400);
    let place = Place::new();
    place.store().await;
    let store = SqliteOptions::new().busy_timeout(PATIENCE).open(place.path()).unwrap();
    let store = Arc::new(store);
    let lock = rusqlite::Connection::open(place.path()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let writes = (0..8).map(|number| {
        let store = Arc::clone(&store);
        let write = step(account(&format!("user-{number}"), 1, number + 1));
        tokio::spawn(async move { store.replace(write).await.map_err(|error| error.kind()) })
    });
    for write in writes.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap(), Err(StoreErrorKind::Unavailable));
    }
    assert!(begun.elapsed() < PATIENCE * 4, "one after the other they would take eight times it");
    lock.execute_batch("ROLLBACK").unwrap();
}

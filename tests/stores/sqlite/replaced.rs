//! A file that is replaced while a store has it open.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, FeedItem, SqliteStore, StoreError, StoreErrorKind,
    TokenStore,
};
use tower_api_token::token::Pepper;
use tower_api_token::user::Actor;

use super::process::{child, parent};
use super::support::{
    PATIENCE, Place, account, assert_sound, block_on, count, digest, next, step, until, user,
};
use crate::replaced_file::{WAYS, Way, remove_log};

/// When a replaced file is noticed at the latest.
const BOUND: Duration = Duration::from_secs(1);

/// A file with alice's account at the second revision and more in it than one
/// page holds.
async fn other_file(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    store.migrate().await.unwrap();
    for number in 0..200 {
        store.replace(step(account(&format!("other {number}"), 1, 1_000 + number))).await.unwrap();
    }
    store.replace(step(account("alice", 1, 8))).await.unwrap();
    store.replace(step(account("alice", 2, 9))).await.unwrap();
}

fn assert_unavailable(error: &StoreError) {
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

/// Asks until the store answers by the other file, which it may not refuse to do
/// for long, and by the former one it must not for longer than the bound.
async fn assert_followed(store: &SqliteStore, what: &str) {
    let replaced = Instant::now();
    loop {
        let asked = replaced.elapsed();
        match store.find(&digest(1)).await {
            Ok(Some(_)) => assert!(asked < BOUND, "{what}: the former file after {asked:?}"),
            Ok(None) => break,
            Err(error) => assert_unavailable(&error),
        }
        assert!(asked < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(store.find(&digest(9)).await.unwrap().is_some(), "{what}");
    let loaded = store.load(&user("alice")).await.unwrap().account.unwrap();
    assert_eq!(loaded.revision().as_u64(), 2, "{what}");
    assert_eq!(store.list(None, Default::default()).await.unwrap().items.len(), 100, "{what}");
}

#[tokio::test]
async fn a_file_replaced_in_any_way_is_noticed_in_time() {
    // At once, since each waits until changes are made again.
    let ways = WAYS.iter().map(|way| async move {
        let place = Place::new();
        let (path, other) = way.prepare(place.directory());
        other_file(&other).await;
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        assert!(store.find(&digest(1)).await.unwrap().is_some());
        let mut feed = store.changes().await.unwrap();
        way.replace(place.directory());
        assert_eq!(next(&mut feed).await, FeedItem::Lost, "{}", way.name);
        assert_followed(&store, way.name).await;
        let change = || store.replace(step(account("alice", 3, 3)));
        until(async || change().await.is_ok()).await;
        drop((feed, store));
        let raw = Connection::open(&path).unwrap();
        assert_eq!(count(&raw, "accounts"), 201, "{}", way.name);
        assert_sound(&raw);
        let names = "SELECT count(*) FROM changes WHERE user_id = 'alice' AND revision = 3";
        assert_eq!(raw.query_row(names, [], |row| row.get::<_, i64>(0)), Ok(1), "{}", way.name);
    });
    futures_util::future::join_all(ways).await;
}

/// The first thing that happens after it is a write.
#[tokio::test]
async fn no_change_is_acknowledged_into_a_file_that_was_replaced() {
    for way in WAYS {
        let place = Place::new();
        let (path, other) = way.prepare(place.directory());
        other_file(&other).await;
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        way.replace(place.directory());
        // Made on what was read from the former file.
        let error = store.replace(step(account("alice", 2, 2))).await.unwrap_err();
        assert_unavailable(&error);
        store.heartbeat(77).await.unwrap();
        let raw = Connection::open(&path).unwrap();
        let beats = "SELECT count(*) FROM changes WHERE heartbeat = 77";
        assert_eq!(raw.query_row(beats, [], |row| row.get::<_, i64>(0)), Ok(1), "{}", way.name);
        assert_followed(&store, way.name).await;
    }
}

/// The other file has another account of the same name and revision.
#[tokio::test]
async fn nobody_is_erased_and_no_check_value_is_kept_by_what_was_read_from_the_former_file() {
    for way in WAYS {
        let place = Place::new();
        let (path, other) = way.prepare(place.directory());
        other_file(&other).await;
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        store.replace(step(account("alice", 2, 2))).await.unwrap();
        let loaded = store.load(&user("alice")).await.unwrap();
        let erasure = Erasure::new((*loaded.account.unwrap()).clone(), loaded.now, Actor::User);
        way.replace(place.directory());
        assert_unavailable(&store.erase(erasure).await.unwrap_err());
        let pepper = Pepper::new(1, &[7; 32]).unwrap();
        let kept = store.keep_pepper_check(pepper.version(), pepper.check_value()).await;
        assert_unavailable(&kept.unwrap_err());
        assert!(store.load(&user("alice")).await.unwrap().account.is_some(), "{}", way.name);
        assert_eq!(count(&Connection::open(&path).unwrap(), "pepper_checks"), 0, "{}", way.name);
    }
}

#[tokio::test]
async fn while_no_file_is_there_all_is_unavailable_and_none_is_made() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    fs::rename(place.path(), place.directory().join("away.db")).unwrap();
    let removed = Instant::now();
    until(async || store.find(&digest(1)).await.is_err()).await;
    assert!(removed.elapsed() < BOUND, "{:?}", removed.elapsed());
    assert_unavailable(&store.find(&digest(1)).await.unwrap_err());
    assert_unavailable(&store.load(&user("alice")).await.unwrap_err());
    assert_unavailable(&store.list(None, Default::default()).await.unwrap_err());
    assert_unavailable(&store.replace(step(account("alice", 2, 2))).await.unwrap_err());
    assert_unavailable(&store.heartbeat(1).await.unwrap_err());
    assert_unavailable(&store.changes().await.unwrap_err());
    assert!(store.migrate().await.is_err());
    assert!(!place.path().exists());

    // What was acknowledged is in the file, wherever it is, and not beside it.
    let away = Connection::open(place.directory().join("away.db")).unwrap();
    assert_eq!(count(&away, "accounts"), 1);
    drop(away);
    fs::rename(place.directory().join("away.db"), place.path()).unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_without_tables_in_its_place_is_not_set_up_and_is_left_alone() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    fs::remove_file(place.path()).unwrap();
    remove_log(place.directory(), "tokens.db");
    fs::write(place.path(), "").unwrap();
    store.heartbeat(1).await.unwrap_err();
    for _ in 0..3 {
        let error = store.find(&digest(1)).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "the file has no tables yet: migrate it");
    }
    assert_eq!(fs::metadata(place.path()).unwrap().len(), 0, "nothing was written into it");
    store.migrate().await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_none());
    assert_eq!(count(&place.raw(), "accounts"), 0);
}

/// Each without which others would not find what is written.
#[tokio::test]
async fn a_log_or_index_that_was_removed_is_noticed() {
    for end in ["-wal", "-shm"] {
        let place = Place::new();
        let store = place.store().await;
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        let empty_log = "PRAGMA wal_checkpoint(TRUNCATE)";
        place.raw().query_row(empty_log, [], |_| Ok(())).unwrap();
        fs::remove_file(place.directory().join(format!("tokens.db{end}"))).unwrap();
        store.heartbeat(77).await.unwrap();
        let beats = "SELECT count(*) FROM changes WHERE heartbeat = 77";
        let found = place.raw().query_row(beats, [], |row| row.get::<_, i64>(0));
        assert_eq!(found, Ok(1), "{end}");
        assert_sound(&place.raw());
    }
}

/// Moves one file after the other over the path, each soon after something was
/// written to the one before, while `write` writes with the number of the write,
/// and looks in each file for what was acknowledged while it was at the path.
async fn write_while_files_are_moved(
    rounds: u64,
    write: impl AsyncFn(&SqliteStore, u64) -> Result<(), StoreError>,
    written: &str,
) {
    let place = Place::new();
    let template = place.directory().join("template.db");
    SqliteStore::open(&template).unwrap().migrate().await.unwrap();
    let store = place.store().await;
    let (moved, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let written_so_far = AtomicU64::new(0);
    let name = |round: u64| place.directory().join(format!("{round}.db"));
    fs::hard_link(place.path(), name(0)).unwrap();
    let acknowledged = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                let (seen, begun) = (written_so_far.load(Ordering::SeqCst), Instant::now());
                while written_so_far.load(Ordering::SeqCst) == seen {
                    assert!(begun.elapsed() < PATIENCE, "nothing is written in round {round}");
                    std::thread::sleep(Duration::from_millis(round % 7));
                }
                fs::copy(&template, place.directory().join("next.db")).unwrap();
                fs::hard_link(place.directory().join("next.db"), name(round)).unwrap();
                fs::rename(place.directory().join("next.db"), place.path()).unwrap();
                moved.store(round, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
        let runtime = tokio::runtime::Handle::current();
        let (store, moved, done, write) = (&store, &moved, &done, &write);
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let (mut acknowledged, mut number) = (Vec::new(), 0);
                while !done.load(Ordering::SeqCst) {
                    number += 1;
                    let before = moved.load(Ordering::SeqCst);
                    match write(store, number).await {
                        // The file may have been moved and not yet be counted.
                        Ok(()) => {
                            let after = moved.load(Ordering::SeqCst) + 1;
                            written_so_far.fetch_add(1, Ordering::SeqCst);
                            acknowledged.push((number, before..=after));
                        }
                        Err(error) => assert_unavailable(&error),
                    }
                }
                acknowledged
            })
        })
    });
    drop(store);
    let files: Vec<_> = (0..=rounds).map(|round| Connection::open(name(round)).unwrap()).collect();
    let mut used = vec![false; files.len()];
    for (number, rounds_then) in acknowledged {
        let found = rounds_then.clone().filter(|&round| {
            files.get(round as usize).is_some_and(|file| {
                file.query_row(written, [number as i64], |row| row.get(0)).unwrap()
            })
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "write {number} of {rounds_then:?} is in {found:?}");
        used[found[0] as usize] = true;
    }
    for file in &files {
        assert_sound(file);
    }
    // What was written to one file may be counted when the next is in place.
    assert!(used.iter().filter(|used| **used).count() as u64 > rounds / 2, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_heartbeat_acknowledged_while_files_are_moved_is_in_the_file_of_its_time() {
    let beat = async |store: &SqliteStore, number| store.heartbeat(number).await;
    let beats = "SELECT EXISTS (SELECT 1 FROM changes WHERE heartbeat = ?1)";
    write_while_files_are_moved(40, beat, beats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_acknowledged_while_files_are_moved_is_in_the_file_of_its_time() {
    let change = async |store: &SqliteStore, number| {
        store.replace(step(account(&format!("user {number}"), 1, number))).await
    };
    let changes = "SELECT EXISTS (SELECT 1 FROM accounts WHERE user_id = 'user ' || ?1)";
    write_while_files_are_moved(4, change, changes).await;
}

/// The other file must not be read with the former one's log by whoever opens
/// it next.
#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_log_beside_a_file_that_has_taken_the_place() {
    let place = Place::new();
    let (other, away) = (place.directory().join("other.db"), place.directory().join("away.db"));
    other_file(&other).await;
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    fs::rename(place.path(), &away).unwrap();
    fs::rename(&other, place.path()).unwrap();
    drop(store);
    assert!(!place.directory().join("tokens.db-wal").exists());
    assert_eq!(count(&place.raw(), "accounts"), 201);
    assert_sound(&place.raw());
    let away = Connection::open(away).unwrap();
    assert_eq!(count(&away, "accounts"), 1);
    assert_sound(&away);
}

/// Two stores, as two processes have them.
#[tokio::test]
async fn two_stores_on_one_path_both_go_over_to_the_other_file() {
    for way in WAYS {
        let place = Place::new();
        let (path, other) = way.prepare(place.directory());
        other_file(&other).await;
        let stores = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
        stores[0].migrate().await.unwrap();
        stores[0].replace(step(account("alice", 1, 1))).await.unwrap();
        assert!(stores[1].find(&digest(1)).await.unwrap().is_some());
        way.replace(place.directory());
        for (number, store) in (1..).zip(&stores) {
            store.heartbeat(number).await.unwrap();
        }
        for store in &stores {
            assert_followed(store, way.name).await;
        }
        drop(stores);
        let raw = Connection::open(&path).unwrap();
        let beats = "SELECT count(*) FROM changes WHERE heartbeat IN (1, 2)";
        assert_eq!(raw.query_row(beats, [], |row| row.get::<_, i64>(0)), Ok(2), "{}", way.name);
        assert_sound(&raw);
    }
}

/// The log that SQLite takes for that of the file at the path.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.canonicalize().unwrap().into_os_string();
    log.push("-wal");
    log.into()
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| path.metadata().map(|found| found.ino()).ok();
    inode(one).is_some() && inode(one) == inode(other)
}

/// Nobody asks anything of the store, and then another process writes.
#[test]
fn an_idle_store_leaves_the_former_file_and_no_log_of_it_for_others_to_write_to() {
    if let Some((store, number)) = parent() {
        return block_on(store.replace(step(account("alice", number, number)))).unwrap();
    }
    std::thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(|| assert_left_while_idle(way));
        }
    });
}

fn assert_left_while_idle(way: &Way) {
    let place = Place::new();
    let (path, other) = way.prepare(place.directory());
    block_on(other_file(&other));
    let store = SqliteStore::open(&path).unwrap();
    block_on(store.migrate()).unwrap();
    block_on(store.replace(step(account("alice", 1, 1)))).unwrap();
    // Kept, so that no other file comes to have its number.
    let former_log = place.directory().join("former-log");
    fs::hard_link(log_of(&path), &former_log).unwrap();
    way.replace(place.directory());
    let replaced = Instant::now();
    while is_same_file(&log_of(&path), &former_log) {
        assert!(replaced.elapsed() < PATIENCE, "{}", way.name);
        std::thread::sleep(Duration::from_millis(5));
    }
    let test = "sqlite::replaced::an_idle_store_leaves_the_former_file_and_no_log_of_it_for_others_to_write_to";
    assert!(child(test, &path, 3).wait().unwrap().success(), "{}", way.name);
    // Where its log was removed the store may not have looked yet.
    let revision = || {
        let loaded = block_on(store.load(&user("alice"))).unwrap().account.unwrap();
        loaded.revision().as_u64()
    };
    while revision() == 1 {
        assert!(replaced.elapsed() < PATIENCE, "{}", way.name);
    }
    assert_eq!(revision(), 3, "{}", way.name);
    drop(store);
    let raw = Connection::open(&path).unwrap();
    let revision = "SELECT revision FROM accounts WHERE user_id = 'alice'";
    assert_eq!(raw.query_row(revision, [], |row| row.get::<_, i64>(0)), Ok(3), "{}", way.name);
    assert_eq!(count(&raw, "accounts"), 201, "{}", way.name);
    assert_sound(&raw);
}

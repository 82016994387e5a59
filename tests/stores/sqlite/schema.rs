//! The tables: how they come to be, and what they refuse by themselves.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;

use tower_api_token::store::{
    AccountStore, ChangeFeed, SqliteError, SqliteStore, StoreError, TokenStore,
};

use super::support::{Place, account, assert_sound, block_on, count, digest, step, user};

fn assert_schema(error: &StoreError, expected: &SqliteError) {
    assert_eq!(Some(error.kind()), expected.kind());
    let source = error.source().unwrap().downcast_ref::<SqliteError>();
    assert_eq!(format!("{:?}", source.unwrap()), format!("{expected:?}"));
}

#[tokio::test]
async fn a_file_without_tables_says_so_until_it_is_migrated() {
    let place = Place::new();
    let store = SqliteStore::open(place.path()).unwrap();
    let missing = |error: &StoreError| assert_schema(error, &SqliteError::NoTables);
    missing(&store.find(&digest(1)).await.unwrap_err());
    missing(&store.load(&user("alice")).await.unwrap_err());
    missing(&store.replace(step(account("alice", 1, 1))).await.unwrap_err());
    missing(&store.changes().await.unwrap_err());
    store.migrate().await.unwrap();
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    store.changes().await.unwrap();
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    store.migrate().await.unwrap();
    place.store().await;
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

/// Opened, migrated and used at the same time, each by a store of its own.
#[test]
fn migrating_from_many_threads_at_once_makes_the_tables_once() {
    for _ in 0..10 {
        let place = Place::new();
        let path = place.path();
        thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let store = SqliteStore::open(path).unwrap();
                    block_on(store.migrate()).unwrap();
                    let name = format!("user {number}");
                    block_on(store.replace(step(account(&name, 1, number)))).unwrap();
                });
            }
        });
        assert_eq!(count(&place.raw(), "accounts"), 8);
        assert_sound(&place.raw());
    }
}

#[tokio::test]
async fn a_later_schema_is_refused_by_new_stores_and_for_changes_by_open_ones() {
    let place = Place::new();
    let open = place.store().await;
    open.replace(step(account("alice", 1, 1))).await.unwrap();
    place.raw().pragma_update(None, "user_version", 99).unwrap();
    let newer = |error: &StoreError| assert_schema(error, &SqliteError::NewerSchema { found: 99 });
    newer(&open.replace(step(account("alice", 2, 2))).await.unwrap_err());
    newer(&open.migrate().await.unwrap_err());
    let new = SqliteStore::open(place.path()).unwrap();
    newer(&new.find(&digest(1)).await.unwrap_err());
    newer(&new.migrate().await.unwrap_err());
}

/// What the module of the schema promises of later versions.
#[tokio::test]
async fn a_table_renamed_by_a_later_schema_is_noticed_by_open_connections() {
    let place = Place::new();
    let store = place.store().await;
    assert!(store.find(&digest(1)).await.unwrap().is_none());
    let raw = place.raw();
    raw.execute_batch("ALTER TABLE digests RENAME TO digests_2; PRAGMA user_version = 4").unwrap();
    let error = store.find(&digest(1)).await.unwrap_err();
    assert_schema(&error, &SqliteError::NewerSchema { found: 4 });
}

/// Whatever is asked of the store, no byte of the file changes.
async fn assert_left_alone(path: &Path, expected: &SqliteError) {
    let before = fs::read(path).unwrap();
    let store = SqliteStore::open(path).unwrap();
    assert_schema(&store.find(&digest(1)).await.unwrap_err(), expected);
    assert_schema(&store.changes().await.unwrap_err(), expected);
    assert_schema(&store.replace(step(account("alice", 1, 1))).await.unwrap_err(), expected);
    assert_schema(&store.migrate().await.unwrap_err(), expected);
    drop(store);
    assert!(fs::read(path).unwrap() == before, "{expected:?}: the file was changed");
}

#[tokio::test]
async fn the_file_of_another_program_is_left_as_it_was() {
    for mode in ["DELETE", "WAL"] {
        let place = Place::new();
        let tables = "CREATE TABLE accounts (name TEXT); PRAGMA user_version = 1";
        let raw = place.raw();
        raw.pragma_update(None, "journal_mode", mode).unwrap();
        raw.execute_batch(tables).unwrap();
        drop(raw);
        assert_left_alone(&place.path(), &SqliteError::Foreign).await;
        let raw = place.raw();
        assert_eq!(count(&raw, "sqlite_schema"), 1);
        let found: String = raw.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(found, mode.to_lowercase());
    }
}

#[tokio::test]
async fn a_backup_is_left_as_it_was() {
    let place = Place::new();
    let backup = place.directory().join("backup.db");
    place.store().await.backup(&backup).await.unwrap();
    assert_left_alone(&backup, &SqliteError::Backup).await;
}

#[tokio::test]
async fn store_006_user_ids_are_never_merged_by_collation() {
    let place = Place::new();
    let store = place.store().await;
    let long = "\u{e9}".repeat(127) + "a";
    let names =
        ["alice", "Alice", "al\u{ed}ce", "ali\u{301}ce", "o'\"`; --", "alice ", "\u{1f511}", &long];
    for (number, name) in (1..).zip(names) {
        store.replace(step(account(name, 1, number))).await.unwrap();
    }
    for (number, name) in (1..).zip(names) {
        let found = store.find(&digest(number)).await.unwrap().unwrap();
        assert_eq!(found.user().as_str(), name);
        let loaded = store.load(&user(name)).await.unwrap().account.unwrap();
        assert_eq!(*loaded, account(name, 1, number));
    }
    assert_eq!(count(&place.raw(), "accounts"), names.len() as i64);
}

#[tokio::test]
async fn store_008_the_table_refuses_a_digest_that_is_not_32_bytes_long() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    let raw = place.raw();
    let insert =
        "INSERT INTO digests (digest, account, pepper, in_use, prefix) VALUES (?1, 1, 0, 1, '')";
    for length in [0, 31, 33] {
        let error = raw.execute(insert, [vec![7_u8; length]]).unwrap_err();
        let code = error.sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::ConstraintViolation), "{length}");
    }
    assert!(raw.execute(insert, ["a text of 32 characters, not b.."]).is_err());
    assert_eq!(raw.execute(insert, [vec![7_u8; 32]]).unwrap(), 1);
}

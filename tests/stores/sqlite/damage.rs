//! A full disk, a torn log, bytes that are no record.

use std::error::Error;
use std::fs;
use std::path::Path;

use rusqlite::ErrorCode;
use tower_api_token::store::{
    AccountStore, LastUses, PageSize, SqliteOptions, SqliteStore, StoreErrorKind, TokenStore,
};

use super::process::{confined_child, parent};
use super::support::{Place, account, assert_sound, block_on, count, digest, step, user};

#[tokio::test]
async fn store_016_on_a_full_disk_writes_are_unavailable_and_reads_go_on() {
    let place = Place::new();
    place.store().await;
    let store = SqliteOptions::new().max_size(256 << 10).open(place.path()).unwrap();
    fill(&store).await;
    let written = count(&place.raw(), "accounts") as u64;
    batch_is_unavailable_as_a_whole(&store, written).await;
    let raw = place.raw();
    for table in ["accounts", "digests", "history"] {
        assert_eq!(count(&raw, table), written as i64, "{table}");
    }
    assert_sound(&raw);
    drop(store);
    let roomy = SqliteStore::open(place.path()).unwrap();
    roomy.replace(step(account("after", 1, written + 1))).await.unwrap();
}

async fn batch_is_unavailable_as_a_whole(store: &SqliteStore, written: u64) {
    let numbers = written + 1..written + 1_000;
    let batch = numbers.map(|number| step(account(&format!("user {number}"), 1, number)));
    let error = store.replace_many(batch.collect()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

/// The same by the system's own refusal: no file of the child's may become
/// longer than 256 KiB, its log the first.
#[test]
fn store_016_where_the_system_refuses_to_write_nothing_is_half_written() {
    if let Some((store, _)) = parent() {
        return block_on(fill(&store));
    }
    let place = Place::new();
    let name =
        "sqlite::damage::store_016_where_the_system_refuses_to_write_nothing_is_half_written";
    assert!(confined_child(name, &place.path(), 256).wait().unwrap().success());
    let raw = place.raw();
    assert_sound(&raw);
    let written = count(&raw, "accounts");
    assert!(written > 5, "{written}");
    assert_eq!(count(&raw, "digests"), written);
    assert_eq!(count(&raw, "history"), written);
    let store = SqliteStore::open(place.path()).unwrap();
    block_on(store.replace(step(account("after", 1, written as u64 + 1)))).unwrap();
}

/// Writes until that is refused, then reads everything that was acknowledged
/// and nothing else.
async fn fill(store: &SqliteStore) {
    let mut written = 0;
    let error = loop {
        let number = written + 1;
        match store.replace(step(account(&format!("user {number}"), 1, number))).await {
            Ok(()) => written = number,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the file is not bounded");
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let cause = error.source().unwrap().downcast_ref::<rusqlite::Error>().unwrap();
    let codes = [ErrorCode::DiskFull, ErrorCode::SystemIoFailure];
    assert!(cause.sqlite_error_code().is_some_and(|code| codes.contains(&code)), "{cause}");
    for number in 1..=written {
        assert!(store.find(&digest(number)).await.unwrap().is_some());
    }
    assert!(store.find(&digest(written + 1)).await.unwrap().is_none());
    let accounts = store.list(None, PageSize::MAX).await.unwrap().items;
    assert_eq!(accounts.len() as u64, written);
}

/// A power loss keeps any prefix of the log. Whatever is kept, the file opens
/// to a state that it had.
#[tokio::test]
async fn store_018_a_log_cut_short_anywhere_opens_to_a_state_that_was() {
    let place = Place::new();
    let store = place.store().await;
    for revision in 1..=12 {
        store.replace(step(account("alice", revision, revision))).await.unwrap();
    }
    let (file, log) = (fs::read(place.path()).unwrap(), fs::read(log_of(&place.path())).unwrap());
    let frame = 24 + 4_096;
    assert!(log.len() > 12 * frame, "{}", log.len());
    let ends = (32..=log.len()).step_by(frame);
    let cuts = ends.flat_map(|end| [end - 1, end, end + 1, end + 24, end + frame / 2]);
    let mut states = Vec::new();
    for cut in [0, 1, 31].into_iter().chain(cuts).filter(|&cut| cut <= log.len()) {
        states.push(state_after_loss(&file, &log[..cut]).await);
    }
    assert!(states.is_sorted(), "{states:?}");
    let expected: Vec<_> = [None, Some(0)].into_iter().chain((1..=12).map(Some)).collect();
    states.dedup();
    assert_eq!(states, expected);
}

/// The log's last bytes may be garbage too.
#[tokio::test]
async fn store_018_a_log_with_a_torn_tail_opens_to_a_state_that_was() {
    let place = Place::new();
    let store = place.store().await;
    for revision in 1..=3 {
        store.replace(step(account("alice", revision, revision))).await.unwrap();
    }
    let (file, log) = (fs::read(place.path()).unwrap(), fs::read(log_of(&place.path())).unwrap());
    for torn in (1..8_000).step_by(397) {
        let mut log = log.clone();
        let begin = log.len() - torn;
        log[begin..].iter_mut().for_each(|byte| *byte ^= 0xa5);
        let state = state_after_loss(&file, &log).await;
        assert!(state < Some(3), "{torn}: {state:?}");
    }
    assert_eq!(state_after_loss(&file, &log).await, Some(3));
}

fn log_of(path: &Path) -> std::path::PathBuf {
    path.with_extension("db-wal")
}

/// Opens the copy and answers with alice's revision, 0 if there is no account;
/// `None` if there are no tables.
async fn state_after_loss(file: &[u8], log: &[u8]) -> Option<u64> {
    let place = Place::new();
    fs::write(place.path(), file).unwrap();
    fs::write(log_of(&place.path()), log).unwrap();
    let store = SqliteStore::open(place.path()).unwrap();
    let loaded = store.load(&user("alice")).await;
    if loaded.is_err() {
        store.migrate().await.unwrap();
        return None;
    }
    let raw = place.raw();
    assert_sound(&raw);
    let Some(found) = loaded.unwrap().account else { return Some(0) };
    let revision = found.revision().as_u64();
    assert_eq!(*found, account("alice", revision, revision));
    assert_eq!(*store.find(&digest(revision)).await.unwrap().unwrap(), *found);
    assert_eq!(count(&raw, "digests"), 1);
    assert_eq!(count(&raw, "history"), revision as i64);
    store.replace(step(account("alice", revision + 1, revision + 1))).await.unwrap();
    Some(revision)
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_corrupt_and_names_its_cause() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    store.replace(step(account("bob", 1, 2))).await.unwrap();
    let raw = place.raw();
    let whole = "SELECT record FROM accounts WHERE number = 1";
    let whole: Vec<u8> = raw.query_row(whole, [], |row| row.get(0)).unwrap();
    let damage = "UPDATE accounts SET record = ?1 WHERE number = 1";
    let longer = [&whole[..], &[0]].concat();
    for record in [&[][..], &[0], &[255, 1, 2], &whole[..20], &longer] {
        raw.execute(damage, [record]).unwrap();
        let errors = [
            store.find(&digest(1)).await.unwrap_err(),
            store.load(&user("alice")).await.unwrap_err(),
            store.list(None, PageSize::default()).await.unwrap_err(),
            store.replace(step(account("alice", 2, 3))).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{record:?}");
            assert!(error.source().is_some());
        }
        assert!(store.find(&digest(2)).await.unwrap().is_some());
    }
    raw.execute(damage, [whole]).unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_record_in_a_batch_leaves_the_others_alone() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    place.raw().execute_batch("UPDATE accounts SET record = x'00'").unwrap();
    let batch = vec![step(account("alice", 2, 2)), step(account("bob", 1, 3))];
    let results = store.replace_many(batch).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(results[1].is_ok());
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    fs::write(place.path(), "not a database, but long enough to be looked at ".repeat(100))
        .unwrap();
    assert!(SqliteStore::open(place.path()).is_err());
}

/// Such as one that was written when more characters were taken for printable.
#[tokio::test]
async fn a_client_that_is_no_label_is_none_and_its_use_is_kept() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    let use_of_it = "INSERT INTO usage SELECT number, 1, 5, 'a\u{3164}' FROM accounts";
    place.raw().execute(use_of_it, []).unwrap();
    let usage = store.usage(&user("alice")).await.unwrap();
    assert_eq!((usage.len(), usage[0].client.as_ref()), (1, None));
}

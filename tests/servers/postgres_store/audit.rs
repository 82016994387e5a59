//! The log of all accounts' entries while transactions overlap, and what it costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_postgres::Client;
use tower_api_token::store::{
    AccountStore, AuditItem, AuditLog, AuditPosition, DueAccounts, PageSize, PostgresStore,
    Replacement, StoreErrorKind,
};
use tower_api_token::time::Timestamp;

use crate::postgres::{Database, Server};
use crate::sample::{account, change, user};
use crate::server::PATIENCE;

/// Whose entry it is, and of which revision.
type Entry = (String, u64);

fn entry(item: &AuditItem) -> Entry {
    match item {
        AuditItem::Entry(entry) => (entry.user.as_str().to_owned(), entry.revision.as_u64()),
        other => panic!("{other:?}"),
    }
}

/// Somebody who reads on from where they were.
struct Reader<'a> {
    store: &'a PostgresStore,
    after: AuditPosition,
    seen: Vec<Entry>,
}

impl<'a> Reader<'a> {
    const fn new(store: &'a PostgresStore) -> Self {
        Self { store, after: AuditPosition::START, seen: Vec::new() }
    }

    /// What has come since, in pages of that size.
    async fn read_on(&mut self, size: usize) -> Vec<Entry> {
        let mut come = Vec::new();
        loop {
            let page = self.store.audit(self.after, PageSize::clamped(size)).await.unwrap();
            for (position, item) in &page {
                assert!(*position > self.after, "behind what was read");
                self.after = *position;
                come.push(entry(item));
            }
            if page.is_empty() {
                self.seen.extend(come.iter().cloned());
                return come;
            }
        }
    }
}

/// A transaction that has written entries of two accounts, and stays open.
async fn long_transaction(database: &Database) -> Client {
    let client = database.client().await;
    let batch = "
        BEGIN;
        INSERT INTO tower_api_token.history (user_id, revision, at_millis, actor, event)
        SELECT name, revision, 5, 'user', '{\"event\":\"all_revoked\"}'
        FROM unnest(ARRAY['slow', 'slower']) AS name, generate_series(1, 3) AS revision";
    client.batch_execute(batch).await.unwrap();
    client
}

#[tokio::test]
async fn a_long_transaction_holds_up_its_own_entries_alone() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut reader = Reader::new(&store);
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let long = long_transaction(&database).await;
    store.replace(change(account("alice", 2, 1))).await.unwrap();
    assert_eq!(reader.read_on(100).await, [("alice".to_owned(), 1), ("alice".to_owned(), 2)]);
    store.replace(change(account("bob", 1, 2))).await.unwrap();
    assert_eq!(reader.read_on(100).await, [("bob".to_owned(), 1)]);
    let end = store.audit_end().await.unwrap();
    assert_eq!(end, reader.after);
    long.batch_execute("COMMIT").await.unwrap();
    store.replace(change(account("bob", 2, 2))).await.unwrap();
    let late = reader.read_on(2).await;
    let of = |name| late.iter().filter(move |entry| entry.0 == name).map(|entry| entry.1);
    assert!(of("slow").eq(1..=3) && of("slower").eq(1..=3) && of("bob").eq([2]), "{late:?}");
    assert_eq!(late.len(), 7);
    assert!(reader.read_on(100).await.is_empty());
}

/// Batches are written one after the other on each of several connections, single
/// changes beside them, while two readers number and read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_beside_writers_see_each_entry_once_and_in_its_order() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 30;
    let database = Server::shared().database().await;
    let store = Arc::new(database.store().await);
    let done = Arc::new(AtomicBool::new(false));
    let readers = [3, 100].map(|size| {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut reader = Reader::new(&store);
            while !done.load(Ordering::SeqCst) {
                reader.read_on(size).await;
            }
            reader.read_on(size).await;
            reader.seen
        })
    });
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 1..=ROUNDS {
                let change = |number| {
                    let name = format!("user {writer} {number}");
                    change(account(&name, round, writer * 100 + number))
                };
                if round % 3 == 0 {
                    for number in 0..5 {
                        store.replace(change(number)).await.unwrap();
                    }
                } else {
                    let batch: Vec<Replacement> = (0..5).map(change).collect();
                    for answer in store.replace_many(batch).await.unwrap() {
                        answer.unwrap();
                    }
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        let mut revisions = BTreeMap::<String, Vec<u64>>::new();
        for (user, revision) in reader.await.unwrap() {
            revisions.entry(user).or_default().push(revision);
        }
        assert_eq!(revisions.len() as u64, WRITERS * 5);
        for (user, revisions) in revisions {
            assert!(revisions.iter().copied().eq(1..=ROUNDS), "{user}: {revisions:?}");
        }
    }
}

/// Whoever numbers holds a lock; whoever finds nothing to number does not ask for it.
#[tokio::test]
async fn a_reader_that_only_follows_numbers_nothing() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let end = store.audit_end().await.unwrap();
    let numbering = database.client().await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(x'61756469745f6e75'::int8)";
    numbering.batch_execute(lock).await.unwrap();
    for _ in 0..10 {
        let followed = timeout(PATIENCE, store.audit(end, PageSize::MAX)).await.unwrap();
        assert!(followed.unwrap().is_empty());
        assert_eq!(timeout(PATIENCE, store.audit_end()).await.unwrap().unwrap(), end);
    }
    store.replace(change(account("alice", 2, 1))).await.unwrap();
    let wait = Duration::from_millis(300);
    let waiting = timeout(wait, store.audit(end, PageSize::MAX)).await;
    assert!(waiting.is_err(), "it waits for whoever numbers");
    numbering.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.audit(end, PageSize::MAX).await.unwrap().len(), 1);
}

/// As an account's are whose server had the time wrong.
#[tokio::test]
async fn entries_whose_times_go_back_are_read_in_the_order_of_revisions() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let steps = [("alice", 1, 50), ("bob", 1, 30), ("alice", 2, 10), ("bob", 2, 60)];
    for (name, revision, at) in steps {
        let mut step = change(account(name, revision, u64::from(name == "bob")));
        step.entry.at = Timestamp::from_unix_millis(at);
        store.replace(step).await.unwrap();
    }
    let read = Reader::new(&store).read_on(100).await;
    let expected = [("bob", 1), ("alice", 1), ("alice", 2), ("bob", 2)];
    assert_eq!(read, expected.map(|(name, revision)| (name.to_owned(), revision)));
}

/// Neither the log nor what is due is looked for in what has been read or is never
/// due, even where the planner knows nothing of the tables yet.
#[tokio::test]
async fn following_reads_no_table_through() {
    const ACCOUNTS: u64 = 2_000;
    let database = Server::shared().database().await;
    let store = database.store().await;
    let changes = (0..ACCOUNTS).map(|number| account(&format!("user {number}"), 1, number));
    let answers = store.replace_many(changes.map(change).collect()).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    let (end, now) = (store.audit_end().await.unwrap(), Timestamp::now());
    let before = read_through(&database).await;
    for revision in 2..12 {
        store.replace(change(account("user 7", revision, 7))).await.unwrap();
        assert!(!store.audit(end, PageSize::clamped(5)).await.unwrap().is_empty());
        assert!(store.due(now, None, PageSize::MAX).await.unwrap().items.is_empty());
    }
    let after = read_through(&database).await;
    assert!(after - before < 2_000, "{before} {after}");
}

/// How many rows were read of tables that were read through.
async fn read_through(database: &Database) -> i64 {
    // Each backend tells of what it has done a second later at most.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let read = "SELECT sum(seq_tup_read)::int8 FROM pg_stat_user_tables
        WHERE schemaname = 'tower_api_token' AND relname IN ('account', 'digest', 'history')";
    let client = database.client().await;
    client.query_one(read, &[]).await.unwrap().get(0)
}

/// As one that a newer version has written.
#[tokio::test]
async fn an_entry_that_cannot_be_read_holds_up_none_behind_it() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    for (name, number) in [("alice", 1), ("bob", 2), ("carol", 3)] {
        store.replace(change(account(name, 1, number))).await.unwrap();
    }
    let whole = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    let AuditItem::Entry(of_bob) = &whole[1].1 else { panic!("{whole:?}") };
    for damage in [r#"event = '{"event":"of_a_later_version"}'"#, "event = '7'", "actor = ''"] {
        let damage = format!("UPDATE tower_api_token.history SET {damage} WHERE user_id = 'bob'");
        assert_eq!(database.client().await.execute(&damage, &[]).await.unwrap(), 1);
        let log = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
        assert_eq!((&log[0], &log[2]), (&whole[0], &whole[2]), "{damage}");
        let unreadable = AuditItem::Unreadable { user: Some(user("bob")), at: of_bob.at };
        assert_eq!(log[1], (whole[1].0, unreadable), "{damage}");
        let history = store.history(&user("bob"), None, PageSize::MAX).await.unwrap_err();
        assert_eq!(history.kind(), StoreErrorKind::Corrupt, "{damage}");
    }
}

//! PostgreSQL is migrated while other sessions use its tables.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Client;
use tower_api_token::store::{AccountStore, AuditLog, AuditPosition, PageSize, StoreErrorKind};

use crate::postgres::{Database, Server};
use crate::server::PATIENCE;
use crate::upgrade::fixture::path;

/// What a node of every version looks a token up by.
const FIND: &str = "
    SELECT account.record
    FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
    LEFT JOIN (tower_api_token.digest JOIN tower_api_token.account USING (user_id))
    ON digest.digest = $1";

/// The longest that a migration keeps a look-up waiting, and as much again for a
/// busy machine.
const LONGEST: Duration = Duration::from_secs(3);

pub(crate) async fn written_by(version: &str) -> Database {
    let database = Server::shared().database().await;
    let dump = fs::read_to_string(path(version, "postgres.sql")).unwrap();
    database.client().await.batch_execute(&dump).await.unwrap();
    database
}

/// Nodes that look up one token after the other.
struct LookUps {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    nodes: Vec<JoinHandle<Duration>>,
}

impl LookUps {
    async fn start(database: &Database) -> Self {
        let (done, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut nodes = Vec::new();
        for _ in 0..4 {
            let client = database.client().await;
            nodes.push(tokio::spawn(look_up(client, Arc::clone(&done), Arc::clone(&stop))));
        }
        Self { done, stop, nodes }
    }

    /// Waits until so many more are done.
    async fn go_on(&self, count: u64) {
        let enough = self.done.load(Ordering::SeqCst) + count;
        until(async || self.done.load(Ordering::SeqCst) >= enough).await;
    }

    /// How long one of them has taken at most.
    async fn longest(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        let nodes = futures_util::future::join_all(self.nodes).await;
        nodes.into_iter().map(Result::unwrap).max().unwrap()
    }
}

async fn look_up(client: Client, done: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Duration {
    let digest = "SELECT digest FROM tower_api_token.digest WHERE user_id IS NOT NULL LIMIT 1";
    let digest: Vec<u8> = client.query_one(digest, &[]).await.unwrap().get(0);
    let find = client.prepare(FIND).await.unwrap();
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let found = client.query_one(&find, &[&digest]).await.expect("no look-up fails");
        assert!(found.get::<_, Option<Vec<u8>>>(0).is_some());
        longest = longest.max(begun.elapsed());
        done.fetch_add(1, Ordering::SeqCst);
    }
    longest
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "it did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a session waits for a lock of that kind.
async fn until_one_waits(database: &Database, kind: &str) {
    let waiting = "
        SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND wait_event = $1)";
    let client = database.client().await;
    until(async || client.query_one(waiting, &[&kind]).await.unwrap().get(0)).await;
}

/// As a dump does.
async fn reader(database: &Database) -> Client {
    let client = database.client().await;
    let read = "
        SET application_name = 'a long dump';
        BEGIN;
        SELECT count(*) FROM tower_api_token.account;
        SELECT count(*) FROM tower_api_token.digest";
    client.batch_execute(read).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_go_on_while_a_migration_waits_for_a_reader() {
    let database = written_by("b65aa2a").await;
    let look_ups = LookUps::start(&database).await;
    let reader = reader(&database).await;
    let store = Arc::new(database.unmigrated());
    let migrating = Arc::clone(&store);
    let migration = tokio::spawn(async move { migrating.migrate().await });
    until_one_waits(&database, "relation").await;
    look_ups.go_on(100).await;
    // The migration tries it again.
    until_one_waits(&database, "relation").await;
    look_ups.go_on(100).await;
    assert!(!migration.is_finished());
    reader.batch_execute("COMMIT").await.unwrap();
    timeout(PATIENCE, migration).await.unwrap().unwrap().unwrap();
    look_ups.go_on(100).await;
    let longest = look_ups.longest().await;
    assert!(longest < LONGEST, "{longest:?}");
    assert!(!store.prefixes().await.unwrap().is_empty());
}

/// As look-ups do in one order, and changes in the other.
#[tokio::test]
async fn whoever_uses_one_table_and_then_the_other_is_never_ended_as_in_a_deadlock() {
    for [first, second] in [["digest", "account"], ["account", "digest"]] {
        let database = written_by("b65aa2a").await;
        let client = database.client().await;
        let count = |table| format!("SELECT count(*) FROM tower_api_token.{table}");
        client.batch_execute(&format!("BEGIN; {}", count(first))).await.unwrap();
        let store = database.unmigrated();
        let migration = tokio::spawn(async move { store.migrate().await });
        until_one_waits(&database, "relation").await;
        client.batch_execute(&format!("{}; COMMIT", count(second))).await.unwrap();
        timeout(PATIENCE, migration).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_gets_no_lock_says_who_holds_it_and_has_changed_nothing() {
    let database = written_by("b65aa2a").await;
    let reader = reader(&database).await;
    let store = database.unmigrated();
    let error = timeout(PATIENCE, store.migrate()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(" of a long dump, in a transaction since "), "{source}");
    let client = database.client().await;
    let version = "SELECT max(version) FROM tower_api_token.migration";
    assert_eq!(client.query_one(version, &[]).await.unwrap().get::<_, i32>(0), 1);
    reader.batch_execute("COMMIT").await.unwrap();
    store.migrate().await.unwrap();
}

/// A change that is not yet committed holds the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_broken_off_is_not_complete_until_it_has_gone_on() {
    let database = written_by("b65aa2a").await;
    let store = Arc::new(database.store().await);
    let counted = store.prefixes().await.unwrap();
    let broken_off = "
        UPDATE tower_api_token.account SET prefixes = NULL;
        INSERT INTO tower_api_token.number (name, value) VALUES ('prefixes missing since', 1)";
    database.client().await.batch_execute(broken_off).await.unwrap();
    let change = database.client().await;
    let hold = "BEGIN; SELECT FROM tower_api_token.account WHERE user_id = 'primary' FOR UPDATE";
    change.batch_execute(hold).await.unwrap();
    let migrating = Arc::clone(&store);
    let migration = tokio::spawn(async move { migrating.migrate().await });
    for _ in 0..2 {
        until_one_waits(&database, "transactionid").await;
        let error = store.prefixes().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotSetUp);
        // Another account's row is let go between two attempts.
        let change = "UPDATE tower_api_token.account SET revision = revision WHERE user_id = $1";
        let client = database.client().await;
        timeout(LONGEST, client.execute(change, &[&"granted"])).await.unwrap().unwrap();
    }
    change.batch_execute("COMMIT").await.unwrap();
    timeout(PATIENCE, migration).await.unwrap().unwrap().unwrap();
    assert_eq!(store.prefixes().await.unwrap(), counted);
}

/// A change that is not yet committed keeps the indexes from being made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_go_on_while_the_indexes_of_the_log_wait_for_a_change() {
    let database = written_by("c8952fe").await;
    let store = Arc::new(database.store().await);
    let before = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    let broken_off = "
        DROP INDEX tower_api_token.account_due, tower_api_token.history_position,
            tower_api_token.history_unnumbered;
        UPDATE tower_api_token.history SET position = NULL;
        DELETE FROM tower_api_token.number WHERE name = 'audit position'";
    database.client().await.batch_execute(broken_off).await.unwrap();
    let change = database.client().await;
    let hold = "BEGIN; UPDATE tower_api_token.history SET actor = actor WHERE user_id = 'primary'";
    change.batch_execute(hold).await.unwrap();
    let look_ups = LookUps::start(&database).await;
    let migrating = Arc::clone(&store);
    let migration = tokio::spawn(async move { migrating.migrate().await });
    for _ in 0..2 {
        until_one_waits(&database, "relation").await;
        look_ups.go_on(100).await;
        let error = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotSetUp);
        assert_eq!(store.audit_end().await.unwrap_err().kind(), StoreErrorKind::NotSetUp);
    }
    change.batch_execute("COMMIT").await.unwrap();
    timeout(PATIENCE, migration).await.unwrap().unwrap().unwrap();
    look_ups.longest().await;
    assert_eq!(store.audit(AuditPosition::START, PageSize::MAX).await.unwrap(), before);
}

//! Changes that meet each other, and changes that are cut off.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use futures_util::future::join_all;
use http::Request;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tower_api_token::TokenManager;
use tower_api_token::account::{Account, LastUse};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Confirmation, Delivery};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{AccountStore, LastUses, PostgresStore, StoreError, StoreErrorKind};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::postgres::{Database, Server};
use crate::sample::{account, change, digest, user};

/// A connection that is inside a transaction and holds a lock.
struct Blocker(tokio_postgres::Client);

impl Blocker {
    async fn holding(database: &Database, statement: &str) -> Self {
        let client = database.client().await;
        client.batch_execute(&format!("BEGIN; {statement}")).await.unwrap();
        Self(client)
    }

    /// Waits until that many others wait for a lock.
    async fn has_blocked(&self, others: i64) {
        let count = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        for _ in 0..10_000 {
            // Else the transaction would see the same rows for ever.
            self.0.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            let waiting: i64 = self.0.query_one(count, &[]).await.unwrap().get(0);
            if waiting >= others {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{others} others should wait for a lock");
    }

    async fn release(self) {
        self.0.batch_execute("COMMIT").await.unwrap();
    }
}

type Answer = Result<(), StoreError>;

fn replacing(store: &Arc<PostgresStore>, account: Account) -> JoinHandle<Answer> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.replace(change(account)).await })
}

/// The kinds of the failures among the answers.
async fn failures(answers: impl IntoIterator<Item = JoinHandle<Answer>>) -> Vec<StoreErrorKind> {
    let mut kinds = Vec::new();
    for answer in answers {
        kinds.extend(answer.await.unwrap().err().map(|error| error.kind()));
    }
    kinds
}

/// Both statements have begun, and have seen the old revision, before either
/// goes on.
#[tokio::test]
async fn store_011_of_two_interleaved_changes_one_wins_by_its_revision() {
    let database = Server::shared().database().await;
    let store = Arc::new(database.store().await);
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    for revision in 2..30 {
        let lock = "SELECT FROM tower_api_token.account FOR UPDATE";
        let blocker = Blocker::holding(&database, lock).await;
        let rivals = [10, 20].map(|base| account("alice", revision, base * 100 + revision));
        let answers = rivals.map(|account| replacing(&store, account));
        blocker.has_blocked(2).await;
        blocker.release().await;
        assert_eq!(failures(answers).await, [StoreErrorKind::Conflict]);
    }
}

#[tokio::test]
async fn store_011_of_two_interleaved_confirmations_one_wins() {
    let database = Server::shared().database().await;
    let store = Arc::new(database.store().await);
    let manager = TokenManager::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let manager = manager.build().await.unwrap();
    let (actor, alice) = (Actor::User, user("alice"));
    manager.grant(&actor, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let generated = manager.generate_primary(&actor, &alice).await.unwrap();
    let Delivery::ToCaller(code) = generated.delivery else { panic!("the code comes back") };
    let lock = "SELECT FROM tower_api_token.account FOR UPDATE";
    let blocker = Blocker::holding(&database, lock).await;
    let confirming = [(); 2].map(|()| {
        let (manager, code, alice) = (manager.clone(), code.clone(), alice.clone());
        tokio::spawn(async move { manager.confirm(&Actor::User, &alice, &code).await })
    });
    blocker.has_blocked(2).await;
    blocker.release().await;
    let mut refusals = Vec::new();
    for answer in confirming {
        refusals.extend(answer.await.unwrap().err().map(|error| error.refusal()));
    }
    let again = RotationError::AlreadyConfirmed { id: generated.id };
    assert_eq!(refusals, [Some(again)]);
}

/// None of them can see the others' digest when it looks; the unique key does.
#[tokio::test]
async fn accounts_that_name_one_digest_at_the_same_moment_have_one_winner() {
    let database = Server::shared().database().await;
    let store = Arc::new(database.store().await);
    for round in 0..20 {
        let lock = "LOCK TABLE tower_api_token.account IN SHARE MODE";
        let blocker = Blocker::holding(&database, lock).await;
        let name = |number| format!("user {round} {number}");
        let answers = [1, 2, 3].map(|number| replacing(&store, account(&name(number), 1, round)));
        blocker.has_blocked(3).await;
        blocker.release().await;
        assert_eq!(failures(answers).await, [StoreErrorKind::Conflict; 2]);
    }
}

#[tokio::test]
async fn a_batch_that_loses_a_digest_at_the_same_moment_keeps_the_rest() {
    let database = Server::shared().database().await;
    let store = Arc::new(database.store().await);
    let insert = "INSERT INTO tower_api_token.account VALUES ('rival', 1, '{}', '');
        INSERT INTO tower_api_token.digest VALUES (decode($$DIGEST$$, 'hex'), 'rival')";
    let hex = digest(2).as_bytes().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let blocker = Blocker::holding(&database, &insert.replace("DIGEST", &hex)).await;
    let batch = tokio::spawn({
        let changes: Vec<_> =
            (1..=3).map(|number| change(account(&format!("user {number}"), 1, number))).collect();
        async move { store.replace_many(changes).await }
    });
    blocker.has_blocked(1).await;
    blocker.release().await;
    let answers = batch.await.unwrap().unwrap().into_iter();
    let answers: Vec<_> = answers.map(|answer| answer.map_err(|error| error.kind())).collect();
    assert_eq!(answers, [Ok(()), Err(StoreErrorKind::Conflict), Ok(())]);
}

/// Where a host's database makes every transaction serialisable, one that gives
/// way is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_isolation_level_makes_no_difference() {
    let database = Server::shared().database().await;
    let strict = "SET default_transaction_isolation = 'serializable'";
    let statement = format!("ALTER DATABASE {} {strict}", database.name);
    database.client().await.batch_execute(&statement).await.unwrap();
    let store = Arc::new(database.store().await);
    store.migrate().await.unwrap();
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    for revision in 2..20 {
        let rivals = (0..8).map(|number| account("alice", revision, revision * 10 + number));
        let answers: Vec<_> = rivals.map(|account| replacing(&store, account)).collect();
        assert_eq!(failures(answers).await, [StoreErrorKind::Conflict; 7]);
    }
}

/// A batch of uses waits for no change, and no change for it.
#[tokio::test]
async fn recording_uses_never_touches_an_account() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let lock = "SELECT FROM tower_api_token.account FOR UPDATE";
    let blocker = Blocker::holding(&database, lock).await;
    let used = |at| {
        let usage = LastUse::new(TokenId::from_u64(1), Timestamp::from_unix_millis(at), None);
        (user("alice"), usage)
    };
    store.record_usage(&[used(5), used(9), used(7)]).await.unwrap();
    store.record_usage(&[used(8)]).await.unwrap();
    blocker.release().await;
    let lock = "SELECT FROM tower_api_token.token_use FOR UPDATE";
    let blocker = Blocker::holding(&database, lock).await;
    store.replace(change(account("alice", 2, 1))).await.unwrap();
    blocker.release().await;
    let usage = store.usage(&user("alice")).await.unwrap();
    assert_eq!(usage, [used(9).1]);
}

/// All excess requests are answered 503, and all is well again afterwards.
#[tokio::test]
async fn store_003_an_exhausted_pool_is_unavailable() {
    let database = Server::shared().database().await;
    let manager = TokenManager::builder(database.store().await);
    let manager = manager.confirmation(Confirmation::ByCaller).build().await.unwrap();
    let (actor, alice) = (Actor::User, user("alice"));
    manager.grant(&actor, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let token = manager.issue(&actor, &alice).await.unwrap().token;
    let pool = Manager::new(database.config.clone(), NoTls);
    let pool = Pool::builder(pool).max_size(2).runtime(Runtime::Tokio1);
    let pool = pool.wait_timeout(Some(Duration::from_millis(50))).build().unwrap();
    let small = Arc::new(PostgresStore::new(pool));
    let node = Authenticator::new(Arc::clone(&small));
    let decide = async || {
        let request = Request::get("/");
        let request = request.header("authorization", format!("Bearer {}", token.expose_secret()));
        let decision = node.authenticate(&mut request.body(()).unwrap().into_parts().0).await;
        decision.map(drop).map_err(|denial| denial.kind())
    };
    let lock = "SELECT FROM tower_api_token.account FOR UPDATE";
    let blocker = Blocker::holding(&database, lock).await;
    let slow = [3, 3].map(|revision| replacing(&small, account("alice", revision, 7)));
    blocker.has_blocked(2).await;
    let decisions = join_all((0..1_000).map(|_| decide())).await;
    assert_eq!(decisions, [Err(DenialKind::StoreUnavailable); 1_000]);
    blocker.release().await;
    assert_eq!(failures(slow).await, [StoreErrorKind::Conflict]);
    assert_eq!(decide().await, Err(DenialKind::InvalidToken), "the account names another now");
}

/// The server names the whole row in the detail of such a refusal.
#[tokio::test]
async fn a_refusal_that_names_a_digest_is_told_without_it() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let client = database.client().await;
    let rule = "ALTER TABLE tower_api_token.digest ADD CHECK (user_id <> 'mallory')";
    client.batch_execute(rule).await.unwrap();
    let error = store.replace(change(account("mallory", 1, 7))).await.unwrap_err();
    let mut told = format!("{error:?} {error}");
    let mut source = error.source();
    assert!(source.is_some());
    while let Some(cause) = source {
        write!(told, " {cause:?} {cause}").unwrap();
        source = cause.source();
    }
    assert!(told.contains("23514"), "{told}");
    assert!(!told.contains("d1d1") && !told.contains("209, 209"), "{told}");
}

/// What is left of a user in the history, where somebody has deleted the
/// account by hand, stands in the way of no one else.
#[tokio::test]
async fn a_conflict_that_lasts_leaves_the_others_of_its_batch_alone() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("bob", 1, 1))).await.unwrap();
    let delete = "DELETE FROM tower_api_token.account WHERE user_id = 'bob'";
    database.client().await.batch_execute(delete).await.unwrap();
    let accounts = [account("alice", 1, 2), account("bob", 1, 3), account("carol", 1, 4)];
    let answers = store.replace_many(accounts.into_iter().map(change).collect()).await.unwrap();
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.map_err(|error| error.kind())).collect();
    assert_eq!(answers, [Ok(()), Err(StoreErrorKind::Conflict), Ok(())]);
    let load = async |name| store.load(&user(name)).await.unwrap().account;
    assert!(load("alice").await.is_some() && load("carol").await.is_some());
    assert!(load("bob").await.is_none());
}

/// The planner knows nothing of tables that a batch has only begun to fill: it
/// takes them for small, and reading them through for each change would take
/// hours.
#[tokio::test]
async fn a_batch_into_an_empty_database_reads_no_table_through() {
    const CHANGES: u64 = 2_000;
    let database = Server::shared().database().await;
    let store = database.store().await;
    // Plans may be made already when the batch comes.
    for number in 0..10 {
        store.replace(change(account(&format!("first {number}"), 1, number))).await.unwrap();
    }
    let changes = (10..10 + CHANGES).map(|number| account(&format!("user {number}"), 1, number));
    let answers = store.replace_many(changes.map(change).collect()).await.unwrap();
    assert!(answers.len() == 2_000 && answers.iter().all(Result::is_ok));
    let client = database.client().await;
    let told = "SELECT relname::text, n_tup_ins, seq_tup_read FROM pg_stat_user_tables
        WHERE schemaname = 'tower_api_token' AND relname IN ('account', 'digest', 'history')";
    // Each backend tells of what it has done a second later at most.
    for _ in 0..1_000 {
        client.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let rows = client.query(told, &[]).await.unwrap();
        let rows: Vec<(String, i64, i64)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        if rows.len() == 3 && rows.iter().all(|(_, written, _)| *written >= 2_000) {
            assert!(rows.iter().all(|(.., read)| *read < 10_000), "{rows:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not tell what it has done");
}

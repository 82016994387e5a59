//! Callers that hang up in the middle of any operation.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::NoTls;
use tower_api_token::store::PostgresStore;

use crate::dropped::Operations;
use crate::postgres::{Database, Server};

/// How many operations are dropped while the database holds them up inside their
/// transaction.
const INSIDE: u64 = 600;

/// A node with a pool of one connection, and a connection to look on.
struct World {
    _database: Database,
    operations: Operations<PostgresStore>,
    onlooker: tokio_postgres::Client,
}

impl World {
    async fn new() -> Self {
        let database = Server::shared().database().await;
        let mut one = database.clone();
        one.config.application_name("the pool of one");
        let store = PostgresStore::new(one.pool(1)).listen_with(database.config.clone(), NoTls);
        store.migrate().await.unwrap();
        let migrate = |store: Arc<PostgresStore>| {
            Box::pin(async move { store.migrate().await.unwrap() }) as _
        };
        let operations = Operations::new(Arc::new(store), migrate, 7).await;
        let onlooker = database.client().await;
        Self { _database: database, operations, onlooker }
    }

    /// Waits until the pool's one connection does this, or waits for a lock.
    async fn until(&self, state: &str) {
        let question = "SELECT CASE wait_event_type WHEN 'Lock' THEN 'locked' ELSE state END
            FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'the pool of one'";
        let mut seen = String::new();
        for _ in 0..10_000 {
            self.onlooker.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            seen = self.onlooker.query_one(question, &[]).await.expect("one connection").get(0);
            if seen == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the pool's connection should have been {state}, and was {seen}");
    }

    async fn everything_works(&self) {
        self.until("idle").await;
        self.operations.everything_works().await;
        self.until("idle").await;
    }
}

#[tokio::test]
async fn operations_dropped_at_any_poll_leave_the_only_connection_usable() {
    let world = World::new().await;
    world.operations.drop_at_any_poll().await;
    world.everything_works().await;
}

#[tokio::test]
async fn rotation_026_operations_dropped_inside_their_transaction_leave_no_transaction() {
    let world = World::new().await;
    for number in 1..=INSIDE {
        let (waiting, code) = world.operations.pending_code(number).await;
        world.until("idle").await;
        let lock = "BEGIN; LOCK TABLE tower_api_token.account, tower_api_token.token_use,
            tower_api_token.migration IN SHARE ROW EXCLUSIVE MODE;
            SELECT pg_advisory_xact_lock(x'746f7765722d6170'::int8)";
        world.onlooker.batch_execute(lock).await.unwrap();
        let work = match number % 5 {
            0 => world.operations.writing(4, number),
            1 => world.operations.writing(0, number),
            2 => world.operations.writing(3, number),
            3 => world.operations.writing(2, number),
            _ => world.operations.confirming(waiting, code),
        };
        let work = tokio::spawn(work);
        world.until("locked").await;
        work.abort();
        assert!(work.await.is_err_and(|error| error.is_cancelled()));
        world.onlooker.batch_execute("COMMIT").await.unwrap();
        world.until("idle").await;
    }
    world.everything_works().await;
}

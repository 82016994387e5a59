//! PostgreSQL: the same statement over a pool of the same size by hand.

use deadpool_postgres::Pool;
use tokio::runtime::Runtime;
use tower_api_token::store::PostgresStore;
use tower_api_token::token::TokenDigest;

use super::measure::{Candidate, LookUp, Store};
use super::population::populate;
use super::table::Table;
use crate::postgres::Server;

const FIND: &str = "
    SELECT account.record
    FROM tower_api_token.digest JOIN tower_api_token.account USING (user_id)
    WHERE digest.digest = $1";

/// Connections of each pool.
const CONNECTIONS: usize = 16;

struct Driver(Pool);

impl LookUp for Driver {
    async fn look_up(&self, digest: &TokenDigest) -> bool {
        let client = self.0.get().await.expect("a connection");
        let find = client.prepare_cached(FIND).await.expect("a statement");
        let row = client.query_opt(&find, &[&&digest.as_bytes()[..]]).await.expect("an answer");
        row.is_some_and(|row| !row.get::<_, &[u8]>(0).is_empty())
    }
}

/// The store over a driver: each look-up waits.
struct Waiting(Store<PostgresStore>);

impl LookUp for Waiting {
    async fn look_up(&self, digest: &TokenDigest) -> bool {
        self.0.look_up(digest).await
    }
}

pub(crate) fn measure(runtime: &Runtime, rows: u64) -> f64 {
    let server = Server::start(&[]);
    let _inside = runtime.enter();
    let database = runtime.block_on(server.database());
    let open = || {
        let store = PostgresStore::new(database.pool(CONNECTIONS));
        store.listen_with(database.config.clone(), tokio_postgres::NoTls)
    };
    let store = open();
    runtime.block_on(async {
        store.migrate().await.expect("the tables");
        populate(&store, rows).await;
        database.client().await.batch_execute("VACUUM ANALYZE").await.expect("statistics");
    });
    let candidates = [
        Candidate::new("`tokio-postgres`", Driver(database.pool(CONNECTIONS)), rows),
        Candidate::new("`PostgresStore`", Waiting(Store(store)), rows),
        crate::cached(runtime, "`CachedStore<PostgresStore>`", open()),
    ];
    Table::of(runtime, candidates).print_ratios()
}

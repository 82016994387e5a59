//! Redis: a script that goes from the digest to the record by hand.

use redis::Script;
use redis::aio::ConnectionManager;
use tokio::runtime::Runtime;
use tower_api_token::store::RedisStore;
use tower_api_token::token::TokenDigest;

use super::measure::{Candidate, LookUp, Store};
use super::population::populate;
use super::table::Table;
use crate::redis_server::{DURABLE, Server};

/// One round trip; two commands would need two, as the second depends on the
/// first. A digest leads to the sixteen letters of the deployment's name and
/// then the user.
const FIND: &str = "
    local found = redis.call('GET', KEYS[1])
    return found and redis.call('HGET', ARGV[1] .. string.sub(found, 17), 'record')";

struct Driver {
    connection: ConnectionManager,
    find: Script,
    digest: String,
    account: String,
}

impl LookUp for Driver {
    async fn look_up(&self, digest: &TokenDigest) -> bool {
        let mut find = self.find.key([self.digest.as_bytes(), digest.as_bytes()].concat());
        find.arg(&self.account);
        let mut connection = self.connection.clone();
        let record: Option<Vec<u8>> = find.invoke_async(&mut connection).await.expect("an answer");
        record.is_some_and(|record| !record.is_empty())
    }
}

/// The store over a driver: each look-up waits.
struct Waiting(Store<RedisStore>);

impl LookUp for Waiting {
    async fn look_up(&self, digest: &TokenDigest) -> bool {
        self.0.look_up(digest).await
    }
}

pub(crate) fn measure(runtime: &Runtime, rows: u64) -> f64 {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let _inside = runtime.enter();
    let (store, behind, connection) = runtime.block_on(async {
        let store = deployment.store().await;
        populate(&store, rows).await;
        let connection = ConnectionManager::new(server.client()).await.expect("a connection");
        (store, deployment.opened().await, connection)
    });
    let (digest, account) = (deployment.key("digest:"), deployment.key("account:"));
    let driver = Driver { connection, find: Script::new(FIND), digest, account };
    let candidates = [
        Candidate::new("`redis`", driver, rows),
        Candidate::new("`RedisStore`", Waiting(Store(store)), rows),
        crate::cached(runtime, "`CachedStore<RedisStore>`", behind),
    ];
    Table::of(runtime, candidates).print_ratios()
}

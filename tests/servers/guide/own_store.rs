//! The guide's store passes the conformance suite.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use tower_api_token::conformance_suite;
use tower_api_token::store::StoreError;
use tower_api_token::store::conformance::{Failing, Harness, Interrupting, Migrating, Nodes};

use crate::postgres::{Database, Server};
use crate::relay::{Mode, Relay};
use crate::server::free_address;

#[path = "../../../examples/guide/own_store.rs"]
mod store;

use store::OwnStore;

/// How long a store waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

conformance_suite!(
    own_store, Databases::default(), Migrating + Nodes + Failing + Interrupting,
    without Feed + LastUses + AuditLog + DueAccounts + PepperChecks + Erasure
);

/// A database for each store that is asked for.
#[derive(Default)]
struct Databases(Mutex<Vec<Database>>, Mutex<Vec<Relay>>);

impl Databases {
    async fn new_one(&self) -> Database {
        let database = Server::shared().database().await;
        let left = "DROP TABLE IF EXISTS own_history, own_digest, own_account";
        database.client().await.batch_execute(left).await.expect("an empty database");
        self.0.lock().unwrap().push(database.clone());
        database
    }
}

/// A store over the database at an address, perhaps that of a relay.
fn open(address: SocketAddr, database: &Database) -> OwnStore {
    let options = PgConnectOptions::new().host("127.0.0.1").port(address.port());
    let options =
        options.username("postgres").database(&database.name).ssl_mode(PgSslMode::Disable);
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(PATIENCE);
    OwnStore::new(pool.connect_lazy_with(options))
}

async fn migrated(address: SocketAddr, database: &Database) -> OwnStore {
    let store = open(address, database);
    store.migrate().await.expect("the tables");
    store
}

impl Harness for Databases {
    type Store = OwnStore;

    async fn store(&self) -> OwnStore {
        migrated(Server::shared().address(), &self.new_one().await).await
    }
}

impl Migrating for Databases {
    async fn unmigrated(&self, count: usize) -> Vec<OwnStore> {
        let database = self.new_one().await;
        (0..count).map(|_| open(Server::shared().address(), &database)).collect()
    }

    async fn migrate(&self, store: &OwnStore) -> Result<(), StoreError> {
        store.migrate().await
    }
}

impl Nodes for Databases {
    async fn another(&self, _: &OwnStore) -> OwnStore {
        let database = self.0.lock().unwrap().last().expect("a store was asked for").clone();
        open(Server::shared().address(), &database)
    }
}

impl Failing for Databases {
    async fn failing(&self) -> OwnStore {
        open(free_address(), &self.new_one().await)
    }
}

impl Interrupting for Databases {
    async fn interruptible(&self) -> OwnStore {
        let database = self.new_one().await;
        let relay = Relay::to(Server::shared().address()).await;
        let store = migrated(relay.address, &database).await;
        self.1.lock().unwrap().push(relay);
        store
    }

    async fn cut_off(&self, _: &OwnStore) {
        self.1.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Cut));
    }

    async fn reconnect(&self, _: &OwnStore) {
        self.1.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Open));
    }
}

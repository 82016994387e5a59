//! PostgreSQL as the scenarios of `faults` see it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::block_in_place;
use tower_api_token::store::PostgresStore;

use crate::faults::Engine;
use crate::postgres::{Database, Server};

pub(crate) struct Postgres {
    database: Database,
    server: Arc<Server>,
}

impl Postgres {
    /// A database on a server of its own, which can be killed. Needs a runtime
    /// with several threads.
    pub(crate) async fn own() -> Self {
        Self::on(block_in_place(|| Arc::new(Server::start(&["fsync=off"])))).await
    }

    /// A database on the server that other tests use too.
    pub(crate) async fn shared() -> Self {
        Self::on(Arc::clone(Server::shared())).await
    }

    async fn on(server: Arc<Server>) -> Self {
        let database = server.database().await;
        database.store().await;
        Self { database, server }
    }
}

impl Engine for Postgres {
    type Store = PostgresStore;

    const NODE_PROCESS: &str = "postgres_store::node_process";

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn describe(&self, address: SocketAddr) -> String {
        format!("{address} {}", self.database.name)
    }

    async fn open(description: &str) -> PostgresStore {
        let (address, name) = description.split_once(' ').expect("an address and a name");
        Database::at(address.parse().expect("an address"), name).unmigrated()
    }

    fn kill(&self) {
        self.server.kill();
    }

    fn start_again(&self) {
        self.server.start_again();
    }

    fn freeze(&self, freeze: bool) {
        self.server.freeze(freeze);
    }

    async fn end_listeners(&self) {
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND query IN ('LISTEN tower_api_token', '')";
        let client = self.database.client().await;
        client.query(terminate, &[]).await.expect("an end to the listeners");
    }
}

//! The conformance suite.

use tower_api_token::conformance_suite;
use tower_api_token::store::conformance::{Failing, Harness, Migrating, Nodes};
use tower_api_token::store::{PostgresStore, StoreError};

use crate::postgres::{Database, Server};
use crate::server::free_address;

conformance_suite!(postgres, Databases::default(), Migrating + Nodes + Failing);

/// A database for each store that is asked for.
#[derive(Default)]
struct Databases(std::sync::Mutex<Vec<Database>>);

impl Databases {
    async fn new_one(&self) -> Database {
        let database = Server::shared().database().await;
        self.0.lock().unwrap().push(database.clone());
        database
    }

    fn last(&self) -> Database {
        self.0.lock().unwrap().last().expect("a store was asked for").clone()
    }
}

impl Harness for Databases {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        self.new_one().await.store().await
    }
}

impl Migrating for Databases {
    async fn unmigrated(&self, count: usize) -> Vec<PostgresStore> {
        let database = self.new_one().await;
        (0..count).map(|_| database.unmigrated()).collect()
    }

    async fn migrate(&self, store: &PostgresStore) -> Result<(), StoreError> {
        store.migrate().await
    }
}

impl Nodes for Databases {
    async fn another(&self, _: &PostgresStore) -> PostgresStore {
        self.last().store().await
    }
}

impl Failing for Databases {
    async fn failing(&self) -> PostgresStore {
        self.new_one().await.through(free_address()).unmigrated()
    }
}

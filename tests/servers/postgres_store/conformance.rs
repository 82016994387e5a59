//! The conformance suite.

use std::sync::Mutex;
use std::time::Duration;

use tower_api_token::conformance_suite;
use tower_api_token::store::conformance::{Failing, Harness, Interrupting, Migrating, Nodes};
use tower_api_token::store::{CacheOptions, CachedStore, PostgresStore, StoreError};

use crate::faults::BOUND;
use crate::postgres::{Database, Server};
use crate::relay::{Mode, Relay};
use crate::server::free_address;

conformance_suite!(postgres, Databases::default(), Migrating + Nodes + Failing + Interrupting,);

/// A database for each store that is asked for.
#[derive(Default)]
struct Databases(Mutex<Vec<Database>>, Mutex<Vec<Relay>>);

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

impl Interrupting for Databases {
    async fn interruptible(&self) -> PostgresStore {
        let database = self.new_one().await;
        let relay = Relay::to(Server::shared().address()).await;
        let store = database.through(relay.address).store().await;
        self.1.lock().unwrap().push(relay);
        store
    }

    async fn cut_off(&self, _: &PostgresStore) {
        self.1.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Cut));
    }

    async fn reconnect(&self, _: &PostgresStore) {
        self.1.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Open));
    }
}

conformance_suite!(cached_postgres, Cached::default(), Migrating + Nodes + Failing,);

/// The same stores, each behind a cache that is trusted where it can be.
#[derive(Default)]
struct Cached(Databases);

fn cache(store: PostgresStore) -> CachedStore<PostgresStore> {
    let options = CacheOptions::new().staleness_bound(BOUND);
    CachedStore::start(store, options).unwrap()
}

async fn trusted(store: PostgresStore) -> CachedStore<PostgresStore> {
    let cache = cache(store);
    while !cache.is_trusted() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cache
}

impl Harness for Cached {
    type Store = CachedStore<PostgresStore>;

    async fn store(&self) -> Self::Store {
        trusted(self.0.store().await).await
    }
}

impl Migrating for Cached {
    async fn unmigrated(&self, count: usize) -> Vec<Self::Store> {
        self.0.unmigrated(count).await.into_iter().map(cache).collect()
    }

    async fn migrate(&self, store: &Self::Store) -> Result<(), StoreError> {
        store.inner().migrate().await
    }
}

impl Nodes for Cached {
    async fn another(&self, store: &Self::Store) -> Self::Store {
        trusted(self.0.another(store.inner()).await).await
    }
}

impl Failing for Cached {
    async fn failing(&self) -> Self::Store {
        cache(self.0.failing().await)
    }
}

//! The conformance suite.

use std::sync::Mutex;
use std::time::Duration;

use tower_api_token::conformance_suite;
use tower_api_token::store::conformance::{Failing, Harness, Interrupting, Migrating, Nodes};
use tower_api_token::store::{CacheOptions, CachedStore, RedisStore, StoreError};

use crate::redis_server::{Deployment, Server};
use crate::relay::{Mode, Relay};

conformance_suite!(redis, Deployments::default(), Migrating + Nodes + Failing + Interrupting);

conformance_suite!(cached_redis, Cached::default(), Nodes);

/// A deployment for each store that is asked for.
#[derive(Default)]
struct Deployments {
    last: Mutex<Option<Deployment>>,
    relays: Mutex<Vec<Relay>>,
}

impl Deployments {
    fn new_one(&self) -> Deployment {
        self.last.lock().unwrap().insert(Server::shared().deployment()).clone()
    }

    fn last(&self) -> Deployment {
        self.last.lock().unwrap().clone().expect("a store was asked for")
    }
}

impl Harness for Deployments {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        self.new_one().store().await
    }
}

impl Migrating for Deployments {
    async fn unmigrated(&self, count: usize) -> Vec<RedisStore> {
        let (deployment, mut stores) = (self.new_one(), Vec::new());
        for _ in 0..count {
            stores.push(deployment.opened().await);
        }
        stores
    }

    async fn migrate(&self, store: &RedisStore) -> Result<(), StoreError> {
        store.create().await
    }
}

impl Nodes for Deployments {
    async fn another(&self, _: &RedisStore) -> RedisStore {
        self.last().store().await
    }
}

impl Failing for Deployments {
    /// The way to its server was cut after it was opened.
    async fn failing(&self) -> RedisStore {
        let relay = Relay::to(Server::shared().address()).await;
        let store = self.new_one().through(relay.address).store().await;
        relay.set(Mode::Cut);
        self.relays.lock().unwrap().push(relay);
        store
    }
}

impl Interrupting for Deployments {
    async fn interruptible(&self) -> RedisStore {
        let relay = Relay::to(Server::shared().address()).await;
        let store = self.new_one().through(relay.address).store().await;
        self.relays.lock().unwrap().push(relay);
        store
    }

    async fn cut_off(&self, _: &RedisStore) {
        self.relays.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Cut));
    }

    async fn reconnect(&self, _: &RedisStore) {
        self.relays.lock().unwrap().iter().for_each(|relay| relay.set(Mode::Open));
    }
}

/// The same behind a cache that is trusted.
#[derive(Default)]
struct Cached(Deployments);

async fn cached(store: RedisStore) -> CachedStore<RedisStore> {
    let options = CacheOptions::new().staleness_bound(Duration::from_millis(500));
    let cache = CachedStore::start(store, options).unwrap();
    while !cache.is_trusted() {
        tokio::task::yield_now().await;
    }
    cache
}

impl Harness for Cached {
    type Store = CachedStore<RedisStore>;

    async fn store(&self) -> Self::Store {
        cached(self.0.store().await).await
    }
}

impl Nodes for Cached {
    async fn another(&self, store: &Self::Store) -> Self::Store {
        cached(self.0.another(store.inner()).await).await
    }
}

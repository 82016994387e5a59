//! The conformance suite on the stores that stand around others.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tower_api_token::conformance_suite;
use tower_api_token::store::conformance::{Harness, Nodes};
use tower_api_token::store::{
    AccountStore, CacheOptions, CachedStore, MemoryStore, SqliteStore, WithMetrics, WithTimeout,
};

/// A cache that is trusted, so that the suite meets its memory.
async fn cached<S: AccountStore>(store: S) -> CachedStore<S> {
    let options = CacheOptions::new().staleness_bound(Duration::from_millis(500));
    let cache = CachedStore::start(store, options).unwrap();
    while !cache.is_trusted() {
        tokio::task::yield_now().await;
    }
    cache
}

struct Memory;

impl Harness for Memory {
    type Store = CachedStore<Arc<MemoryStore>>;

    async fn store(&self) -> Self::Store {
        cached(Arc::default()).await
    }
}

impl Nodes for Memory {
    async fn another(&self, store: &Self::Store) -> Self::Store {
        cached(Arc::clone(store.inner())).await
    }
}

conformance_suite!(cached_memory, Memory, Nodes);

/// A file for each test, behind a cache and a limit.
struct Sqlite(TempDir);

impl Sqlite {
    async fn open(&self, name: &str) -> WithTimeout<SqliteStore> {
        let store = SqliteStore::open(self.0.path().join(name)).unwrap();
        store.migrate().await.unwrap();
        WithTimeout::new(store)
    }
}

impl Harness for Sqlite {
    type Store = CachedStore<WithTimeout<SqliteStore>>;

    async fn store(&self) -> Self::Store {
        cached(self.open("tokens.db").await).await
    }
}

impl Nodes for Sqlite {
    async fn another(&self, _: &Self::Store) -> Self::Store {
        cached(self.open("tokens.db").await).await
    }
}

conformance_suite!(cached_sqlite, Sqlite(tempfile::tempdir().unwrap()), Nodes,);

conformance_suite!(with_timeout, || async { WithTimeout::new(MemoryStore::new()) });

conformance_suite!(with_metrics, || async { WithMetrics::new(MemoryStore::new()) });

//! Large batches beside the caches of other nodes.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::manage::{Confirmation, ImportItem, ImportedToken, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, TokenStore};
use tower_api_token::token::{TokenDigest, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::stores::{self, Opened};
use crate::manager::world::{alice, in_time, root};

/// More than SQLite keeps in its log of changes before a batch.
const ROWS: u32 = 12_000;

/// A Redis server answers nobody while it works at a batch, and whoever listens
/// takes it for gone after two seconds: what a slow machine does within one.
const ROWS_AT_REDIS: u32 = 5_000;

/// Rows of users whom no other attempt has.
fn rows(attempt: u32, count: u32) -> Vec<ImportItem> {
    let row = |number: u32| {
        let mut sha256 = [7; 32];
        sha256[..4].copy_from_slice(&number.to_be_bytes());
        let user = UserId::new(format!("user-{number}")).unwrap();
        let mut row = ImportItem::new(user, Slot::Primary, ImportedToken::Sha256(sha256));
        row.methods = Some(MethodSet::new(["GET"]).unwrap());
        row
    };
    (attempt * count..(attempt + 1) * count).map(row).collect()
}

fn remembers(cache: &CachedStore<Arc<dyn AccountStore>>, digest: &TokenDigest) -> bool {
    cache.peek(digest, &mut |account| assert_eq!(account.unwrap().user(), alice()))
}

/// An import by another node keeps what a cache remembers of other users.
async fn an_import_of_many_rows_empties_no_cache((store, _kept): Opened, count: u32) {
    let manager = TokenManager::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let manager = manager.scheme(TokenScheme::default().accept_foreign_tokens(true));
    let manager = manager.build().await.unwrap();
    manager.grant(root(), alice(), MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let token = manager.issue(&Actor::User, alice()).await.unwrap().token;
    let digest = TokenScheme::default().digest(&token).digest;
    // So long that no heartbeat is late while a slow machine imports.
    let options = CacheOptions::new().staleness_bound(Duration::from_secs(60));
    let cache = CachedStore::start(store, options).unwrap();
    // A server that does not answer for two seconds counts as gone, so on a
    // machine with much else to do a connection may be lost meanwhile.
    for attempt in 0..5 {
        while !remembers(&cache, &digest) {
            cache.find(&digest).await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
        let before = cache.statistics();
        // A server may need longer for it than the store waits.
        while manager.import_many(root(), &rows(attempt, count)).await.is_err() {}
        while cache.statistics().invalidations - before.invalidations < u64::from(count)
            && cache.statistics().losses == before.losses
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if cache.statistics().losses == before.losses {
            assert!(remembers(&cache, &digest));
            return;
        }
    }
    panic!("each of the imports has emptied the cache");
}

macro_rules! on_each_store {
    ($($name:ident: $opened:ident, $count:ident;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                in_time(an_import_of_many_rows_empties_no_cache(stores::$opened().await, $count)).await;
            }
        )+
    };
}

on_each_store! {
    an_import_of_many_rows_into_memory_empties_no_cache: memory, ROWS;
    an_import_of_many_rows_into_sqlite_empties_no_cache: sqlite, ROWS;
    an_import_of_many_rows_into_postgres_empties_no_cache: postgres, ROWS;
    an_import_of_many_rows_into_redis_empties_no_cache: redis, ROWS_AT_REDIS;
}

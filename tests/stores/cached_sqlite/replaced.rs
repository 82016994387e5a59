//! A file that is replaced while a cache remembers what was in it.

use std::time::{Duration, Instant};

use tower_api_token::store::{AccountStore, CacheOptions, SqliteStore, TokenStore};
use tower_api_token::test_util::ManualClock;

use super::{accepts, cached, remembers};
use crate::replaced_file::WAYS;
use crate::sqlite::support::{Place, account, digest, step, until};

/// When a replaced file is noticed at the latest.
const BOUND: Duration = Duration::from_secs(1);

/// The clock of trust stands still, so that nothing but the feed can end what
/// is remembered.
#[tokio::test]
async fn what_is_remembered_of_a_file_ends_when_it_is_replaced_in_any_way() {
    for way in WAYS {
        let place = Place::new();
        let (path, other) = way.prepare(place.directory());
        {
            let store = SqliteStore::open(&other).unwrap();
            store.migrate().await.unwrap();
            store.replace(step(account("alice", 1, 2))).await.unwrap();
        }
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        let options = CacheOptions::new().clock(ManualClock::default());
        let cache = cached(store, options).await;
        until(async || accepts(&cache, 1).await && remembers(&cache, 1)).await;
        way.replace(place.directory());
        let replaced = Instant::now();
        loop {
            let asked = replaced.elapsed();
            let accepted =
                remembers(&cache, 1) || cache.find(&digest(1)).await.is_ok_and(|it| it.is_some());
            if !accepted {
                break;
            }
            assert!(asked < BOUND, "{}: accepted after {asked:?}", way.name);
            // Whoever hears the feed is on this thread, too.
            tokio::task::yield_now().await;
        }
        until(async || cache.find(&digest(2)).await.is_ok_and(|it| it.is_some())).await;
        assert!(!remembers(&cache, 1), "{}", way.name);
    }
}

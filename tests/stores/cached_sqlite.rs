//! `CachedStore` on a SQLite file that another process changes.

mod replaced;
mod stopped;

use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, SqliteStore, TokenStore};
use tower_api_token::test_util::ManualClock;

use crate::sqlite::process::{child, parent};
use crate::sqlite::support::{Place, account, block_on, digest, step, until};

/// A cache that is trusted.
async fn cached(store: SqliteStore, options: CacheOptions) -> CachedStore<SqliteStore> {
    let cache = CachedStore::start(store, options).unwrap();
    until(async || cache.is_trusted()).await;
    cache
}

/// Whether the token of that number is accepted by what memory says.
fn remembers(cache: &CachedStore<SqliteStore>, number: u64) -> bool {
    let digest = digest(number);
    let mut accepted = false;
    cache.peek(&digest, &mut |account| {
        accepted = account.is_some_and(|account| account.slot_of(&digest).is_some());
    });
    accepted
}

async fn accepts(cache: &CachedStore<SqliteStore>, number: u64) -> bool {
    let digest = digest(number);
    let found = cache.find(&digest).await.unwrap();
    found.is_some_and(|account| account.slot_of(&digest).is_some())
}

/// The clock of trust stands still, so that nothing but the feed can end what
/// is remembered.
#[test]
fn cache_001_a_change_by_another_process_ends_what_is_remembered() {
    if let Some((store, number)) = parent() {
        return block_on(store.replace(step(account("alice", number, number)))).unwrap();
    }
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = CacheOptions::new().clock(ManualClock::default());
        let cache = cached(place.store().await, options).await;
        cache.replace(step(account("alice", 1, 1))).await.unwrap();
        // It may be forgotten once more, when the feed tells of this change.
        until(async || cache.statistics().invalidations == 2).await;
        assert!(accepts(&cache, 1).await && remembers(&cache, 1));
        assert!(!accepts(&cache, 2).await, "that nobody has it is remembered, too");

        let name = "cached_sqlite::cache_001_a_change_by_another_process_ends_what_is_remembered";
        let mut child = child(name, &place.path(), 2);
        until(async || !accepts(&cache, 1).await).await;
        assert!(accepts(&cache, 2).await);
        assert_eq!(cache.statistics().losses, 1, "the feed was not opened anew");
        assert!(child.wait().unwrap().success());
    });
}

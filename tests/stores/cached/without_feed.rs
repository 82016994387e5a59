//! A cache in front of a store that nothing tells of changes.

use std::sync::Arc;

use tower_api_token::store::{AccountStore, CachedStore, TokenStore};

use super::sample::{change, digest, holder, rotated};
use super::world::{BOUND, TERM, World};
use crate::bare::Bare;

const NEW: u64 = 2;
const OLD: u64 = 1;

fn world() -> World {
    let world = World::default();
    world.insert(rotated("alice", 1, NEW, OLD));
    world
}

/// Whether the cache knows an account for it, as a request asks.
async fn is_known(cache: &impl TokenStore, number: u64) -> bool {
    let mut known = false;
    let told = cache.peek(&digest(number), &mut |account| known = account.is_some());
    if told { known } else { cache.find(&digest(number)).await.unwrap().is_some() }
}

#[tokio::test(start_paused = true)]
async fn a_token_revoked_past_the_cache_is_refused_after_the_bound_at_the_latest() {
    let world = world();
    let cache = CachedStore::without_feed(Arc::clone(&world.store), world.options()).unwrap();
    assert!(cache.is_trusted());
    assert!(is_known(&cache, OLD).await && is_known(&cache, NEW).await);
    world.change(holder("alice", 2, NEW)).await;
    // Use does not prolong it.
    for _ in 0..9 {
        assert!(is_known(&cache, OLD).await);
        world.clock.advance(TERM / 10);
    }
    assert!(is_known(&cache, OLD).await, "it is believed until then");
    world.clock.advance(TERM / 10);
    assert!(!is_known(&cache, OLD).await);
    assert!(is_known(&cache, NEW).await);
    assert!(TERM < BOUND);
}

#[tokio::test(start_paused = true)]
async fn a_token_made_past_the_cache_is_accepted_after_the_bound_at_the_latest() {
    let world = World::default();
    let cache = CachedStore::without_feed(Arc::clone(&world.store), world.options()).unwrap();
    assert!(!is_known(&cache, NEW).await);
    world.insert(holder("alice", 1, NEW));
    assert!(!is_known(&cache, NEW).await, "it is believed until then");
    world.clock.advance(TERM);
    assert!(is_known(&cache, NEW).await);
}

/// A store without a feed is seen to have none.
#[tokio::test(start_paused = true)]
async fn what_is_changed_through_the_cache_takes_effect_at_once() {
    let world = world();
    let cache = CachedStore::start(Bare(Arc::clone(&world.store)), world.options()).unwrap();
    assert!(cache.is_trusted() && cache.feed().is_none());
    assert!(is_known(&cache, OLD).await && !is_known(&cache, 3).await);
    cache.replace(change(holder("alice", 2, 3))).await.unwrap();
    assert!(!is_known(&cache, OLD).await && is_known(&cache, 3).await);
    world.change(holder("alice", 3, NEW)).await;
    assert!(is_known(&cache, 3).await, "nothing tells of what is changed past it");
    world.clock.advance(TERM);
    assert!(!is_known(&cache, 3).await);
}

//! A cache that is not trusted asks the store, within a bound.

use std::time::Duration;

use futures_util::future::join_all;
use tower_api_token::ConfigError;
use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore, WithTimeout};

use super::link::{Fate, Hearing};
use super::sample::holder;
use super::world::{Answer, TERM, World, eventually, pass};

const LOADS: usize = 4;
const TOKENS: u64 = 100;

fn world() -> World {
    let world = World::default();
    for number in 1..=TOKENS {
        world.insert(holder(&format!("user-{number}"), 1, number));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn cache_009_a_pooler_that_swallows_heartbeats_is_found_at_the_start() {
    let world = world();
    let node = world.cold_node(world.options());
    node.link.hear(Hearing::NoHeartbeats);
    for found in 1..=20 {
        assert_eq!(node.auth(1).await, Answer::Accepted);
        assert_eq!((node.link.finds(), node.cache.is_trusted()), (found, false));
        pass(TERM).await;
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_past_the_cache_are_bounded_and_the_rest_is_told_soon() {
    const WAIT: Duration = Duration::from_millis(100);
    let world = world();
    let node = world.cold_node(world.options().bypass_loads(LOADS).bypass_wait(WAIT));
    node.link.cut_bus(true);
    node.link.hold(true);
    let start = tokio::time::Instant::now();
    let requests: Vec<_> = (1..=TOKENS).map(|token| node.spawn_auth(token)).collect();
    let refused = || node.statistics().refused == TOKENS - LOADS as u64;
    eventually("all others are refused", refused).await;
    assert!((WAIT..WAIT * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!((node.link.under_way(), node.link.finds()), (LOADS, LOADS));
    node.link.hold(false);
    let answers = join_all(requests).await.into_iter().map(Result::unwrap);
    let accepted = answers.filter(|answer| *answer == Answer::Accepted).count();
    assert_eq!(accepted, LOADS);
}

#[tokio::test(start_paused = true)]
async fn those_that_are_quick_enough_take_turns() {
    let world = world();
    let node = world.cold_node(world.options().bypass_loads(LOADS));
    node.link.cut_bus(true);
    let requests: Vec<_> = (1..=TOKENS).map(|token| node.spawn_auth(token)).collect();
    let answers = join_all(requests).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Answer::Accepted));
    assert!(node.link.most_under_way() <= LOADS);
    assert_eq!(node.statistics().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_not_trusted_remembers_nothing() {
    let world = world();
    let node = world.cold_node(world.options());
    node.link.cut_bus(true);
    for _ in 0..3 {
        assert_eq!(node.auth(1).await, Answer::Accepted);
        assert_eq!(node.auth(TOKENS + 1).await, Answer::Refused);
    }
    assert_eq!((node.link.finds(), node.statistics().entries), (6, 0));
    node.link.finds_fare(Fate::Fails);
    assert_eq!(node.auth(1).await, Answer::Unavailable);
}

#[tokio::test]
async fn a_bad_option_is_refused() {
    let start = |options| CachedStore::start(MemoryStore::new(), options).map(drop);
    let error = start(CacheOptions::new().accounts(0)).unwrap_err();
    assert_eq!(error, ConfigError::CacheNoRoom);
    let error = start(CacheOptions::new().staleness_bound(Duration::ZERO)).unwrap_err();
    assert_eq!(error, ConfigError::CacheShortBound);
    start(CacheOptions::new()).unwrap();
}

#[test]
fn a_cache_cannot_be_started_without_a_runtime() {
    let store = WithTimeout::new(MemoryStore::new());
    let error = CachedStore::start(store, CacheOptions::new()).unwrap_err();
    assert_eq!(error, ConfigError::CacheNoRuntime);
}

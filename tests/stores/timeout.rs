//! `WithTimeout` around a store that hangs, fails or panics.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tower_api_token::account::LastUse;
use tower_api_token::store::{
    AccountStore, ChangeFeed, LastUses, MemoryStore, PageSize, StoreError, StoreErrorKind,
    TokenStore, WithTimeout,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::UserId;

use crate::cached::link::{Fate, Link};
use crate::cached::sample::{change, digest, holder, user};

const LIMIT: Duration = Duration::from_secs(2);
const COUNTING: Duration = Duration::from_secs(30);

struct World {
    memory: Arc<MemoryStore>,
    link: Link,
    store: Arc<WithTimeout<Link>>,
}

fn world() -> World {
    let memory = Arc::new(MemoryStore::new());
    memory.insert(holder("alice", 1, 1)).unwrap();
    let link = Link::to(Arc::clone(&memory));
    let store = Arc::new(WithTimeout::new(link.clone()));
    World { memory, link, store }
}

impl World {
    async fn revision(&self, name: &str) -> Option<u64> {
        let account = self.memory.load(&user(name)).await.unwrap().account;
        account.map(|account| account.revision().as_u64())
    }
}

/// The work is given up when the limit has passed, and not before.
async fn runs_out<T: std::fmt::Debug>(work: impl Future<Output = Result<T, StoreError>>) {
    runs_out_after(LIMIT, work).await;
}

async fn runs_out_after<T: std::fmt::Debug>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) {
    let start = Instant::now();
    let error = work.await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let waited = start.elapsed();
    assert!((limit..limit + Duration::from_millis(5)).contains(&waited), "{waited:?}");
}

fn token_use() -> (UserId, LastUse) {
    let usage = LastUse::new(TokenId::from_u64(1), Timestamp::default(), None);
    (user("alice"), usage)
}

#[tokio::test(start_paused = true)]
async fn every_read_runs_out_and_is_dropped() {
    let World { link, store, .. } = world();
    link.hold(true);
    link.hang_bus(true);
    let alice = user("alice");
    runs_out(store.find(&digest(1))).await;
    assert_eq!((link.finds(), link.under_way()), (1, 0));
    runs_out(store.load(&alice)).await;
    runs_out(store.list(None, PageSize::default())).await;
    runs_out(store.usage(&alice)).await;
    runs_out(store.history(&alice, None, PageSize::default())).await;
    runs_out(store.changes()).await;
    runs_out(store.heartbeat(1)).await;
}

/// A start counts the tokens, for which a store may go through all accounts.
#[tokio::test(start_paused = true)]
async fn counting_may_take_half_a_minute_and_no_longer() {
    let World { link, store, .. } = world();
    link.hold(true);
    runs_out_after(COUNTING, store.pepper_versions()).await;
    runs_out_after(COUNTING, store.prefixes()).await;
    let patient = WithTimeout::new(link).limit(COUNTING * 2);
    runs_out_after(COUNTING * 2, patient.pepper_versions()).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_runs_out_goes_on_to_its_end() {
    let world = world();
    world.link.hold_writes(true);
    runs_out(world.store.replace(change(holder("alice", 2, 2)))).await;
    runs_out(world.store.replace_many(vec![change(holder("bob", 1, 3))])).await;
    runs_out(world.store.record_usage(&[token_use()])).await;
    world.link.hold_writes(false);
    for _ in 0..1_000 {
        if !world.memory.usage(&user("alice")).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((world.revision("alice").await, world.revision("bob").await), (Some(2), Some(1)));
    assert_eq!(world.memory.usage(&user("alice")).await.unwrap(), [token_use().1]);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_caller_hangs_up_goes_on_to_its_end() {
    let world = world();
    world.link.hold_writes(true);
    let uses = [token_use()];
    let write = world.store.record_usage(&uses);
    tokio::time::timeout(Duration::from_millis(1), write).await.unwrap_err();
    world.link.hold_writes(false);
    for _ in 0..1_000 {
        if !world.memory.usage(&user("alice")).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the use was never written");
}

#[tokio::test(start_paused = true)]
async fn writes_under_way_are_bounded_and_one_too_many_is_never_begun() {
    let world = world();
    world.link.hold_writes(true);
    let names: Vec<_> = (0..300).map(|number| format!("user-{number}")).collect();
    let writes = (0..).zip(&names).map(|(number, name)| {
        let store = Arc::clone(&world.store);
        async move { store.replace(change(holder(name, 1, 1_000 + number))).await }
    });
    let outcomes = join_all(writes).await;
    assert!(outcomes.iter().all(Result::is_err));
    world.link.hold_writes(false);
    tokio::time::sleep(LIMIT).await;
    let mut written = 0;
    for name in &names {
        written += usize::from(world.revision(name).await.is_some());
    }
    assert_eq!(written, 256);
    world.store.replace(change(holder("last", 1, 9))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_time_is_passed_on_as_it_is() {
    let world = world();
    let found = world.store.find(&digest(1)).await.unwrap().unwrap();
    assert_eq!(found.user(), &user("alice"));
    assert!(world.store.find(&digest(2)).await.unwrap().is_none());
    let error = world.store.replace(change(holder("alice", 3, 1))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    world.link.writes_fare(Fate::Panics);
    let error = world.store.replace(change(holder("alice", 2, 1))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    world.link.finds_fare(Fate::Fails);
    let error = world.store.find(&digest(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_limit_may_be_as_short_or_as_long_as_it_likes() {
    let memory = MemoryStore::new();
    memory.insert(holder("alice", 1, 1)).unwrap();
    let store = WithTimeout::new(memory).limit(Duration::MAX);
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    store.replace(change(holder("bob", 1, 2))).await.unwrap();
    let store = store.limit(Duration::ZERO);
    assert!(store.find(&digest(1)).await.unwrap().is_some(), "memory does not wait");
    assert!(store.peek(&digest(2), &mut |account| assert!(account.is_some())));
}

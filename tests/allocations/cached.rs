//! A remembered account is shown without allocating anything.

#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/link.rs"]
mod link;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/sample.rs"]
mod sample;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/world.rs"]
mod world;

use crate::allocator::Counts;
use sample::{digest, holder};
use tower_api_token::store::TokenStore;
use world::World;

/// How many blocks a look into memory takes, and whether it found an account.
fn peek(store: &impl TokenStore, number: u64) -> (u64, bool) {
    let (digest, mut found) = (digest(number), false);
    let before = Counts::now().allocations;
    store.peek(&digest, &mut |account| found = account.is_some());
    (Counts::now().allocations - before, found)
}

#[tokio::test(start_paused = true)]
async fn a_look_into_memory_allocates_nothing() {
    let world = World::default();
    for number in 1..=100 {
        world.insert(holder(&format!("user-{number}"), 1, number));
    }
    let node = world.node().await;
    for number in 1..=100 {
        node.warm(number).await;
    }
    for number in 1..=100 {
        assert_eq!(peek(&*node.cache, number), (0, true), "{number}");
        assert_eq!(peek(&*node.cache, 1_000 + number), (0, false), "{number}");
    }
    // The measure measures.
    let before = Counts::now().allocations;
    drop(Box::new(before));
    assert_eq!(Counts::now().allocations - before, 1);
}

//! The bound of each kind of entry.

use tower_api_token::store::TokenStore;

use super::sample::{ALIKE, digest, holder};
use super::world::{Answer, TERM, World, pass};

fn world(users: u64) -> World {
    let world = World::default();
    for number in 1..=users {
        world.insert(holder(&format!("user-{number}"), 1, number));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn cache_033_what_finds_no_room_is_answered_all_the_same() {
    let world = world(200);
    let node = world.node_with(world.options().accounts(100)).await;
    for _ in 0..3 {
        for number in 1..=200 {
            assert_eq!(node.auth(number).await, Answer::Accepted);
            assert!(node.statistics().entries <= 100);
        }
    }
    assert_eq!(node.statistics().entries, 100);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_use_stays_when_many_others_come_once() {
    let world = world(1_000);
    let node = world.node_with(world.options().accounts(100)).await;
    node.warm(1).await;
    for number in 2..=1_000 {
        assert_eq!(node.auth(number).await, Answer::Accepted);
        assert_eq!(node.auth(1).await, Answer::Accepted);
    }
    assert_eq!(node.link.finds(), 1_000, "one for each, and none again");
}

#[tokio::test(start_paused = true)]
async fn cache_030_digests_that_share_their_first_eight_bytes_are_told_apart() {
    let world = World::default();
    for number in 0..20 {
        world.insert(holder(&format!("user-{number}"), 1, ALIKE + number));
    }
    let node = world.node().await;
    assert_eq!(digest(ALIKE).as_bytes()[..8], digest(ALIKE + 1).as_bytes()[..8]);
    for number in 0..20 {
        node.warm(ALIKE + number).await;
        let found = node.cache.find(&digest(ALIKE + number)).await.unwrap();
        assert_eq!(found.unwrap().user().as_str(), format!("user-{number}"));
    }
    assert_eq!(node.statistics().entries, 20);
    assert_eq!(node.auth(ALIKE + 20).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn strings_that_are_no_tokens_take_no_tokens_place() {
    let world = world(100);
    let node = world.node_with(world.options().accounts(100).negative_entries(50)).await;
    for number in 1..=100 {
        node.warm(number).await;
    }
    for number in 1_000..6_000 {
        assert_eq!(node.auth(number).await, Answer::Refused);
    }
    let finds = node.link.finds();
    for number in 1..=100 {
        assert_eq!(node.auth(number).await, Answer::Accepted);
    }
    assert_eq!((node.link.finds(), node.statistics().entries), (finds, 100));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_looked_up_again_has_one_place() {
    let world = world(1);
    let node = world.node().await;
    for found in 1..5 {
        node.warm(1).await;
        assert_eq!((node.link.finds(), node.statistics().entries), (found, 1));
        for _ in 0..2 {
            pass(TERM).await;
            world.clock.advance(TERM / 2);
            assert!(node.cache.is_trusted());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn counts_tell_what_happened() {
    let world = world(1);
    let node = world.node().await;
    for _ in 0..3 {
        assert_eq!(node.auth(1).await, Answer::Accepted);
        assert_eq!(node.auth(2).await, Answer::Refused);
    }
    let counted = node.statistics();
    assert_eq!((counted.misses, counted.hits, counted.negative_hits), (2, 2, 2));
    assert_eq!((counted.entries, counted.trusted), (1, true));
}

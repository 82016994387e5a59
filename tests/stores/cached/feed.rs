//! Following a feed through its troubles.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::Revision;
use tower_api_token::store::{AccountStore, Change, FeedItem};

use super::link::Hearing;
use super::sample::{digest, holder, user};
use super::world::{Answer, Node, TERM, World, eventually, pass};

const TOKEN: u64 = 1;

fn world() -> World {
    let world = World::default();
    world.insert(holder("alice", 1, TOKEN));
    world
}

#[tokio::test(start_paused = true)]
async fn a_loss_empties_the_cache_until_a_later_heartbeat_is_back() {
    let world = world();
    let node = world.node().await;
    node.warm(TOKEN).await;
    node.link.hear(Hearing::NoHeartbeats);
    node.link.put(Some(FeedItem::Lost));
    eventually("the loss is noticed", || !node.cache.is_trusted()).await;
    assert_eq!((node.statistics().entries, node.remembers(&digest(TOKEN))), (0, None));
    node.link.hear(Hearing::Everything);
    node.is_trusted().await;
    assert_eq!(node.remembers(&digest(TOKEN)), None);
    node.warm(TOKEN).await;
}

/// Whatever may have become the user's is forgotten: its entries, what nobody
/// has, and look-ups under way.
#[tokio::test(start_paused = true)]
async fn a_change_that_names_its_user_alone_leaves_everybody_elses_entries() {
    let world = world();
    world.insert(holder("bob", 1, 2));
    let node = world.node().await;
    node.warm(TOKEN).await;
    node.warm(2).await;
    for hits in 0..2 {
        assert_eq!(node.auth(3).await, Answer::Refused);
        assert_eq!(node.statistics().negative_hits, hits);
    }
    let change = Change::of_user(user("alice"), Revision::from_u64(2));
    node.link.put(Some(FeedItem::Change(change)));
    eventually("alice is forgotten", || node.remembers(&digest(TOKEN)).is_none()).await;
    assert_eq!(node.auth(3).await, Answer::Refused);
    assert_eq!(node.statistics().negative_hits, 1, "it could be a new token of alice's");
    assert!(node.remembers(&digest(2)).is_some(), "bob has not changed");
    assert!(node.cache.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_ends_is_opened_anew() {
    let world = world();
    let node = world.node().await;
    for opened in 1..5 {
        assert_eq!(node.link.opened(), opened);
        node.warm(TOKEN).await;
        node.link.put(None);
        eventually("it is opened anew", || node.link.opened() == opened + 1).await;
        node.is_trusted().await;
        assert_eq!(node.remembers(&digest(TOKEN)), None, "a change may have been missed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_falls_silent_is_opened_anew() {
    let world = world();
    let node = world.node().await;
    node.link.hear(Hearing::Nothing);
    eventually("it is opened anew", || node.link.opened() > 1).await;
    assert!(!node.cache.is_trusted());
    node.link.hear(Hearing::Everything);
    node.is_trusted().await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_hangs_is_tried_again() {
    let world = world();
    let node = world.cold_node(world.options());
    node.link.hang_bus(true);
    pass(TERM * 20).await;
    assert_eq!(node.auth(TOKEN).await, Answer::Accepted);
    node.link.hang_bus(false);
    node.is_trusted().await;
    node.link.hang_bus(true);
    world.clock.advance(TERM);
    pass(TERM * 20).await;
    assert!(!node.cache.is_trusted());
    node.link.hang_bus(false);
    node.is_trusted().await;
}

#[tokio::test(start_paused = true)]
async fn trust_that_ran_out_returns_over_an_empty_cache() {
    let world = world();
    let node = world.node().await;
    node.warm(TOKEN).await;
    world.clock.advance(TERM);
    assert!(!node.cache.is_trusted());
    node.is_trusted().await;
    assert_eq!(node.statistics().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_from_before_a_loss_leaves_nothing_behind() {
    let world = world();
    let node = world.node().await;
    node.link.hold(true);
    let early = node.spawn_auth(TOKEN);
    eventually("the row is read", || node.link.under_way() == 1).await;
    let losses = node.statistics().losses;
    node.link.put(Some(FeedItem::Lost));
    eventually("the loss is noticed", || node.statistics().losses > losses).await;
    node.is_trusted().await;
    node.link.hold(false);
    assert_eq!(early.await.unwrap(), Answer::Accepted);
    assert_eq!(node.remembers(&digest(TOKEN)), None);
}

/// A node that hears no heartbeat but those that the test brings it.
async fn deaf() -> (World, Node) {
    let world = world();
    let node = world.node().await;
    node.link.hear(Hearing::NoHeartbeats);
    pass(TERM).await;
    (world, node)
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_when_its_heartbeat_was_sent() {
    const LATE: Duration = Duration::from_millis(200);
    let (world, node) = deaf().await;
    let heartbeat = node.link.last_heartbeat();
    world.clock.advance(LATE);
    node.link.put(Some(FeedItem::Heartbeat(heartbeat)));
    eventually("it is heard", || node.statistics().lag == Some(LATE)).await;
    world.clock.advance(TERM - LATE - Duration::from_millis(1));
    assert!(node.cache.is_trusted());
    world.clock.advance(Duration::from_millis(1));
    assert!(!node.cache.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_from_before_a_loss_proves_nothing_after_it() {
    let (_, node) = deaf().await;
    let heartbeat = node.link.last_heartbeat();
    node.link.put(Some(FeedItem::Lost));
    node.link.put(Some(FeedItem::Heartbeat(heartbeat)));
    pass(TERM / 2).await;
    assert!(!node.cache.is_trusted());
    node.link.put(Some(FeedItem::Heartbeat(node.link.last_heartbeat())));
    node.is_trusted().await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_from_before_the_feed_was_opened_proves_nothing() {
    let (_, node) = deaf().await;
    node.link.cut_bus(true);
    node.link.put(None);
    pass(TERM).await;
    let heartbeat = node.link.last_heartbeat();
    node.link.cut_bus(false);
    eventually("it is opened anew", || node.link.opened() == 2).await;
    node.link.put(Some(FeedItem::Heartbeat(heartbeat)));
    pass(TERM / 2).await;
    assert!(!node.cache.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn other_nodes_heartbeats_prove_nothing() {
    let world = world();
    let node = world.cold_node(world.options());
    node.link.cut_bus(true);
    pass(TERM).await;
    node.link.cut_bus(false);
    node.link.hear(Hearing::NoHeartbeats);
    eventually("the feed is open", || node.link.opened() > 0).await;
    for number in 0..100 {
        node.link.put(Some(FeedItem::Heartbeat(number)));
    }
    pass(TERM).await;
    assert!(!node.cache.is_trusted());
}

#[tokio::test(start_paused = true)]
async fn lag_is_the_time_that_a_heartbeat_took() {
    let world = world();
    let node = world.cold_node(world.options());
    assert_eq!(node.statistics().lag, None);
    node.is_trusted().await;
    assert_eq!(node.statistics().lag, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_tasks_end_with_the_cache() {
    let world = world();
    let node = world.node().await;
    let store = Arc::downgrade(&world.store);
    drop((node, world));
    eventually("nobody has the store any more", || store.strong_count() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_remembered_is_passed_on() {
    let world = world();
    let node = world.node().await;
    let alice = super::sample::user("alice");
    assert_eq!(node.cache.load(&alice).await.unwrap().account.unwrap().user(), &alice);
    assert_eq!(node.cache.list(None, Default::default()).await.unwrap().items.len(), 1);
    assert_eq!(node.cache.last_uses().unwrap().usage(&alice).await.unwrap(), []);
    node.change(holder("alice", 2, TOKEN)).await;
    let history = node.cache.history(&alice, None, Default::default()).await.unwrap();
    assert_eq!(history.items.len(), 1);
    assert_eq!(node.cache.pepper_versions().await.unwrap().len(), 1);
    let feed = node.cache.feed().unwrap();
    feed.heartbeat(1).await.unwrap();
    feed.changes().await.unwrap();
}

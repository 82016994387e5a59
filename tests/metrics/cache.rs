//! What a cache does, and how it stands.

use std::time::Duration;

use tower_api_token::store::FeedItem;

use super::link::Fate;
use super::node::{Answer, TERM, World, eventually, pass};
use super::recorded::Recorded;
use super::sample::{digest, holder};

const LOOK_UPS: &str = "tower_api_token_cache_look_ups_total";
const INVALIDATIONS: &str = "tower_api_token_cache_invalidations_total";
const LOSSES: &str = "tower_api_token_cache_losses_total";
const ENTRIES: &str = "tower_api_token_cache_entries";
const TRUSTED: &str = "tower_api_token_cache_trusted";
const LAG: &str = "tower_api_token_cache_feed_lag_seconds";

fn counts(counts: &[(&str, f64)]) -> Vec<(String, f64)> {
    counts.iter().map(|(answer, count)| (format!("answer={answer}"), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_counted_by_where_the_answer_came_from() {
    let recorded = Recorded::start();
    let world = World::default();
    world.insert(holder("alice", 1, 1));
    let node = world.node().await;
    for _ in 0..4 {
        assert_eq!(node.auth(1).await, Answer::Accepted);
    }
    for _ in 0..3 {
        assert_eq!(node.auth(2).await, Answer::Refused);
    }
    node.link.hold(true);
    let waiting = [node.spawn_auth(3), node.spawn_auth(3)];
    eventually("one joins the other", || node.statistics().joined == 1).await;
    node.link.hold(false);
    for request in waiting {
        request.await.unwrap();
    }
    pass(TERM).await;
    let expected = [("hit", 3.0), ("joined", 1.0), ("miss", 3.0), ("negative_hit", 2.0)];
    assert_eq!(recorded.risen(LOOK_UPS), counts(&expected));
    assert_eq!(recorded.value(ENTRIES), 1.0);
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_are_refused_past_the_cache_are_counted() {
    let recorded = Recorded::start();
    let world = World::default();
    let options = world.options().bypass_loads(1).bypass_wait(Duration::from_millis(10));
    let node = world.cold_node(options);
    node.link.cut_bus(true);
    node.link.hold(true);
    let requests = [1, 2, 3].map(|token| node.spawn_auth(token));
    eventually("two are refused", || node.statistics().refused == 2).await;
    node.link.hold(false);
    for request in requests {
        request.await.unwrap();
    }
    pass(TERM).await;
    assert_eq!(recorded.risen(LOOK_UPS), counts(&[("miss", 1.0), ("refused", 2.0)]));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_feed_shows() {
    const LATE: Duration = Duration::from_millis(200);
    let recorded = Recorded::start();
    let world = World::default();
    world.insert(holder("alice", 1, 1));
    let node = world.node().await;
    node.warm(1).await;
    node.change(holder("alice", 2, 2)).await;
    pass(TERM).await;
    assert_eq!((recorded.value(TRUSTED), recorded.value(LAG)), (1.0, 0.0));
    // Once by itself, and once as the feed tells it.
    assert_eq!((recorded.value(INVALIDATIONS), recorded.value(LOSSES)), (2.0, 1.0));
    assert_eq!(node.remembers(&digest(1)), None);

    node.link.part();
    node.link.put(None);
    pass(TERM).await;
    assert_eq!((recorded.value(TRUSTED), recorded.value(ENTRIES)), (0.0, 0.0));
    assert_eq!(recorded.value(LOSSES), 2.0);

    node.link.finds_fare(Fate::Works);
    node.link.cut_bus(false);
    eventually("the feed is open", || node.link.opened() == 2).await;
    // It still hears nothing but what the test brings it.
    pass(TERM / 4).await;
    let heartbeat = FeedItem::Heartbeat(node.link.last_heartbeat());
    world.clock.advance(LATE);
    node.link.put(Some(heartbeat));
    pass(TERM / 2).await;
    assert_eq!((recorded.value(TRUSTED), recorded.value(LAG)), (1.0, 0.2));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_gone_is_not_trusted() {
    let recorded = Recorded::start();
    let world = World::default();
    let node = world.node().await;
    pass(TERM).await;
    assert_eq!(recorded.value(TRUSTED), 1.0);
    drop(node);
    pass(TERM).await;
    assert_eq!(recorded.value(TRUSTED), 0.0);
}

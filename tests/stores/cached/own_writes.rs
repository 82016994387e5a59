//! What a node changes itself takes effect before the call returns, whatever
//! its outcome. In these tests no change comes through the feed.

use std::time::Duration;

use tower_api_token::store::{AccountStore, StoreErrorKind};

use super::link::{Fate, Hearing};
use super::sample::{bare, change, digest, holder, rotated};
use super::world::{Answer, Node, World, eventually};

const NEW: u64 = 2;
const OLD: u64 = 1;
const UNRELATED: u64 = 9;

/// A node that remembers both of alice's tokens and one of bob's, and that the
/// token 3 is nobody's.
async fn world() -> (World, Node) {
    let world = World::default();
    world.insert(rotated("alice", 1, NEW, OLD));
    world.insert(holder("bob", 1, UNRELATED));
    let node = world.node().await;
    node.link.hear(Hearing::NoChanges);
    for token in [NEW, OLD, UNRELATED] {
        node.warm(token).await;
    }
    assert_eq!(node.auth(3).await, Answer::Refused);
    assert_eq!(node.link.finds(), 4);
    (world, node)
}

/// Nothing of what the change touched is remembered; what it did not touch is.
async fn forgot(node: &Node) {
    assert_eq!(node.remembers(&digest(NEW)), None);
    assert_eq!(node.remembers(&digest(OLD)), None);
    assert_eq!(node.remembers(&digest(UNRELATED)), Some(Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_succeeds_is_seen_at_once() {
    let (_, node) = world().await;
    node.change(rotated("alice", 2, 3, NEW)).await;
    forgot(&node).await;
    assert_eq!(node.auth(OLD).await, Answer::Refused);
    assert_eq!((node.auth(NEW).await, node.auth(3).await), (Answer::Accepted, Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_shows_that_memory_is_behind() {
    let (world, node) = world().await;
    world.change(holder("alice", 2, NEW)).await;
    assert_eq!(node.auth(OLD).await, Answer::Accepted, "this test must be able to fail");
    let error = node.cache.replace(change(holder("alice", 2, OLD))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    forgot(&node).await;
    assert_eq!(node.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_may_have_happened() {
    let (_, node) = world().await;
    node.link.writes_fare(Fate::LosesItsAnswer);
    let error = node.cache.replace(change(holder("alice", 2, NEW))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    forgot(&node).await;
    assert_eq!(node.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_caller_hangs_up_may_have_happened() {
    let (_, node) = world().await;
    node.link.hold_writes(true);
    let write = node.cache.replace(change(holder("alice", 2, NEW)));
    tokio::time::timeout(Duration::from_millis(1), write).await.unwrap_err();
    forgot(&node).await;
    assert_eq!(node.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_panics_may_have_happened() {
    let (_, node) = world().await;
    node.link.writes_fare(Fate::Panics);
    let cache = std::sync::Arc::clone(&node.cache);
    let write = tokio::spawn(async move { cache.replace(change(holder("alice", 2, NEW))).await });
    assert!(write.await.unwrap_err().is_panic());
    forgot(&node).await;
}

#[tokio::test(start_paused = true)]
async fn each_of_many_changes_is_seen_at_once() {
    let (_, node) = world().await;
    let changes = vec![change(bare("alice", 2)), change(holder("carol", 1, 3))];
    let outcomes = node.cache.replace_many(changes).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    forgot(&node).await;
    assert_eq!((node.auth(OLD).await, node.auth(NEW).await), (Answer::Refused, Answer::Refused));
    assert_eq!(node.auth(3).await, Answer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn many_changes_that_fail_as_a_whole_may_have_happened() {
    let (_, node) = world().await;
    node.link.writes_fare(Fate::LosesItsAnswer);
    node.cache.replace_many(vec![change(bare("alice", 2))]).await.unwrap_err();
    forgot(&node).await;
    assert_eq!(node.auth(NEW).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_of_a_token_that_the_change_no_longer_names_leaves_nothing_behind() {
    let (world, node) = world().await;
    // Nothing of carol is remembered, and her account will not name token 4.
    world.insert(holder("carol", 1, 4));
    node.link.hold(true);
    let early = node.spawn_auth(4);
    eventually("the row is read", || node.link.under_way() == 1).await;
    node.change(bare("carol", 2)).await;
    let late = node.spawn_auth(4);
    eventually("another look-up begins", || node.link.under_way() == 2).await;
    node.link.hold(false);
    assert_eq!(early.await.unwrap(), Answer::Accepted, "it came before the change");
    assert_eq!(late.await.unwrap(), Answer::Refused);
    assert_eq!(node.auth(4).await, Answer::Refused);
}

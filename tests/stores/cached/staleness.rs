//! No node decides by an old state for longer than the bound.

use std::time::Duration;

use tower_api_token::store::{AccountStore, TokenStore};

use super::link::{Fate, Hearing};
use super::sample::{bare, change, digest, holder, rotated};
use super::world::{Answer, BOUND, Node, TERM, World, eventually};

/// The primary and the backup of these tests.
const NEW: u64 = 2;
const OLD: u64 = 1;

/// A user with both tokens.
fn world() -> World {
    let world = World::default();
    world.insert(rotated("alice", 1, NEW, OLD));
    world
}

async fn heard(node: &Node, changes: u64) {
    eventually("the node hears of the change", || node.statistics().invalidations >= changes).await;
}

#[tokio::test(start_paused = true)]
async fn cache_001_a_deleted_backup_is_refused_here_at_once_and_elsewhere_in_time() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    a.warm(OLD).await;
    b.warm(OLD).await;
    a.change(holder("alice", 2, NEW)).await;
    assert_eq!(a.auth(OLD).await, Answer::Refused);
    // The clock of trust stands still, so it is the feed that does it.
    heard(&b, 1).await;
    assert_eq!(b.auth(OLD).await, Answer::Refused);
    assert_eq!((a.auth(NEW).await, b.auth(NEW).await), (Answer::Accepted, Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn cache_002_a_look_up_that_read_before_the_change_leaves_nothing_behind() {
    let world = world();
    let a = world.node().await;
    a.link.hold(true);
    let early = a.spawn_auth(OLD);
    eventually("the row is read", || a.link.under_way() == 1).await;
    a.change(holder("alice", 2, NEW)).await;
    a.link.hold(false);
    assert_eq!(early.await.unwrap(), Answer::Accepted, "it came before the change");
    assert_eq!(a.remembers(&digest(OLD)), None);
    assert_eq!(a.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn cache_003_the_same_holds_on_another_node() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.link.hold(true);
    let early = b.spawn_auth(OLD);
    eventually("the row is read", || b.link.under_way() == 1).await;
    a.change(holder("alice", 2, NEW)).await;
    heard(&b, 1).await;
    // One that comes now does not join the look-up that read the old row.
    let late = b.spawn_auth(OLD);
    eventually("another look-up begins", || b.link.finds() == 2).await;
    b.link.hold(false);
    assert_eq!(early.await.unwrap(), Answer::Accepted, "it came before the change");
    assert_eq!(late.await.unwrap(), Answer::Refused);
    assert_eq!(b.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn cache_004_a_change_while_the_feed_was_broken_is_not_missed() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(OLD).await;
    b.link.cut_bus(true);
    b.link.put(None);
    eventually("the loss is noticed", || !b.cache.is_trusted()).await;
    a.change(holder("alice", 2, NEW)).await;
    assert_eq!(b.auth(OLD).await, Answer::Refused);
    b.link.cut_bus(false);
    b.is_trusted().await;
    assert_eq!(b.auth(OLD).await, Answer::Refused);
    b.warm(NEW).await;
}

#[tokio::test(start_paused = true)]
async fn cache_005_a_half_open_connection_is_trusted_for_less_than_the_bound() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(OLD).await;
    b.link.hear(Hearing::Nothing);
    a.change(holder("alice", 2, NEW)).await;
    world.clock.advance(TERM - Duration::from_millis(1));
    assert_eq!(b.auth(OLD).await, Answer::Accepted, "this test must be able to fail");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(b.auth(OLD).await, Answer::Refused);
}

/// What was looked up late in a lease is still young when the lease ends.
#[tokio::test(start_paused = true)]
async fn a_lease_ends_young_entries_too() {
    let world = world();
    let b = world.node().await;
    b.link.hear(Hearing::Nothing);
    world.clock.advance(TERM / 2);
    b.warm(OLD).await;
    assert_eq!(b.auth(3).await, Answer::Refused);
    world.change(rotated("alice", 2, 3, NEW)).await;
    world.clock.advance(TERM / 2 - Duration::from_millis(1));
    assert_eq!((b.auth(OLD).await, b.auth(3).await), (Answer::Accepted, Answer::Refused));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!((b.auth(OLD).await, b.auth(3).await), (Answer::Refused, Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_an_entry_counts_from_before_its_look_up_was_sent() {
    let world = world();
    let b = world.node().await;
    b.link.hear(Hearing::NoChanges);
    b.link.hold(true);
    let slow = b.spawn_auth(OLD);
    eventually("the row is read", || b.link.under_way() == 1).await;
    world.change(holder("alice", 2, NEW)).await;
    move_clock(&world, &b, TERM - Duration::from_millis(50), async || {}).await;
    b.link.hold(false);
    assert_eq!(slow.await.unwrap(), Answer::Accepted, "it came before the change");
    assert_eq!(b.auth(OLD).await, Answer::Accepted, "this test must be able to fail");
    move_clock(&world, &b, Duration::from_millis(50), async || {}).await;
    assert_eq!(b.auth(OLD).await, Answer::Refused);
}

/// Moves the clock in steps that leave time for heartbeats; the node stays
/// trusted throughout.
async fn move_clock(world: &World, node: &Node, time: Duration, mut each: impl AsyncFnMut()) {
    const STEP: Duration = Duration::from_millis(50);
    let mut moved = Duration::ZERO;
    while moved < time {
        let before = node.statistics();
        super::world::pass(TERM / 3).await;
        world.clock.advance(STEP);
        moved += STEP;
        assert!(node.cache.is_trusted(), "after {moved:?}: {before:?}");
        each().await;
    }
}

#[tokio::test(start_paused = true)]
async fn cache_024_without_any_invalidation_an_entry_ends_with_its_term() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(OLD).await;
    b.link.hear(Hearing::NoChanges);
    assert_eq!(b.auth(3).await, Answer::Refused);
    a.change(rotated("alice", 2, 3, NEW)).await;
    assert_eq!(b.auth(OLD).await, Answer::Accepted, "this test must be able to fail");
    assert_eq!(b.auth(3).await, Answer::Refused, "this test must be able to fail");
    move_clock(&world, &b, BOUND, async || {}).await;
    assert_eq!((b.auth(OLD).await, b.auth(3).await), (Answer::Refused, Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn cache_025_reading_does_not_prolong_an_entry() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(OLD).await;
    b.link.hear(Hearing::NoChanges);
    a.change(holder("alice", 2, NEW)).await;
    let answers = std::cell::RefCell::new(Vec::new());
    move_clock(&world, &b, BOUND * 10, async || {
        let answer = b.auth(OLD).await;
        answers.borrow_mut().push(answer);
    })
    .await;
    let answers = answers.into_inner();
    let accepted = answers.iter().take_while(|answer| **answer == Answer::Accepted).count();
    assert_eq!(accepted, 8, "of steps of 50 ms in a term of 450 ms");
    assert!(answers[accepted..].iter().all(|answer| *answer == Answer::Refused));
}

#[tokio::test(start_paused = true)]
async fn cache_027_the_first_answer_after_a_suspension_is_right() {
    let world = world();
    let b = world.node().await;
    b.warm(OLD).await;
    // No task of this node runs from here to its first answer.
    let change = world.store.replace(change(holder("alice", 2, NEW)));
    futures_util::FutureExt::now_or_never(change).unwrap().unwrap();
    assert_eq!(b.remembers(&digest(OLD)), Some(Answer::Accepted), "it must be able to fail");
    world.clock.advance(BOUND * 10);
    assert_eq!(b.remembers(&digest(OLD)), None);
    assert_eq!(b.auth(OLD).await, Answer::Refused);
    b.is_trusted().await;
    assert_eq!(b.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn cache_029_a_disabled_user_and_a_changed_grant_are_seen_alike() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(NEW).await;
    a.change(bare("alice", 2)).await;
    heard(&b, 1).await;
    assert_eq!((a.auth(NEW).await, b.auth(NEW).await), (Answer::Refused, Answer::Refused));
    assert_eq!((a.auth(OLD).await, b.auth(OLD).await), (Answer::Refused, Answer::Refused));
}

#[tokio::test(start_paused = true)]
async fn cache_031_a_digest_that_goes_to_another_user_is_never_the_first_ones_again() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    for node in [&a, &b] {
        node.warm(OLD).await;
    }
    a.change(holder("alice", 2, NEW)).await;
    a.change(holder("bob", 1, OLD)).await;
    heard(&b, 2).await;
    for node in [&a, &b] {
        let found = node.cache.find(&digest(OLD)).await.unwrap();
        assert_eq!(found.unwrap().user().as_str(), "bob");
    }
}

#[tokio::test(start_paused = true)]
async fn cache_032_every_entry_of_a_user_goes() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    for node in [&a, &b] {
        node.warm(OLD).await;
        node.warm(NEW).await;
    }
    // The account as it is now names neither; only the cache knows that it did.
    a.change(bare("alice", 2)).await;
    assert_eq!((a.remembers(&digest(OLD)), a.remembers(&digest(NEW))), (None, None));
    heard(&b, 1).await;
    assert_eq!((b.remembers(&digest(OLD)), b.remembers(&digest(NEW))), (None, None));
    assert_eq!((a.statistics().entries, b.statistics().entries), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn cache_036_without_a_bus_at_the_start_nothing_is_answered_from_memory() {
    let world = world();
    let b = world.cold_node(world.options());
    b.link.cut_bus(true);
    for found in 1..=20 {
        assert_eq!(b.auth(OLD).await, Answer::Accepted);
        assert_eq!((b.remembers(&digest(OLD)), b.link.finds()), (None, found));
        super::world::pass(BOUND).await;
    }
    b.link.cut_bus(false);
    b.is_trusted().await;
    b.warm(OLD).await;
}

#[tokio::test(start_paused = true)]
async fn cache_037_a_node_cut_off_from_the_store_refuses_to_guess() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    b.warm(OLD).await;
    b.link.part();
    a.change(holder("alice", 2, NEW)).await;
    world.clock.advance(BOUND);
    assert_eq!(b.auth(OLD).await, Answer::Unavailable);
    b.link.finds_fare(Fate::Works);
    assert_eq!(b.auth(OLD).await, Answer::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_tried_too_early_is_accepted_once_it_is_there() {
    let world = world();
    let (a, b) = (world.node().await, world.node().await);
    for node in [&a, &b] {
        for _ in 0..2 {
            assert_eq!(node.auth(3).await, Answer::Refused);
        }
        assert_eq!(node.link.finds(), 1, "that nobody has it is remembered");
    }
    a.change(rotated("alice", 2, 3, NEW)).await;
    assert_eq!(a.auth(3).await, Answer::Accepted);
    heard(&b, 1).await;
    assert_eq!(b.auth(3).await, Answer::Accepted);
}

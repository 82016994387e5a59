//! What becomes of a batch on its way to the store.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use tower_api_token::store::{AccountStore, LastUses, StoreErrorKind};

use crate::usage::store::Writing;
use crate::usage::world::{World, uses};

#[test]
fn a_batch_that_could_not_be_written_goes_with_the_next() {
    let world = World::new();
    world.use_at(1, &world.primary);
    world.use_at(1, &world.backup);
    world.store.set(Writing::Fails);
    for _ in 0..3 {
        let error = world.usage.flush().now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    world.store.set(Writing::Works);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(2, 1), (3, 1)]);
    world.flush();
    assert_eq!(world.store.take_batches().len(), 0, "written once");
}

#[test]
fn a_later_use_wins_over_one_that_came_back() {
    let world = World::new();
    world.use_at(1, &world.primary);
    world.store.set(Writing::Fails);
    world.usage.flush().now_or_never().unwrap().unwrap_err();
    world.use_at(9, &world.primary);
    world.store.set(Writing::Works);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 9)]);
}

#[test]
fn a_flush_that_is_given_up_loses_nothing_and_holds_nobody_up() {
    let world = World::new();
    world.use_at(1, &world.primary);
    world.use_at(1, &world.backup);
    world.store.set(Writing::Hangs);
    {
        let mut flush = pin!(world.usage.flush());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(flush.as_mut().poll(&mut cx), Poll::Pending));
        // Requests go on while the store hangs, and are noted.
        assert_eq!(world.use_at(5, &world.primary), 200);
        assert_eq!(world.use_at(6, &world.retired), 401);
        assert!(matches!(flush.as_mut().poll(&mut cx), Poll::Pending));
    }
    world.store.set(Writing::Works);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(2, 1), (3, 5)]);
    assert_eq!(world.take_entries().len(), 1);
}

#[test]
fn a_flush_that_is_dropped_unpolled_has_done_nothing() {
    let world = World::new();
    world.use_at(1, &world.primary);
    drop(world.usage.flush());
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)]);
}

#[test]
fn what_was_written_is_what_a_view_reads() {
    let world = World::new();
    let alice = tower_api_token::user::UserId::new("alice").unwrap();
    let before = world.store.load(&alice).now_or_never().unwrap().unwrap().account;
    for second in [3, 8] {
        world.use_at(second, &world.primary);
        world.flush();
    }
    let usage = world.store.usage(&alice).now_or_never().unwrap().unwrap();
    let seen: Vec<_> = usage.iter().map(|it| (it.id.as_u64(), it.at.unix_millis())).collect();
    assert_eq!(seen, [(3, 8_000)]);
    let after = world.store.load(&alice).now_or_never().unwrap().unwrap().account;
    assert_eq!(before, after, "uses change no account");
}

#[test]
fn a_flush_beside_another_does_not_take_its_uses_for_written() {
    let world = World::new();
    world.use_at(1, &world.primary);
    world.store.set(Writing::Hangs);
    let mut first = pin!(world.usage.flush());
    assert!(matches!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    world.store.set(Writing::Works);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)], "the second has written it itself");
}

/// The first may never come to write what it has taken.
#[test]
fn a_flush_writes_what_another_has_taken_and_not_written() {
    let world = World::new();
    world.use_at(1, &world.primary);
    world.store.set(Writing::Hangs);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = Box::pin(world.usage.flush());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    world.use_at(2, &world.backup);
    let mut second = Box::pin(world.usage.flush());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    world.use_at(3, &world.primary);
    world.store.set(Writing::Works);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(2, 2), (3, 3)]);
    drop((first, second));
    world.flush();
    assert_eq!(world.store.take_batches().len(), 0, "written once");
}

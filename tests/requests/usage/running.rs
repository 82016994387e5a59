//! Flushing on an interval, in a time that stands still until nobody has
//! anything else to do.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_api_token::store::{StoreError, StoreErrorKind};

use crate::usage::store::Writing;
use crate::usage::world::{World, uses};

const INTERVAL: Duration = Duration::from_secs(10);

fn run(
    world: &World,
    interval: Duration,
) -> (oneshot::Sender<()>, JoinHandle<Result<(), StoreError>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    (stop, tokio::spawn(world.usage.clone().run(interval, shutdown)))
}

#[tokio::test(start_paused = true)]
async fn it_flushes_once_an_interval_and_at_the_end() {
    let world = World::new();
    let (stop, task) = run(&world, INTERVAL);
    tokio::time::sleep(INTERVAL / 2).await;
    for round in 1..=3 {
        world.use_at(round, &world.primary);
        assert_eq!(world.store.take_batches().len(), 0, "not before the interval is over");
        tokio::time::sleep(INTERVAL).await;
        assert_eq!(uses(&world.store.take_batch()), [(3, round)]);
    }
    world.use_at(9, &world.backup);
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(uses(&world.store.take_batch()), [(2, 9)]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_fails_is_tried_again_with_the_next() {
    let world = World::new();
    world.store.set(Writing::Fails);
    let (stop, task) = run(&world, INTERVAL);
    world.use_at(1, &world.primary);
    tokio::time::sleep(INTERVAL * 3).await;
    assert!(!task.is_finished());
    world.store.set(Writing::Works);
    tokio::time::sleep(INTERVAL).await;
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)]);
    drop(stop);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_last_flush_that_fails_is_told() {
    let world = World::new();
    let (stop, task) = run(&world, INTERVAL);
    world.store.set(Writing::Fails);
    world.use_at(1, &world.primary);
    drop(stop);
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_nothing_is_a_millisecond() {
    let world = World::new();
    let (stop, task) = run(&world, Duration::ZERO);
    world.use_at(1, &world.primary);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(world.store.take_batches().len(), 1);
    drop(stop);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interval_without_end_is_a_day() {
    let world = World::new();
    let (stop, task) = run(&world, Duration::MAX);
    tokio::task::yield_now().await;
    // Late for the first tick, from which the next is counted.
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::task::yield_now().await;
    world.use_at(1, &world.primary);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(world.store.take_batches().len(), 1);
    drop(stop);
    task.await.unwrap().unwrap();
}

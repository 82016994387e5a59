//! Callers that hang up in the middle of any operation.

use std::sync::Arc;

use tower_api_token::store::{AccountStore, RedisStore, TokenStore};

use crate::dropped::{Operations, Random, dropped_after};
use crate::redis_server::{DURABLE, Server};
use crate::sample::{account, change, digest};

/// How many operations are dropped while the server has them and cannot answer, and
/// how many look-ups on one connection.
const INSIDE: u64 = 500;
const LOOK_UPS: u64 = 10_000;

struct World {
    server: Server,
    operations: Operations<RedisStore>,
}

impl World {
    async fn new() -> Self {
        let server = Server::start(&DURABLE);
        let store = Arc::new(server.deployment().store().await);
        let create =
            |store: Arc<RedisStore>| Box::pin(async move { store.create().await.unwrap() }) as _;
        Self { server, operations: Operations::new(store, create, 6).await }
    }
}

#[tokio::test]
async fn operations_dropped_at_any_poll_leave_the_store_usable() {
    let world = World::new().await;
    world.operations.drop_at_any_poll().await;
    world.operations.everything_works().await;
}

/// The server has been sent what was dropped, and makes all of it or nothing
/// when it can.
#[tokio::test]
async fn rotation_026_operations_dropped_while_the_server_has_them_are_made_whole() {
    let world = World::new().await;
    let mut made = 0;
    for number in 1..=INSIDE {
        let (waiting, code) = world.operations.pending_code(number).await;
        let pause = world.server.ask("CLIENT PAUSE 60000 WRITE");
        assert!(pause.unwrap().starts_with("+OK"));
        let work = match number % 4 {
            0 => world.operations.writing(4, number),
            1 => world.operations.writing(0, number),
            2 => world.operations.writing(3, number),
            _ => world.operations.confirming(waiting, code),
        };
        let work = tokio::spawn(work);
        while !world.server.tell("INFO clients").contains("blocked_clients:1") {
            tokio::task::yield_now().await;
        }
        work.abort();
        assert!(work.await.is_err_and(|error| error.is_cancelled()));
        world.server.tell("CLIENT UNPAUSE");
        if number % 4 == 0 {
            // Begun after it, and so ended after it.
            world.operations.store.create().await.unwrap();
            let parts = (1..=5).map(|part| digest(number * 100 + part));
            let mut there = 0;
            for part in parts {
                there += u64::from(world.operations.store.find(&part).await.unwrap().is_some());
            }
            assert!(there == 0 || there == 5, "{there} of 5");
            made += there / 5;
        }
    }
    assert_eq!(made, INSIDE / 4, "what was begun was not stopped by its caller");
    world.operations.everything_works().await;
}

/// Every reply belongs to its request, although requests before it on the same
/// connection were given up while their replies were on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_028_no_reply_goes_to_another_request_than_its_own() {
    const USERS: u64 = 50;

    let store = Arc::new(Server::shared().deployment().store().await);
    let accounts = (0..USERS).map(|number| change(account(&format!("user {number}"), 1, number)));
    for answer in store.replace_many(accounts.collect()).await.unwrap() {
        answer.unwrap();
    }
    let tasks = (1..=4).map(|seed| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let (mut random, mut dropped) = (Random(seed), 0);
            while dropped < LOOK_UPS / 4 {
                let (given_up, number) = (random.below(USERS), random.below(2 * USERS));
                let polls = 1 + random.below(2);
                dropped += u64::from(dropped_after(polls, store.find(&digest(given_up))).await);
                let found = store.find(&digest(number)).await.unwrap();
                let found = found.map(|account| account.user().as_str().to_owned());
                assert_eq!(found, (number < USERS).then(|| format!("user {number}")));
            }
            dropped
        })
    });
    let mut dropped = 0;
    for task in tasks.collect::<Vec<_>>() {
        dropped += task.await.unwrap();
    }
    assert!(dropped >= LOOK_UPS, "{dropped}");
}

//! Callers that hang up in the middle of any operation.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tower_api_token::TokenManager;
use tower_api_token::account::{LastUse, TokenRecord};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, ChangeFeed, LastUses, PageSize, RedisStore, Replacement, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};

use crate::redis_server::{DURABLE, Server};
use crate::sample::{account, change, digest, user};

/// How many operations are dropped at a random poll, how many more while the
/// server has them and cannot answer, and how many look-ups on one connection.
const ANYWHERE: u64 = 5_000;
const INSIDE: u64 = 500;
const LOOK_UPS: u64 = 10_000;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct World {
    server: Server,
    store: Arc<RedisStore>,
    manager: TokenManager,
    random: Random,
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

impl World {
    async fn new() -> Self {
        let server = Server::start(&DURABLE);
        let store = Arc::new(server.deployment().store().await);
        let builder = TokenManager::builder(Arc::clone(&store));
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        Self { server, store, manager, random: Random(0x9e37_79b9_7f4a_7c15) }
    }

    /// A new user, and the code of a token that waits to be confirmed.
    async fn pending_code(&self, number: u64) -> (UserId, ConfirmationCode) {
        let (actor, user) = (Actor::User, user(&format!("waiting {number}")));
        self.manager.grant(&actor, &user, methods("GET")).await.unwrap();
        let generated = self.manager.generate_primary(&actor, &user).await.unwrap();
        match generated.delivery {
            Delivery::ToCaller(code) => (user, code),
            other => panic!("the code goes to its caller, not {other:?}"),
        }
    }

    /// Work of the kind with that number that only reads.
    fn reading(&self, kind: u64, number: u64) -> Work {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let alice = alice(number);
            let done = match kind {
                0 => store.find(&digest(1)).await.is_ok(),
                1 => store.load(&alice).await.is_ok(),
                2 => store.list(None, PageSize::default()).await.is_ok(),
                3 => store.usage(&alice).await.is_ok(),
                4 => store.history(&alice, None, PageSize::MAX).await.is_ok(),
                _ => store.pepper_versions().await.is_ok(),
            };
            assert!(done, "reading {kind}");
        })
    }

    /// Work of the kind with that number that writes. A change may be refused:
    /// nobody knows what became of those before it.
    fn writing(&self, kind: u64, number: u64) -> Work {
        let (store, manager) = (Arc::clone(&self.store), self.manager.clone());
        Box::pin(async move {
            let (actor, alice) = (Actor::User, alice(number));
            match kind {
                0 => store.record_usage(&[a_use(number)]).await.unwrap(),
                1 => store.heartbeat(number).await.unwrap(),
                2 => store.create().await.unwrap(),
                3 => {
                    let new = change(account(&format!("user {number}"), 1, number));
                    drop(store.replace(new).await);
                }
                4 => drop(store.replace_many(batch(number)).await.unwrap()),
                5 => {
                    let other = methods(if number.is_multiple_of(2) { "GET" } else { "PUT" });
                    drop(manager.grant(&actor, &alice, other).await);
                }
                6 => drop(manager.generate_primary(&actor, &alice).await),
                7 => drop(manager.revoke_all(&actor, &alice).await),
                8 => drop(manager.revoke_access(&actor, &alice).await),
                9 => drop(manager.issue(&actor, &alice).await),
                _ => with_tokens(&store, &manager, kind, &alice).await,
            }
        })
    }
}

/// The kinds of work that need a token to name.
async fn with_tokens(store: &RedisStore, manager: &TokenManager, kind: u64, alice: &UserId) {
    let Ok(Some(account)) = store.load(alice).await.map(|loaded| loaded.account) else { return };
    let actor = Actor::User;
    let live = |record: Option<&TokenRecord>| record.map(|record| record.id);
    let pending = account.pending().map(|pending| pending.token.id);
    match (kind, live(account.primary()), live(account.backup()), pending) {
        (10, _, Some(id), _) => {
            drop(manager.delete_backup(&actor, alice, id, Guard::EvenIfInUse).await);
        }
        (11, Some(id), _, _) => {
            drop(manager.roll_back(&actor, alice, id, Guard::EvenIfInUse).await);
        }
        (12, _, _, Some(id)) => drop(manager.cancel_pending(&actor, alice, id).await),
        (13, _, _, Some(id)) => drop(manager.resend_confirmation(&actor, alice, id).await),
        _ => {}
    }
}

const READING: u64 = 6;
const WRITING: u64 = 14;

/// One user for a while: what is retired is kept, and an account that changed
/// thousands of times would be slow to read.
fn alice(number: u64) -> UserId {
    user(&format!("alice {}", number / 400))
}

fn methods(method: &str) -> MethodSet {
    MethodSet::new([method]).unwrap()
}

fn a_use(number: u64) -> (UserId, LastUse) {
    let at = Timestamp::from_unix_millis(number);
    (user("alice"), LastUse::new(TokenId::from_u64(1), at, None))
}

fn batch(number: u64) -> Vec<Replacement> {
    let one = |part| change(account(&format!("batch {number} {part}"), 1, number * 100 + part));
    (1..=5).map(one).collect()
}

/// Polls `work` at most that often and then drops it; whether it was dropped
/// before its end.
async fn dropped_after(polls: u64, work: impl Future) -> bool {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(|cx| {
        left -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if left == 0 => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn operations_dropped_at_any_poll_leave_the_store_usable() {
    let mut world = World::new().await;
    let (mut dropped, mut number) = (0, 1_000_000);
    while dropped < ANYWHERE {
        number += 1;
        let kind = number % (READING + WRITING);
        let work = match kind.checked_sub(READING) {
            None => world.reading(kind, number),
            Some(kind) => world.writing(kind, number),
        };
        dropped += u64::from(dropped_after(1 + world.random.below(6), work).await);
        assert!(number < 1_000_000 + 10 * ANYWHERE, "{dropped} of {number} were dropped");
    }
    everything_works(&world).await;
}

/// The server has been sent what was dropped, and makes all of it or nothing
/// when it can.
#[tokio::test]
async fn rotation_026_operations_dropped_while_the_server_has_them_are_made_whole() {
    let world = World::new().await;
    let mut made = 0;
    for number in 1..=INSIDE {
        let (waiting, code) = world.pending_code(number).await;
        let pause = world.server.ask("CLIENT PAUSE 60000 WRITE");
        assert!(pause.unwrap().starts_with("+OK"));
        let work = match number % 4 {
            0 => world.writing(4, number),
            1 => world.writing(0, number),
            2 => world.writing(3, number),
            _ => {
                let manager = world.manager.clone();
                Box::pin(async move {
                    drop(manager.confirm(&Actor::User, &waiting, &code).await);
                })
            }
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
            world.store.create().await.unwrap();
            let parts = (1..=5).map(|part| digest(number * 100 + part));
            let mut there = 0;
            for part in parts {
                there += u64::from(world.store.find(&part).await.unwrap().is_some());
            }
            assert!(there == 0 || there == 5, "{there} of 5");
            made += there / 5;
        }
    }
    assert_eq!(made, INSIDE / 4, "what was begun was not stopped by its caller");
    everything_works(&world).await;
}

async fn everything_works(world: &World) {
    let (waiting, code) = world.pending_code(0).await;
    world.manager.confirm(&Actor::User, &waiting, &code).await.unwrap();
    for kind in 0..READING {
        world.reading(kind, 1).await;
    }
    for kind in 0..WRITING {
        world.writing(kind, 1).await;
    }
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

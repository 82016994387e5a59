//! Callers that hang up in the middle of any operation.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio_postgres::NoTls;
use tower_api_token::TokenManager;
use tower_api_token::account::{LastUse, TokenRecord};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, ChangeFeed, LastUses, PageSize, PostgresStore, Replacement, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};

use crate::postgres::{Database, Server};
use crate::sample::{account, change, digest, user};

/// How many operations are dropped at a random poll, and how many more while
/// the database holds them up inside their transaction.
const ANYWHERE: u64 = 5_000;
const INSIDE: u64 = 600;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A node with a pool of one connection, and a connection to look on.
struct World {
    _database: Database,
    store: Arc<PostgresStore>,
    manager: TokenManager,
    onlooker: tokio_postgres::Client,
    random: u64,
}

impl World {
    async fn new() -> Self {
        let database = Server::shared().database().await;
        let mut one = database.clone();
        one.config.application_name("the pool of one");
        let store = PostgresStore::new(one.pool(1)).listen_with(database.config.clone(), NoTls);
        let store = Arc::new(store);
        store.migrate().await.unwrap();
        let builder = TokenManager::builder(Arc::clone(&store));
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        let onlooker = database.client().await;
        Self { _database: database, store, manager, onlooker, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// A number below `limit` (xorshift64*).
    fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// Waits until the pool's one connection does this, or waits for a lock.
    async fn until(&self, state: &str) {
        let question = "SELECT CASE wait_event_type WHEN 'Lock' THEN 'locked' ELSE state END
            FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'the pool of one'";
        let mut seen = String::new();
        for _ in 0..10_000 {
            self.onlooker.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            seen = self.onlooker.query_one(question, &[]).await.expect("one connection").get(0);
            if seen == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the pool's connection should have been {state}, and was {seen}");
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
                5 => store.changes().await.is_ok(),
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
                2 => store.migrate().await.unwrap(),
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
async fn with_tokens(store: &PostgresStore, manager: &TokenManager, kind: u64, alice: &UserId) {
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

const READING: u64 = 7;
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
async fn operations_dropped_at_any_poll_leave_the_only_connection_usable() {
    let mut world = World::new().await;
    let (mut dropped, mut number) = (0, 1_000_000);
    while dropped < ANYWHERE {
        number += 1;
        let kind = number % (READING + WRITING);
        let work = match kind.checked_sub(READING) {
            None => world.reading(kind, number),
            Some(kind) => world.writing(kind, number),
        };
        dropped += u64::from(dropped_after(1 + world.random(6), work).await);
        assert!(number < 1_000_000 + 10 * ANYWHERE, "{dropped} of {number} were dropped");
    }
    everything_works(&world).await;
}

#[tokio::test]
async fn rotation_026_operations_dropped_inside_their_transaction_leave_no_transaction() {
    let world = World::new().await;
    for number in 1..=INSIDE {
        let (waiting, code) = world.pending_code(number).await;
        world.until("idle").await;
        let lock = "BEGIN; LOCK TABLE tower_api_token.account, tower_api_token.token_use,
            tower_api_token.migration IN SHARE ROW EXCLUSIVE MODE;
            SELECT pg_advisory_xact_lock(x'746f7765722d6170'::int8)";
        world.onlooker.batch_execute(lock).await.unwrap();
        let work = match number % 5 {
            0 => world.writing(4, number),
            1 => world.writing(0, number),
            2 => world.writing(3, number),
            3 => world.writing(2, number),
            _ => {
                let manager = world.manager.clone();
                Box::pin(async move {
                    drop(manager.confirm(&Actor::User, &waiting, &code).await);
                })
            }
        };
        let work = tokio::spawn(work);
        world.until("locked").await;
        work.abort();
        assert!(work.await.is_err_and(|error| error.is_cancelled()));
        world.onlooker.batch_execute("COMMIT").await.unwrap();
        world.until("idle").await;
    }
    everything_works(&world).await;
}

async fn everything_works(world: &World) {
    world.until("idle").await;
    let (waiting, code) = world.pending_code(0).await;
    world.manager.confirm(&Actor::User, &waiting, &code).await.unwrap();
    for kind in 0..READING {
        world.reading(kind, 1).await;
    }
    for kind in 0..WRITING {
        world.writing(kind, 1).await;
    }
    world.until("idle").await;
}

//! Operations of a store and of its manager that are dropped half-way, for stores
//! that have a server.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tower_api_token::TokenManager;
use tower_api_token::account::{LastUse, TokenRecord};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, ChangeFeed, LastUses, PageSize, Replacement};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};

use crate::sample::{account, change, digest, user};

/// How many operations are dropped at a random poll.
const ANYWHERE: u64 = 5_000;

const WRITING: u64 = 14;

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The operations of one store, by number.
pub(crate) struct Operations<S> {
    pub(crate) store: Arc<S>,
    pub(crate) manager: TokenManager,
    /// What makes its tables, or what it has in place of them.
    set_up: fn(Arc<S>) -> Work,
    /// How many kinds only read: the last of seven opens a feed.
    reading: u64,
}

impl<S: AccountStore + ChangeFeed + LastUses> Operations<S> {
    pub(crate) async fn new(store: Arc<S>, set_up: fn(Arc<S>) -> Work, reading: u64) -> Self {
        let builder = TokenManager::builder(Arc::clone(&store));
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        Self { store, manager, set_up, reading }
    }

    /// A new user, and the code of a token that waits to be confirmed.
    pub(crate) async fn pending_code(&self, number: u64) -> (UserId, ConfirmationCode) {
        let (actor, user) = (Actor::User, user(&format!("waiting {number}")));
        self.manager.grant(&actor, &user, methods("GET")).await.unwrap();
        let generated = self.manager.generate_primary(&actor, &user).await.unwrap();
        match generated.delivery {
            Delivery::ToCaller(code) => (user, code),
            other => panic!("the code goes to its caller, not {other:?}"),
        }
    }

    /// Work that confirms the token of that code, or is refused.
    pub(crate) fn confirming(&self, user: UserId, code: ConfirmationCode) -> Work {
        let manager = self.manager.clone();
        Box::pin(async move { drop(manager.confirm(&Actor::User, &user, &code).await) })
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
                5 => store.pepper_versions().await.is_ok(),
                _ => store.changes().await.is_ok(),
            };
            assert!(done, "reading {kind}");
        })
    }

    /// Work of the kind with that number that writes. A change may be refused:
    /// nobody knows what became of those before it.
    pub(crate) fn writing(&self, kind: u64, number: u64) -> Work {
        let (store, manager, set_up) = (Arc::clone(&self.store), self.manager.clone(), self.set_up);
        Box::pin(async move {
            let (actor, alice) = (Actor::User, alice(number));
            match kind {
                0 => store.record_usage(&[a_use(number)]).await.unwrap(),
                1 => store.heartbeat(number).await.unwrap(),
                2 => set_up(store).await,
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
                _ => with_tokens(&*store, &manager, kind, &alice).await,
            }
        })
    }

    /// Drops thousands of operations, each at a random poll.
    pub(crate) async fn drop_at_any_poll(&self) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut dropped, mut number) = (0, 1_000_000);
        while dropped < ANYWHERE {
            number += 1;
            let kind = number % (self.reading + WRITING);
            let work = match kind.checked_sub(self.reading) {
                None => self.reading(kind, number),
                Some(kind) => self.writing(kind, number),
            };
            dropped += u64::from(dropped_after(1 + random.below(6), work).await);
            assert!(number < 1_000_000 + 10 * ANYWHERE, "{dropped} of {number} were dropped");
        }
    }

    /// Completes an operation of each kind.
    pub(crate) async fn everything_works(&self) {
        let (waiting, code) = self.pending_code(0).await;
        self.manager.confirm(&Actor::User, &waiting, &code).await.unwrap();
        for kind in 0..self.reading {
            self.reading(kind, 1).await;
        }
        for kind in 0..WRITING {
            self.writing(kind, 1).await;
        }
    }
}

/// The kinds of work that need a token to name.
async fn with_tokens(store: &impl AccountStore, manager: &TokenManager, kind: u64, alice: &UserId) {
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
pub(crate) async fn dropped_after(polls: u64, work: impl Future) -> bool {
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

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

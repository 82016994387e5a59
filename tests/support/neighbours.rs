//! What a large change leaves of everybody else's entries in another node's
//! cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_api_token::account::{Account, Ending, Retired, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, Replacement, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

/// How long anything may take to be seen by the other node.
const PATIENCE: Duration = Duration::from_secs(60);

fn digest(number: u64) -> TokenDigest {
    let mut bytes = [0xa7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

fn stored(number: u64) -> StoredDigest {
    StoredDigest::new(digest(number), PepperVersion::NONE)
}

/// An account with that primary, and these tokens that have ended.
fn account(name: &str, revision: u64, primary: u64, retired: std::ops::Range<u64>) -> Account {
    let id = TokenId::from_u64;
    let token =
        TokenRecord::new(id(1), stored(primary), TokenHint::unknown(), Timestamp::default());
    let retired = retired.map(|number| {
        Retired::new(id(number + 1), stored(number), Timestamp::default(), Ending::Deleted)
    });
    let account = Account::builder(UserId::new(name).unwrap()).primary(token).retired(retired);
    account.revision(Revision::from_u64(revision)).next_token(1 << 40).build().unwrap()
}

fn change(account: Account) -> Replacement {
    let revision = account.revision().as_u64();
    let expected = (revision > 1).then(|| Revision::from_u64(revision - 1));
    let (user, at) = (account.user().clone(), Timestamp::default());
    let entry = AuditEntry::new(user, account.revision(), at, Actor::User, Event::AllRevoked);
    Replacement::new(account, expected, entry)
}

/// A node with a cache that is trusted.
async fn node<S: AccountStore>(store: S) -> Arc<CachedStore<S>> {
    let options = CacheOptions::new().staleness_bound(Duration::from_secs(60));
    let cache = Arc::new(CachedStore::start(store, options).unwrap());
    let end = Instant::now() + PATIENCE;
    while !cache.is_trusted() {
        assert!(Instant::now() < end, "the cache is never trusted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cache
}

/// The revision that is remembered of the account with that digest.
fn remembered<S: AccountStore>(cache: &CachedStore<S>, number: u64) -> Option<u64> {
    let mut revision = None;
    let known = cache.peek(&digest(number), &mut |account| {
        revision = account.map(|account| account.revision().as_u64());
    });
    if known { revision } else { None }
}

/// Asks until the other node finds that revision, or nobody.
async fn finds<S: AccountStore>(cache: &CachedStore<S>, number: u64, expected: Option<u64>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = cache.find(&digest(number)).await.unwrap();
        if found.as_ref().map(|account| account.revision().as_u64()) == expected {
            return;
        }
        assert!(Instant::now() < end, "{number}: still {found:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Changes of an account with `retired` tokens that have ended reach the other
/// node, which forgets that user and nobody else.
pub(crate) async fn outlast_a_full_account(
    here: impl AccountStore,
    there: impl AccountStore,
    retired: u64,
) {
    let name = "\u{1f511}".repeat(63);
    here.replace(change(account("bob", 1, 1, 0..0))).await.unwrap();
    here.replace(change(account(&name, 1, 2, 100..100 + retired))).await.unwrap();
    let there = node(there).await;
    let losses = there.statistics().losses;
    // Known by its old primary and by a retired token; its next one is unknown.
    finds(&there, 1, Some(1)).await;
    finds(&there, 2, Some(1)).await;
    finds(&there, 100, Some(1)).await;
    finds(&there, 3, None).await;
    here.replace(change(account(&name, 2, 3, 100..100 + retired))).await.unwrap();
    finds(&there, 2, None).await;
    finds(&there, 3, Some(2)).await;
    finds(&there, 100, Some(2)).await;
    assert_eq!(remembered(&there, 1), Some(1), "bob's entry stays");
    assert_eq!((there.statistics().losses, there.is_trusted()), (losses, true));
}

/// A batch of ten thousand accounts reaches the other node, which forgets them
/// and nobody else.
pub(crate) async fn outlast_a_batch(here: impl AccountStore, there: impl AccountStore) {
    const ACCOUNTS: u64 = 10_000;
    const FIRST: u64 = 1_000;
    here.replace(change(account("bob", 1, 1, 0..0))).await.unwrap();
    let there = node(there).await;
    let losses = there.statistics().losses;
    finds(&there, 1, Some(1)).await;
    finds(&there, FIRST, None).await;
    finds(&there, FIRST + ACCOUNTS - 1, None).await;
    for revision in 1..=2 {
        let batch = (FIRST..FIRST + ACCOUNTS)
            .map(|number| change(account(&format!("user {number}"), revision, number, 0..0)));
        let answers = here.replace_many(batch.collect()).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        finds(&there, FIRST, Some(revision)).await;
        finds(&there, FIRST + ACCOUNTS - 1, Some(revision)).await;
    }
    assert_eq!(remembered(&there, 1), Some(1), "bob's entry stays");
    assert_eq!((there.statistics().losses, there.is_trusted()), (losses, true));
}

//! A store, and nodes that use it.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::Account;
use tower_api_token::store::{
    AccountStore, CacheOptions, CacheStatistics, CachedStore, MemoryStore, StoreErrorKind,
    TokenStore,
};
use tower_api_token::test_util::ManualClock;
use tower_api_token::token::TokenDigest;

use super::link::Link;
use super::sample::{change, digest};

/// The staleness bound of these tests.
pub(crate) const BOUND: Duration = Duration::from_millis(500);

/// For how long an answer and a lease hold.
pub(crate) const TERM: Duration = Duration::from_millis(450);

/// The store that all nodes share, and the clock by which they trust.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
}

/// One node: its cache, and its link to the store.
pub(crate) struct Node {
    pub(crate) cache: Arc<CachedStore<Link>>,
    pub(crate) link: Link,
}

/// How a request fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx.
    Accepted,
    /// 401.
    Refused,
    /// 503.
    Unavailable,
}

impl World {
    pub(crate) fn options(&self) -> CacheOptions {
        CacheOptions::new().staleness_bound(BOUND).clock(Arc::clone(&self.clock))
    }

    pub(crate) fn insert(&self, account: Account) {
        self.store.insert(account).unwrap();
    }

    /// Makes a change past all nodes.
    pub(crate) async fn change(&self, account: Account) {
        self.store.replace(change(account)).await.unwrap();
    }

    /// A node that is not trusted yet.
    pub(crate) fn cold_node(&self, options: CacheOptions) -> Node {
        self.node_on(Link::to(Arc::clone(&self.store)), options)
    }

    pub(crate) fn node_on(&self, link: Link, options: CacheOptions) -> Node {
        let cache = CachedStore::start(link.clone(), options).unwrap();
        Node { cache: Arc::new(cache), link }
    }

    pub(crate) async fn node(&self) -> Node {
        self.node_with(self.options()).await
    }

    pub(crate) async fn node_with(&self, options: CacheOptions) -> Node {
        let node = self.cold_node(options);
        node.is_trusted().await;
        node
    }
}

impl Node {
    pub(crate) async fn is_trusted(&self) {
        eventually("the node is trusted", || self.cache.is_trusted()).await;
    }

    pub(crate) fn statistics(&self) -> CacheStatistics {
        self.cache.statistics()
    }

    /// What memory alone says.
    pub(crate) fn remembers(&self, digest: &TokenDigest) -> Option<Answer> {
        let mut answer = None;
        let known = self.cache.peek(digest, &mut |account| {
            answer = Some(judge(account, digest));
        });
        assert_eq!(known, answer.is_some(), "an answer is shown exactly where it is promised");
        answer
    }

    /// Decides on a request with the token of that number.
    pub(crate) async fn auth(&self, token: u64) -> Answer {
        let digest = digest(token);
        if let Some(answer) = self.remembers(&digest) {
            return answer;
        }
        match self.cache.find(&digest).await {
            Ok(account) => judge(account.as_deref(), &digest),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                Answer::Unavailable
            }
        }
    }

    /// Uses the token until it is remembered.
    pub(crate) async fn warm(&self, token: u64) {
        assert_eq!(self.auth(token).await, Answer::Accepted);
        assert_eq!(self.remembers(&digest(token)), Some(Answer::Accepted));
    }

    pub(crate) async fn change(&self, account: Account) {
        self.cache.replace(change(account)).await.unwrap();
    }

    /// A request that runs beside the test.
    pub(crate) fn spawn_auth(&self, token: u64) -> tokio::task::JoinHandle<Answer> {
        let node = Self { cache: Arc::clone(&self.cache), link: self.link.clone() };
        tokio::spawn(async move { node.auth(token).await })
    }
}

fn judge(account: Option<&Account>, digest: &TokenDigest) -> Answer {
    let live = account.is_some_and(|account| account.slot_of(digest).is_some());
    if live { Answer::Accepted } else { Answer::Refused }
}

/// Waits for a condition, for ten seconds at most by tokio's clock.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came to pass that {what}");
}

/// Lets `time` pass on tokio's clock.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

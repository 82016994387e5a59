//! A node whose store is replaced by another state of itself: within the
//! staleness bound it answers by that state or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, TokenStore};
use tower_api_token::token::TokenDigest;

/// The staleness bound of these nodes.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// How long a store may be away.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a request with a token fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx.
    Accepted,
    /// 401.
    Refused,
    /// 503.
    Unavailable,
}

/// A node with a cache.
pub(crate) struct Node<S>(Arc<CachedStore<S>>);

impl<S: AccountStore> Node<S> {
    /// A node whose cache is trusted and remembers this live token.
    pub(crate) async fn that_knows(store: S, token: &TokenDigest) -> Self {
        let options = CacheOptions::new().staleness_bound(BOUND);
        let node = Self(Arc::new(CachedStore::start(store, options).unwrap()));
        let end = Instant::now() + PATIENCE;
        while !node.0.peek(token, &mut |account| assert!(account.is_some())) {
            assert!(Instant::now() < end, "it is never remembered");
            assert_eq!(node.ask(token).await, Answer::Accepted);
            sleep(Duration::from_millis(5)).await;
        }
        node
    }

    /// As the layer does: memory first, and then the store.
    async fn ask(&self, token: &TokenDigest) -> Answer {
        let mut answer = Answer::Unavailable;
        let known = self.0.peek(token, &mut |account| {
            let live = account.is_some_and(|account| account.slot_of(token).is_some());
            answer = if live { Answer::Accepted } else { Answer::Refused };
        });
        if known {
            return answer;
        }
        match self.0.find(token).await {
            Ok(Some(account)) if account.slot_of(token).is_some() => Answer::Accepted,
            Ok(_) => Answer::Refused,
            Err(_) => Answer::Unavailable,
        }
    }

    /// To be called when the store has been replaced: no request that begins
    /// after the bound is answered by anything but `expected` or 503, and
    /// `expected` comes to be the answer.
    pub(crate) async fn comes_to_say(&self, token: &TokenDigest, expected: Answer) {
        let replaced = Instant::now();
        let mut answered_late = false;
        while !answered_late {
            let age = replaced.elapsed();
            let answer = self.ask(token).await;
            if age > BOUND {
                let may_be = [expected, Answer::Unavailable];
                assert!(may_be.contains(&answer), "{answer:?} after {age:?}");
            }
            answered_late = age > 2 * BOUND && answer == expected;
            assert!(age < PATIENCE, "still {answer:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

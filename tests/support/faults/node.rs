//! One node, as hosts are told to build it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, TokenStore, WithTimeout};
use tower_api_token::token::{Token, TokenScheme};

use super::Engine;
use crate::relay::Relay;

/// D: no node may decide by what was for longer.
pub(crate) const BOUND: Duration = Duration::from_millis(500);

/// For how long a node waits for its store.
const LIMIT: Duration = Duration::from_millis(200);

/// A node: a store behind a time limit, behind a cache, and all its connections
/// through a relay of its own.
pub(crate) struct Node<S: AccountStore> {
    pub(crate) cache: Arc<CachedStore<WithTimeout<S>>>,
    pub(crate) relay: Relay,
    authenticator: Authenticator,
}

impl<S: AccountStore> Node<S> {
    /// A node that is trusted.
    pub(crate) async fn start<E: Engine<Store = S>>(engine: &E) -> Self {
        let relay = Relay::to(engine.address()).await;
        let cache = cache::<E>(&engine.describe(relay.address)).await;
        let node = Self { authenticator: Authenticator::new(Arc::clone(&cache)), cache, relay };
        node.is_trusted().await;
        node
    }

    pub(crate) async fn is_trusted(&self) {
        eventually("the node trusts its cache", || self.cache.is_trusted()).await;
    }

    /// Decides on a request with that token.
    pub(crate) async fn decide(&self, token: &Token) -> Result<(), DenialKind> {
        decide(&self.authenticator, token.expose_secret()).await
    }

    /// Uses the token until memory alone can answer for it.
    pub(crate) async fn warm(&self, token: &Token) {
        let digest = TokenScheme::default().digest(token).digest;
        let mut known = false;
        let end = Instant::now() + PATIENCE;
        while !known {
            assert!(Instant::now() < end, "the token is never remembered");
            assert_eq!(self.decide(token).await, Ok(()));
            known = self.cache.peek(&digest, &mut |account| assert!(account.is_some()));
        }
    }
}

/// The cache of a node over the data of that description, not trusted yet.
pub(super) async fn cache<E: Engine>(description: &str) -> Arc<CachedStore<WithTimeout<E::Store>>> {
    let store = WithTimeout::new(E::open(description).await).limit(LIMIT);
    let options = CacheOptions::new().staleness_bound(BOUND);
    Arc::new(CachedStore::start(store, options).expect("options that are allowed"))
}

pub(super) async fn decide(authenticator: &Authenticator, token: &str) -> Result<(), DenialKind> {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let (mut head, ()) = request.body(()).expect("a request").into_parts();
    let decision = authenticator.authenticate(&mut head).await;
    decision.map(drop).map_err(|denial| denial.kind())
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition, for half a minute at most.
pub(super) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came to pass that {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

//! One node, with a runtime of its own.

use std::sync::Arc;

use http::request::Parts;
use tokio::runtime::{Builder, Runtime};
use tower_api_token::TokenManager;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, WithTimeout};
use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};

use super::holder::Holder;

/// How a token ends, or its user is suspended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    RevokeAll,
    Suspend,
    /// By who holds the token.
    Holder,
    /// By a secret scanner that has found the token.
    Leak,
}

impl Change {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RevokeAll => "`revoke_all`",
            Self::Suspend => "`suspend`",
            Self::Holder => "`POST /revoke`",
            Self::Leak => "`POST /leaks`",
        }
    }
}

/// A manager and a layer on one cache.
pub(crate) struct Node {
    runtime: Runtime,
    manager: TokenManager,
    holder: Holder,
    authenticator: Authenticator,
}

impl Node {
    /// A node on the store that is opened so, trusted.
    pub(crate) fn start(open: impl Future<Output = Arc<dyn AccountStore>>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (manager, authenticator) = runtime.block_on(async {
            let store = WithTimeout::new(open.await);
            let store = CachedStore::start(store, CacheOptions::new()).expect("a cache");
            let store = Arc::new(store);
            while !store.is_trusted() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            let manager = TokenManager::builder(Arc::clone(&store));
            let manager = manager.confirmation(Confirmation::ByCaller).build().await;
            (manager.expect("a manager"), Authenticator::new(store))
        });
        let holder = Holder::of(manager.clone());
        Self { runtime, manager, holder, authenticator }
    }

    /// A user with a token that may GET.
    pub(crate) fn issue(&self, user: &UserId) -> Token {
        let actor = Actor::User;
        let issued = self.runtime.block_on(async {
            let methods = MethodSet::new(["GET"]).expect("methods");
            self.manager.grant(&actor, user, methods).await?;
            self.manager.issue(&actor, user).await
        });
        issued.expect("a token").token
    }

    /// Makes the change, which is about that user's token.
    pub(crate) fn make(&self, change: Change, user: &UserId, token: &Token) {
        self.runtime.block_on(async {
            match change {
                Change::RevokeAll => {
                    self.manager.revoke_all(&Actor::User, user).await.expect("a revocation");
                }
                Change::Suspend => {
                    let root = Actor::administrator("root").expect("a name");
                    self.manager.suspend(&root, user).await.expect("a suspension");
                }
                Change::Holder => self.holder.revoke(token).await,
                Change::Leak => self.holder.report(token).await,
            }
        });
    }

    /// Whether a request passes; an answer other than 2xx, 401, and 403 to one who is
    /// suspended, ends the measurement.
    pub(crate) fn accepts(&self, request: &mut Parts) -> bool {
        match self.runtime.block_on(self.authenticator.authenticate(request)) {
            Ok(identity) => identity.is_some(),
            Err(denial) => match denial.kind() {
                DenialKind::InvalidToken | DenialKind::AccessSuspended => false,
                _ => panic!("neither accepted nor refused: {denial:?}"),
            },
        }
    }
}

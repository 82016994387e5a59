//! A server, and a node on it that nothing happens to.

use std::sync::Arc;

use tower_api_token::TokenManager;
use tower_api_token::manage::{Confirmation, Delivery};
use tower_api_token::method::MethodSet;
use tower_api_token::token::{ConfirmationCode, Token, TokenId};
use tower_api_token::user::{Actor, UserId};

use super::{Engine, Node};

/// A server with a manager that reaches it directly: changes are made there.
pub(crate) struct World<E: Engine> {
    pub(crate) engine: Arc<E>,
    pub(crate) manager: TokenManager,
}

/// A generated primary that waits to be confirmed.
pub(crate) struct Generated {
    pub(crate) id: TokenId,
    pub(crate) token: Token,
    pub(crate) code: ConfirmationCode,
}

impl<E: Engine> World<E> {
    pub(crate) async fn start(engine: E) -> Self {
        let store = E::open(&engine.describe(engine.address())).await;
        Self { engine: Arc::new(engine), manager: manager(store).await }
    }

    pub(crate) async fn node(&self) -> Arc<Node<E::Store>> {
        Arc::new(Node::start(&*self.engine).await)
    }

    /// A new user, and their first token.
    pub(crate) async fn holder(&self, name: &str) -> (UserId, Token) {
        let user = UserId::new(name).expect("a user id");
        self.manager.grant(&Actor::User, &user, get()).await.expect("access is granted");
        let issued = self.manager.issue(&Actor::User, &user).await.expect("a token is issued");
        (user, issued.token)
    }
}

/// A manager whose codes come back to the caller.
pub(crate) async fn manager(store: impl tower_api_token::store::AccountStore) -> TokenManager {
    let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    builder.build().await.expect("a manager")
}

pub(crate) async fn generate(manager: &TokenManager, user: &UserId) -> Generated {
    let generated = manager.generate_primary(&Actor::User, user).await.expect("a new primary");
    match generated.delivery {
        Delivery::ToCaller(code) => Generated { id: generated.id, token: generated.token, code },
        other => panic!("the code goes to its caller, not {other:?}"),
    }
}

fn get() -> MethodSet {
    MethodSet::new(["GET"]).expect("a method")
}

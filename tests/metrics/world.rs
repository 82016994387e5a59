//! Users, and a service that their requests meet.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::manage::{Confirmation, Delivery, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, MemoryStore};
use tower_api_token::token::Token;
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::{Actor, UserId};

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) usage: UsageRecorder,
    manager: TokenManager,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let usage = UsageRecorder::new(Arc::clone(&store));
        let builder = TokenManager::builder(Arc::clone(&store)).usage(usage.clone());
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        Self { store, usage, manager }
    }

    /// A user who may GET, and a first token.
    pub(crate) async fn user(&self, name: &str) -> Token {
        let (actor, user) = (Actor::User, UserId::new(name).unwrap());
        let methods = MethodSet::new(["GET"]).unwrap();
        self.manager.grant(&actor, &user, methods).await.unwrap();
        self.manager.issue(&actor, &user).await.unwrap().token
    }

    /// Gives the user a new primary.
    pub(crate) async fn rotate(&self, name: &str) -> Token {
        let (actor, user) = (Actor::User, UserId::new(name).unwrap());
        let generated = self.manager.generate_primary(&actor, &user).await.unwrap();
        let Delivery::ToCaller(code) = &generated.delivery else { panic!("no code") };
        self.manager.confirm(&actor, &user, code).await.unwrap();
        generated.token
    }

    pub(crate) async fn account(&self, name: &str) -> Account {
        let loaded = self.store.load(&UserId::new(name).unwrap()).await.unwrap();
        loaded.account.unwrap().as_ref().clone()
    }

    pub(crate) fn layer(&self) -> TokenAuthLayer {
        TokenAuthLayer::new(Arc::clone(&self.store)).usage(self.usage.clone())
    }
}

/// How a request behind the layer fares.
pub(crate) async fn send(layer: &TokenAuthLayer, method: &str, credential: &str) -> StatusCode {
    let request = Request::builder().method(method);
    let request = match credential {
        "" => request,
        credential => request.header("authorization", credential),
    };
    let service = layer.layer(service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(http::Response::new(String::new()))
    }));
    service.oneshot(request.body(String::new()).unwrap()).await.unwrap().status()
}

/// A token that is nobody's here.
pub(crate) async fn stranger() -> Token {
    World::new().await.user("stranger").await
}

pub(crate) fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.expose_secret())
}

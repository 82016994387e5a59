//! Peppers of a store whose earlier version kept no check values of them.

use std::sync::Arc;

use http::Request;
use tower_api_token::ConfigError;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::manage::{Confirmation, ManageError, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::store::AccountStore;
use tower_api_token::token::{PepperCheck, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::{Actor, UserId};

use crate::upgrade::Store;
use crate::upgrade::stores::Kind;

const WRONG_KEY: &[u8] = b"thirty-two bytes of another store";

/// What runs on a machine that serves.
struct Node {
    manager: TokenManager,
    authenticator: Authenticator,
    usage: UsageRecorder,
}

impl Node {
    async fn start(store: &Store, scheme: TokenScheme) -> Result<Self, ManageError> {
        let usage = UsageRecorder::new(Arc::clone(store));
        let manager = TokenManager::builder(Arc::clone(store)).scheme(scheme.clone());
        let manager = manager.usage(usage.clone()).confirmation(Confirmation::ByCaller);
        let manager = manager.build().await?;
        let authenticator = Authenticator::new(Arc::clone(store)).scheme(scheme);
        Ok(Self { manager, authenticator: authenticator.usage(usage.clone()), usage })
    }

    /// Whether a request with the token passes. Then its use has been written.
    async fn accepts(&self, token: &str) -> bool {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let mut head = request.body(()).unwrap().into_parts().0;
        let accepted = self.authenticator.authenticate(&mut head).await.is_ok();
        self.usage.flush().await.unwrap();
        accepted
    }
}

/// The check value that the store keeps of the scheme's pepper.
async fn kept(store: &Store, scheme: &TokenScheme) -> Option<PepperCheck> {
    let (version, _) = scheme.pepper_checks().next().unwrap();
    store.pepper_checks().await.unwrap().of(version).copied()
}

fn check_value(scheme: &TokenScheme) -> Option<PepperCheck> {
    scheme.pepper_checks().next().map(|(_, check)| check)
}

async fn is_refused(store: &Store, scheme: TokenScheme) -> bool {
    matches!(
        Node::start(store, scheme).await,
        Err(ManageError::Config(ConfigError::WrongPepper { .. }))
    )
}

pub(crate) async fn a_pepper_is_verified_by_an_accepted_token(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let (store, right) = (&opened.store, fixture.scheme());
    let node = Node::start(store, right.clone()).await.unwrap();
    assert!(node.accepts(&fixture.token("primary", 1).text).await);
    assert_eq!(kept(store, &right).await, None, "that token needs no pepper");
    assert!(node.accepts(&fixture.token("peppered", 2).text).await);
    assert_eq!(kept(store, &right).await, check_value(&right));
    assert!(is_refused(store, fixture.scheme_with(WRONG_KEY)).await);
    Node::start(store, right).await.unwrap();
}

/// Else a start with a wrong key would soon shut out the right one.
pub(crate) async fn a_wrong_key_is_not_verified_by_a_token_made_with_it(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let (store, wrong) = (&opened.store, fixture.scheme_with(WRONG_KEY));
    let node = Node::start(store, wrong.clone()).await.unwrap();
    assert!(!node.accepts(&fixture.token("peppered", 2).text).await);
    let (program, user) = (Actor::program("test").unwrap(), UserId::new("new").unwrap());
    node.manager.grant(&program, &user, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let made = node.manager.issue(&program, &user).await.unwrap().token;
    assert!(node.accepts(made.expose_secret()).await);
    assert_eq!(kept(store, &wrong).await, None);
    let right = fixture.scheme();
    let node = Node::start(store, right.clone()).await.unwrap();
    assert!(node.accepts(&fixture.token("peppered", 2).text).await);
    assert_eq!(kept(store, &right).await, check_value(&right));
    assert!(is_refused(store, wrong).await);
}

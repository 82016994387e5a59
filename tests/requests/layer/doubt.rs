//! A store that fails, hangs or lies: none of it is an approval, and an outage
//! never looks like a bad token.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::Response;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

use crate::generated;
use crate::layer::support::{Answers, World, bearer, request, send};

/// Answers every question with one account, whoever is asked for.
struct Liar {
    account: Arc<Account>,
    in_memory: bool,
}

#[async_trait]
impl TokenStore for Liar {
    fn peek(&self, _: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        if self.in_memory {
            visit(Some(&self.account));
        }
        self.in_memory
    }

    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Ok(Some(Arc::clone(&self.account)))
    }
}

/// Says that it knows, and then says nothing.
struct Mute;

#[async_trait]
impl TokenStore for Mute {
    fn peek(&self, _: &TokenDigest, _: &mut dyn FnMut(Option<&Account>)) -> bool {
        true
    }

    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        panic!("it said that it knew");
    }
}

#[test]
fn store_001_an_error_of_the_store_is_503_and_never_a_bad_token() {
    let world = World::new();
    let unknown = generated::token("tat");
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Conflict, StoreErrorKind::Corrupt] {
        let layer = TokenAuthLayer::new(world.store(Answers::Fail(kind)));
        for token in [&world.primary, &world.retired, &unknown] {
            for layer in [layer.clone(), layer.clone().optional(true)] {
                let outcome = send(&layer, bearer("GET", token));
                assert!(!outcome.reached());
                assert!(outcome.status.is_server_error());
                assert!(!format!("{outcome:?}").contains("invalid_token"));
                let unavailable = kind != StoreErrorKind::Corrupt;
                assert_eq!(outcome.header("retry-after").is_some(), unavailable);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn store_002_a_store_that_hangs_approves_nothing_and_can_be_given_up() {
    let world = World::new();
    let handler = service_fn(async |_| -> Result<Response<String>, &str> { Err("reached") });
    let service = TokenAuthLayer::new(world.store(Answers::Hang)).layer(handler);
    for _ in 0..3 {
        let answer =
            tokio::time::timeout(Duration::from_secs(2), service.clone().oneshot(world.get()));
        assert!(answer.await.is_err(), "an answer without the store's word");
    }
}

#[test]
fn store_040_a_user_who_does_not_exist_is_refused_as_any_other() {
    let world = World::new();
    let layer = world.layer().sources([CredentialSource::Basic]);
    for credential in [
        format!("nobody:{}", generated::token("tat")),
        format!("nobody:{}", world.primary),
        format!(":{}", world.primary),
    ] {
        let value = format!("Basic {}", STANDARD.encode(credential));
        assert_eq!(send(&layer, request("GET", &[("authorization", &value)])).status, 401);
    }
}

#[test]
fn the_stores_word_that_a_digest_is_an_accounts_is_not_enough() {
    let world = World::new();
    let [alice, _] = world.accounts();
    let account = Arc::new(alice);
    for in_memory in [true, false] {
        let layer = TokenAuthLayer::new(Liar { account: Arc::clone(&account), in_memory });
        let unknown = generated::token("tat");
        for token in [&unknown, &world.carol, &world.pending, &world.retired] {
            assert_eq!(send(&layer, bearer("GET", token)).status, 401);
        }
        assert_eq!(send(&layer, world.get()).status, 200);
    }
}

#[test]
fn a_store_that_breaks_its_contract_approves_nothing() {
    let world = World::new();
    assert_eq!(send(&TokenAuthLayer::new(Mute), world.get()).status, 401);
}

#[test]
fn a_decision_without_a_layer_is_the_same_decision() {
    use tower_api_token::authenticate::Authenticator;

    let world = World::new();
    for answers in [Answers::Peek, Answers::Find] {
        let authenticator = Authenticator::new(world.store(answers));
        let decide = |request: http::Request<String>| {
            let (mut head, _) = request.into_parts();
            let decision = authenticator.authenticate(&mut head).now_or_never().expect("ready");
            (decision, format!("{head:?}"))
        };
        let (passed, shown) = decide(world.get());
        assert_eq!(passed.unwrap().expect("an identity").user().as_str(), "alice");
        assert!(!shown.contains(&world.primary));
        let (denied, shown) = decide(bearer("GET", &world.retired));
        assert_eq!(denied.unwrap_err().status(), 401);
        assert!(!shown.contains(&world.retired));
    }
}

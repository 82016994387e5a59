//! What requests and changes leave in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Full;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::holder::{HolderService, LeakReports};
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

use crate::life::Life;
use crate::needles::{Needles, base64};
use crate::{generated, log};

struct Failing(StoreErrorKind);

#[async_trait]
impl TokenStore for Failing {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        // A driver's error that shows what it was asked for.
        Err(StoreError::new(self.0, "finding").with_source(format!("no answer for {digest:?}")))
    }
}

fn all_sources(layer: TokenAuthLayer) -> TokenAuthLayer {
    let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    layer.sources([
        CredentialSource::Bearer,
        CredentialSource::Tok,
        CredentialSource::Basic,
        header,
    ])
}

fn status(layer: &TokenAuthLayer, method: &str, name: &str, value: &str) -> StatusCode {
    let handler = async |request: Request<String>| {
        // What a host's own tracing of requests does.
        tracing::trace!(?request, headers = ?request.headers(), "served");
        Ok::<_, std::convert::Infallible>(Response::new(()))
    };
    let request = Request::builder().method(method).header(name, value).body(String::new());
    let response = layer.layer(service_fn(handler)).oneshot(request.unwrap()).now_or_never();
    response.expect("ready").unwrap_or_else(|no| match no {}).status()
}

/// Every way of presenting a token.
fn presented(token: &str) -> [(&'static str, String); 6] {
    [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("TOK:{token}")),
        ("authorization", format!("Basic {}", base64(format!("alice:{token}").as_bytes()))),
        ("x-api-key", token.to_owned()),
        ("authorization", format!("Bearer {token} x")),
        ("authorization", format!("Basic {}", base64(format!("bob:{token}").as_bytes()))),
    ]
}

#[tokio::test]
async fn log_001_no_outcome_leaves_a_credential_in_the_log() {
    log::so_far();
    let mut life = Life::live().await;
    let unknown = generated::token("tat");
    life.needles.token(&unknown);
    let known = all_sources(TokenAuthLayer::new(life.store.clone()).usage(life.usage.clone()));
    let broken = |kind| all_sources(TokenAuthLayer::new(Failing(kind)));
    let layers = [
        known.clone().grpc(true).strip_credentials(true),
        known.also_require(|_, request| !format!("{request:?}").is_empty()),
        broken(StoreErrorKind::Unavailable),
        broken(StoreErrorKind::Corrupt),
    ];
    let (live, retired) = (life.live.expose_secret(), life.issued.token.expose_secret());
    let pending = life.generated.token.expose_secret();
    let mut statuses = std::collections::BTreeSet::new();
    for token in [live, retired, pending, unknown.as_str()] {
        for (name, value) in presented(token) {
            for layer in &layers {
                statuses.insert(status(layer, "GET", name, &value).as_u16());
                statuses.insert(status(layer, "POST", name, &value).as_u16());
            }
        }
    }
    life.usage.flush().await.unwrap();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 400, 401, 403, 500, 503]);
    let logged = log::so_far();
    for expected in
        ["denied", "store unavailable", "unreadable record", "retired_token_used", "served"]
    {
        assert!(logged.contains(expected), "{expected} was not logged");
    }
    life.needles.assert_absent("the log", &logged);
}

#[test]
fn log_002_a_malformed_credential_is_refused_without_a_trace_of_it() {
    log::so_far();
    let mut needles = Needles::default();
    needles.text("hunter2");
    let layer = all_sources(TokenAuthLayer::new(Failing(StoreErrorKind::Unavailable)));
    for value in
        ["Bearer hunter2 extra", "TOK:hunter2:extra", "Basic hunter2!", "Bearer \"hunter2\""]
    {
        assert_eq!(status(&layer, "GET", "authorization", value), 400);
    }
    assert_eq!(status(&layer, "GET", "x-api-key", "hunter2 hunter2"), 400);
    needles.assert_absent("the log", &log::so_far());
}

#[tokio::test]
async fn log_003_a_token_pasted_as_the_user_name_is_not_logged() {
    log::so_far();
    let life = Life::live().await;
    let layer = all_sources(TokenAuthLayer::new(life.store.clone()));
    let token = life.live.expose_secret();
    for credential in [format!("{token}:"), format!("{token}:{token}"), format!("{token}:x")] {
        let value = format!("Basic {}", base64(credential.as_bytes()));
        assert!(matches!(status(&layer, "GET", "authorization", &value).as_u16(), 400 | 401));
    }
    life.needles.assert_absent("the log", &log::so_far());
}

#[tokio::test]
async fn what_holders_send_leaves_no_token_in_the_log_and_in_answers() {
    log::so_far();
    let mut life = Life::live().await;
    let unknown = generated::token("tat");
    life.needles.token(&unknown);
    let (random, algorithm) = (ring::rand::SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let service = HolderService::new(life.manager.clone())
        .address_of(|request| {
            tracing::trace!(?request, "addressed");
            None
        })
        .leak_reports(LeakReports::with_keys_of(|_| None));
    let form = "application/x-www-form-urlencoded";
    let (pending, retired) = (life.generated.token.clone(), life.issued.token.clone());
    let tokens = [life.live.clone(), retired, pending].map(|it| it.expose_secret().to_owned());
    for token in tokens.iter().chain([&unknown]) {
        let told = Request::get("/token").header("authorization", format!("Bearer {token}"));
        let bad = Request::get("/token").header("authorization", format!("Bearer {token} x"));
        let revoked = Request::post("/revoke").header("content-type", form);
        let json = Request::post("/revoke").header("content-type", "application/json");
        let leak = format!("[{{\"token\":\"{token}\",\"type\":\"a\",\"url\":\"\"}}]");
        let signature = base64(key.sign(&random, leak.as_bytes()).unwrap().as_ref());
        let reported = Request::post("/leaks")
            .header("github-public-key-identifier", "a")
            .header("github-public-key-signature", signature);
        let requests = [
            (told, String::new()),
            (bad, String::new()),
            (json, format!("token={token}")),
            (reported, leak),
            (revoked, format!("token={token}")),
        ];
        for (head, body) in requests {
            let request = head.body(Full::<Bytes>::from(body)).unwrap();
            let response = service.clone().oneshot(request).await.unwrap_or_else(|no| match no {});
            life.needles.assert_absent("an answer", &format!("{response:?}"));
        }
    }
    let logged = log::so_far();
    for expected in ["addressed", "token_ended", "pending_cancelled"] {
        assert!(logged.contains(expected), "{expected} was not logged");
    }
    life.needles.assert_absent("the log", &logged);
}

#[tokio::test]
async fn log_012_a_panic_with_a_token_in_scope_does_not_tell_it() {
    let life = Life::live().await;
    let told = Arc::new(Mutex::new(String::new()));
    let layer = all_sources(TokenAuthLayer::new(life.store.clone()));
    let layer = layer.also_require(|identity, request| panic!("{identity:?} {request:?}"));
    for (name, value) in presented(life.live.expose_secret()).iter().take(4) {
        let attempt = || status(&layer, "GET", name, value);
        let panicked = catch_unwind(AssertUnwindSafe(attempt)).expect_err("a panic");
        let message = panicked.downcast_ref::<String>().expect("a message");
        assert!(message.contains("alice"), "{message}");
        told.lock().unwrap().push_str(message);
    }
    life.needles.assert_absent("a panic's message", &told.lock().unwrap());
}

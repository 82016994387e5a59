//! What refused clients are told.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

use crate::life::Life;

struct Failing(StoreErrorKind);

#[async_trait]
impl TokenStore for Failing {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let source = "SELECT account FROM digests: /var/lib/tokens.db is locked";
        Err(StoreError::new(self.0, "finding an account").with_source(source))
    }
}

/// Head and body of an answer, the denial itself and what it says as an error.
fn told(layer: &TokenAuthLayer, request: Request<String>) -> (String, String) {
    let handler =
        async |_| Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()));
    let answer = layer.layer(service_fn(handler)).oneshot(request).now_or_never().expect("ready");
    let (head, body) = answer.unwrap_or_else(|no| match no {}).into_parts();
    let body = body.collect().now_or_never().expect("ready").unwrap_or_else(|no| match no {});
    let denial = head.extensions.get::<tower_api_token::denial::Denial>().expect("a denial");
    let body = String::from_utf8(body.to_bytes().to_vec()).expect("text");
    (format!("{:?} {body} {denial} {denial:?}", head.headers), body)
}

#[tokio::test]
async fn log_018_no_refusal_tells_more_than_it_must() {
    let life = Life::live().await;
    let known = TokenAuthLayer::new(life.store.clone());
    let privileged = known.clone().also_require(|_, _| false);
    let down = TokenAuthLayer::new(Failing(StoreErrorKind::Unavailable));
    let corrupt = TokenAuthLayer::new(Failing(StoreErrorKind::Corrupt));
    let live = life.live.expose_secret();
    let requests = [
        (&known, "GET", None),
        (&known, "GET", Some(format!("{live} {live}"))),
        (&known, "GET", Some(life.issued.token.expose_secret().to_owned())),
        (&known, "POST", None),
        (&known, "POST", Some(life.issued.token.expose_secret().to_owned())),
        (&known, "POST", Some(live.to_owned())),
        (&known, "DELETE", Some(live.to_owned())),
        (&privileged, "GET", Some(live.to_owned())),
        (&down, "GET", Some(live.to_owned())),
        (&corrupt, "GET", Some(live.to_owned())),
        (&down, "POST", Some(live.to_owned())),
        (&corrupt, "POST", Some(live.to_owned())),
    ];
    for (layer, method, token) in requests {
        for content_type in ["application/json", "application/grpc"] {
            let mut request =
                Request::builder().method(method).header("content-type", content_type);
            if let Some(token) = &token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let layer = layer.clone().grpc(true);
            let (all, body) = told(&layer, request.body(String::new()).unwrap());
            life.needles.assert_absent("a refusal", &all);
            for inside in ["SELECT", "tokens.db", "locked", "alice", env!("CARGO_PKG_VERSION")] {
                assert!(!all.contains(inside), "{inside}: {all}");
            }
            assert!(!body.contains('/'), "a path, or a link to somewhere: {body}");
        }
    }
}

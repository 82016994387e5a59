//! The layer, and what it gives to handlers and clients.

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_api_token::ConfigError;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::denial::{Denial, DenialKind, RequestFault};
use tower_api_token::middleware::Anonymous;
use tower_api_token::{Identity, TokenAuthLayer};

use super::List;
use crate::life::Life;

async fn handle(request: Request<String>) -> Result<Response<Full<Bytes>>, &'static str> {
    let mut response = Response::new(Full::default());
    *response.extensions_mut() = request.extensions().clone();
    Ok(response)
}

fn request(method: &str, token: Option<&str>) -> Request<String> {
    let mut request = Request::builder().method(method);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(String::new()).unwrap()
}

pub(super) async fn show(life: &Life, list: &mut List) {
    let token = life.live.expose_secret();
    let layer = TokenAuthLayer::new(life.store.clone()).usage(life.usage.clone());
    let mut service = layer.clone().optional(true).layer(service_fn(handle));
    let passed = service.clone().oneshot(request("GET", Some(token))).await.unwrap();
    let anonymous = service.clone().oneshot(request("GET", None)).await.unwrap();
    let denied = service.clone().oneshot(request("POST", Some(token))).await.unwrap();
    list.add("Identity", passed.extensions().get::<Identity>().expect("an identity"));
    list.add("Anonymous", anonymous.extensions().get::<Anonymous>().expect("the layer's mark"));
    list.add("Denial", denied.extensions().get::<Denial>().expect("a denial"));
    list.add("ResponseBody", &(denied.body(), passed.body()));
    let running = service.call(request("GET", Some(token)));
    let refused = service.call(request("POST", Some(token)));
    list.add("ResponseFuture", &(running, refused));
    let same_body = layer.clone().same_body();
    let mut service = same_body.layer(service_fn(handle));
    let same_body_future = service.call(request("GET", Some(token)));
    list.add("SameBody", &same_body_future);
    list.add("SameBody", &same_body);
    list.add("SameBody", &same_body.layer("inner"));
    list.add("TokenAuthLayer", &layer);
    list.add("TokenAuth", &layer.layer("inner"));
    list.add("Authenticator", &Authenticator::new(life.store.clone()));
    let header = HeaderName::from_static("x-api-key");
    list.add("CredentialSource", &CredentialSource::Header(header));
    list.add("ConfigError", &"digest".parse::<CredentialSource>().unwrap_err());
    list.add("DenialKind", &DenialKind::InvalidToken);
    list.add("RequestFault", &RequestFault::MalformedCredential);
    list.add("ConfigError", &ConfigError::RealmEmpty);
    list.add("Identity", &rejection(anonymous.extensions().clone()));
}

/// What a handler gets that wants an identity of an anonymous request.
fn rejection(extensions: http::Extensions) -> axum::response::Response {
    use axum::extract::FromRequestParts;

    let (mut parts, _) = Request::new(()).into_parts();
    parts.extensions = extensions;
    let identity = Identity::from_request_parts(&mut parts, &()).now_or_never();
    identity.expect("ready").expect_err("no identity")
}

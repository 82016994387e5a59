//! A layer that keeps the inner service's body type does what the other does.

use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use axum::{Router, ServiceExt as IntoMakeService};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::store::StoreErrorKind;

use crate::layer::support::{Answers, Outcome, World, bearer, request, send, send_in_same_body};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The layers over this world that differ in how a request goes through them.
fn layers(world: &World) -> Vec<TokenAuthLayer> {
    let stores = [Answers::Peek, Answers::Find, Answers::Fail(StoreErrorKind::Unavailable)];
    let over = |answers| TokenAuthLayer::new(world.store(answers));
    let mut layers: Vec<_> = stores.into_iter().map(over).collect();
    let by_key = [CredentialSource::Bearer, CredentialSource::Header(API_KEY)];
    layers.push(world.layer().sources(by_key));
    layers.push(world.layer().optional(true));
    layers.push(world.layer().grpc(true));
    layers.push(world.layer().also_require(|_, request| request.uri.path() != "/items"));
    layers.push(world.layer().on_denied(|_, _| {
        let mut response = Response::new(Bytes::from_static(b"no"));
        *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        response
    }));
    layers
}

fn requests(world: &World) -> Vec<Request<String>> {
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    vec![
        bearer("GET", &world.primary),
        bearer("GET", &world.backup),
        bearer("PURGE", &world.primary),
        bearer("POST", &world.primary),
        bearer("TRACE", &world.primary),
        bearer("GET", &world.retired),
        bearer("HEAD", &world.pending),
        bearer("GET", "none"),
        request("GET", &[("x-api-key", &world.backup)]),
        request("GET", &[("authorization", "Bearer a b")]),
        request("GET", &[]),
        request("POST", &grpc),
    ]
}

fn shown(outcome: &Outcome) -> String {
    let Outcome { status, headers, body, denial, seen } = outcome;
    let identity = seen.as_ref().map(|seen| &seen.identity);
    format!("{status} {headers:?} {body:?} {denial:?} {identity:?}")
}

#[test]
fn every_answer_is_the_same() {
    let world = World::new();
    let mut statuses = std::collections::BTreeSet::new();
    for layer in layers(&world) {
        for request in requests(&world) {
            let outcome = send(&layer, request.clone());
            let same = send_in_same_body(layer.clone(), request.clone());
            assert_eq!(shown(&same), shown(&outcome), "{request:?}");
            statuses.insert(outcome.status.as_u16());
        }
    }
    assert_eq!(Vec::from_iter(statuses), [200, 400, 401, 403, 418, 503]);
}

#[test]
fn a_whole_axum_router_goes_behind_it_with_its_own_body_type() {
    let world = World::new();
    let routes = Router::new().route("/items", get(async || "apple"));
    let service = world.layer().same_body().layer(routes);
    let ask = |token: &str| {
        let request = bearer("GET", token).map(|_| Body::empty());
        let answer = service.clone().oneshot(request).now_or_never();
        let response: axum::response::Response = answer.expect("ready").expect("no error");
        let status = response.status();
        let body = response.into_body().collect().now_or_never().expect("ready");
        (status.as_u16(), body.expect("no error").to_bytes())
    };
    assert_eq!(ask(&world.primary), (200, Bytes::from_static(b"apple")));
    let (status, problem) = ask(&world.retired);
    assert_eq!(status, 401);
    assert!(problem.starts_with(b"{"), "{problem:?}");
    // What `axum::serve` takes.
    drop(IntoMakeService::<Request>::into_make_service(service));
}

#[test]
fn its_future_says_how_far_it_has_come() {
    let world = World::new();
    let mut service = world
        .layer()
        .same_body()
        .layer(service_fn(async |_: Request<String>| Ok::<_, ()>(Response::new(Bytes::new()))));
    assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())) == Poll::Ready(Ok(())));
    let running = service.call(world.get());
    assert_eq!(format!("{running:?}"), "SameBody { inner: ResponseFuture(\"running\") }");
}

//! A request's `traceparent` in the records and the span of its decision.

use std::convert::Infallible;

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::store::StoreErrorKind;

use crate::generated;
use crate::layer::support::{Answers, World, bearer};
use crate::thread_log::ThreadLog;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What the log puts before a record of the decision.
fn span() -> String {
    format!("decision{{trace_id=\"{TRACE}\" parent_id=\"{PARENT}\"}}: ")
}

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn traced(token: &str) -> Request<String> {
    let mut request = bearer("GET", token);
    request.headers_mut().insert("traceparent", traceparent().parse().unwrap());
    request
}

/// What is logged while a request is answered by a handler that logs, too.
fn logged(layer: &TokenAuthLayer, request: Request<String>) -> (u16, String) {
    let log = ThreadLog::begin();
    let handler = service_fn(async |_: Request<String>| {
        tracing::info!("handled");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let response = layer.layer(handler).oneshot(request).now_or_never().expect("ready").unwrap();
    (response.status().as_u16(), log.so_far())
}

fn line<'l>(log: &'l str, text: &str) -> &'l str {
    log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text}: {log}"))
}

#[test]
fn a_denial_is_logged_within_its_trace() {
    let world = World::new();
    for answers in [Answers::Peek, Answers::Find] {
        let layer = TokenAuthLayer::new(world.store(answers));
        let (status, log) = logged(&layer, traced(&world.retired));
        assert_eq!(status, 401);
        assert!(line(&log, "denied").contains(&span()), "{log}");
        assert!(!log.contains(&world.retired) && !log.contains("alice"), "{log}");
    }
}

#[test]
fn a_failure_of_the_store_is_logged_within_its_trace() {
    let world = World::new();
    let layer = TokenAuthLayer::new(world.store(Answers::Fail(StoreErrorKind::Unavailable)));
    let (status, log) = logged(&layer, traced(&world.primary));
    assert_eq!(status, 503);
    assert!(line(&log, "store unavailable").contains(&span()), "{log}");
    assert!(line(&log, "denied").contains(&span()), "{log}");
}

#[test]
fn what_the_handler_logs_is_not_the_decisions() {
    let world = World::new();
    for answers in [Answers::Peek, Answers::Find] {
        let (status, log) =
            logged(&TokenAuthLayer::new(world.store(answers)), traced(&world.primary));
        assert_eq!(status, 200);
        assert!(!line(&log, "handled").contains("decision"), "{log}");
    }
}

#[test]
fn a_malformed_or_repeated_traceparent_is_ignored() {
    let world = World::new();
    let (layer, unknown) = (world.layer(), generated::token("tat"));
    let mut repeated = traced(&unknown);
    repeated.headers_mut().append("traceparent", traceparent().parse().unwrap());
    let malformed = ["", "00-alice", "00-4bf9\u{e9}", &traceparent().to_uppercase(), &unknown];
    let malformed = malformed.map(|value| {
        let mut request = bearer("GET", &unknown);
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().insert("traceparent", value);
        request
    });
    for request in malformed.into_iter().chain([repeated, bearer("GET", &unknown)]) {
        let shown = format!("{:?}", request.headers().get("traceparent"));
        let (status, log) = logged(&layer, request);
        assert_eq!(status, 401, "{shown}");
        let denied = line(&log, "denied");
        assert!(denied.contains("decision: "), "{shown}: {log}");
        assert!(!log.contains("trace_id") && !log.contains(&unknown), "{shown}: {log}");
    }
}

#[tokio::test]
async fn a_host_that_decides_by_itself_has_the_trace_too() {
    let world = World::new();
    for answers in [Answers::Peek, Answers::Find] {
        let authenticator = Authenticator::new(world.store(answers));
        let log = ThreadLog::begin();
        let (mut head, _) = traced(&world.pending).into_parts();
        authenticator.authenticate(&mut head).await.unwrap_err();
        let log = log.so_far();
        assert!(line(&log, "denied").contains(&span()), "{log}");
    }
}

#[cfg(feature = "forward-auth")]
#[tokio::test]
async fn the_services_for_gateways_have_the_trace_of_the_client() {
    use tower_api_token::forward_auth::{ForwardAuth, Profile};

    let world = World::new();
    for answers in [Answers::Peek, Answers::Find] {
        let verify = ForwardAuth::new(world.store(answers), Profile::OwnRequestLine);
        let log = ThreadLog::begin();
        let answer = verify.oneshot(traced(&world.retired)).await.unwrap();
        assert_eq!(answer.status(), 401);
        let log = log.so_far();
        assert!(line(&log, "denied").contains(&span()), "{log}");
    }
}

#[cfg(feature = "ext-authz")]
#[tokio::test]
async fn envoy_tells_the_trace_of_its_client() {
    use tower_api_token::ext_authz::ExtAuthz;

    use crate::ext_authz::envoy::{answer, check};

    let world = World::new();
    let credential = format!("Bearer {}", world.retired);
    let traceparent = traceparent();
    let headers = [("authorization", &*credential), ("traceparent", &*traceparent)];
    for answers in [Answers::Peek, Answers::Find] {
        let log = ThreadLog::begin();
        let service = ExtAuthz::new(world.store(answers));
        let answer = answer(&service, &check("GET", &headers)).await;
        assert!(answer.denied_response.is_some(), "{answer:?}");
        let log = log.so_far();
        assert!(line(&log, "denied").contains(&span()), "{log}");
    }
}

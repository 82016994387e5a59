//! Denials of gRPC calls, where the host has said that there are any.

use http::{Request, Response, StatusCode};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::StoreErrorKind;

use crate::generated;
use crate::layer::support::{Answers, Outcome, World, bearer, request, send};

/// `request` as a gRPC call would be.
fn call(mut request: Request<String>, content_type: &'static str) -> Request<String> {
    let content_type = http::HeaderValue::from_static(content_type);
    request.headers_mut().insert("content-type", content_type);
    request
}

fn assert_grpc(outcome: &Outcome, status: &str) {
    assert!(!outcome.reached());
    assert_eq!(outcome.status, StatusCode::OK);
    assert_eq!(outcome.header("content-type"), Some("application/grpc"));
    assert_eq!(outcome.header("grpc-status"), Some(status));
    assert_eq!(outcome.header("www-authenticate"), None);
    assert!(outcome.body.is_empty());
    // tonic, which knows the protocol, reads the same.
    let known = tonic::Status::from_header_map(&outcome.headers).expect("a gRPC status");
    assert_eq!(known.message(), outcome.denial.as_ref().expect("a denial").detail());
}

#[test]
fn each_denial_has_its_grpc_status() {
    let world = World::new();
    let layer = world.layer().grpc(true);
    let privileged = layer.clone().also_require(|_, _| false);
    let broken = |kind| TokenAuthLayer::new(world.store(Answers::Fail(kind))).grpc(true);
    let cases = [
        (&layer, bearer("POST", ""), "3"),
        (&layer, bearer("POST", &world.primary), "7"),
        (&privileged, bearer("POST", &world.carol), "7"),
        (&broken(StoreErrorKind::Corrupt), bearer("POST", &world.carol), "13"),
        (&broken(StoreErrorKind::Unavailable), bearer("POST", &world.carol), "14"),
        (&layer, request("POST", &[]), "16"),
        (&layer, bearer("POST", &generated::token("tat")), "16"),
    ];
    for (layer, request, status) in cases {
        assert_grpc(&send(layer, call(request, "application/grpc")), status);
    }
}

#[test]
fn only_a_grpc_call_is_answered_so() {
    let layer = World::new().layer().grpc(true);
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc+json"] {
        assert_grpc(&send(&layer, call(request("POST", &[]), content_type)), "16");
        for method in ["GET", "PUT", "HEAD", "OPTIONS", "post"] {
            let outcome = send(&layer, call(request(method, &[]), content_type));
            assert_eq!(outcome.status, 401, "{method}");
        }
    }
    for content_type in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/json",
        "application/grp",
    ] {
        let outcome = send(&layer, call(request("POST", &[]), content_type));
        assert_eq!(outcome.status, 401, "{content_type}");
        assert_eq!(outcome.header("grpc-status"), None);
    }
    assert_eq!(send(&layer, request("POST", &[])).status, 401);
}

#[test]
fn a_grpc_call_is_an_http_request_where_the_host_has_not_said_otherwise() {
    let world = World::new();
    for layer in [world.layer(), world.layer().grpc(false)] {
        let outcome = send(&layer, call(request("POST", &[]), "application/grpc"));
        assert_eq!(outcome.status, 401);
        assert_eq!(outcome.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn a_call_that_passes_is_left_alone() {
    let world = World::new();
    let call = call(bearer("POST", &world.carol), "application/grpc");
    let outcome = send(&world.layer().grpc(true), call);
    assert!(outcome.reached());
    assert_eq!(outcome.header("grpc-status"), None);
}

#[test]
fn a_hosts_own_rendering_goes_before() {
    let layer = World::new().layer().grpc(true).on_denied(|denial, _| {
        let mut response = Response::default();
        *response.status_mut() = denial.status();
        response
    });
    let outcome = send(&layer, call(request("POST", &[]), "application/grpc"));
    assert_eq!(outcome.status, 401);
    assert_eq!(outcome.header("grpc-status"), None);
}

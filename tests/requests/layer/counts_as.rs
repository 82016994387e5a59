//! Requests that the host judges by another method than their own.

use std::sync::{Arc, Mutex};

use http::Method;
use http::request::Parts;
use tower_api_token::TokenAuthLayer;
use tower_api_token::credentials::CredentialSource;

use crate::layer::support::{World, bearer, request, send};

/// A search is sent as POST and only reads.
fn search(request: &Parts) -> Option<Method> {
    let reads = request.method == Method::POST && request.uri.path() == "/search";
    reads.then_some(Method::GET)
}

fn to(path: &str, mut request: http::Request<String>) -> http::Request<String> {
    *request.uri_mut() = path.parse().unwrap();
    request
}

/// Of alice, who has GET.
fn world() -> (World, TokenAuthLayer) {
    let world = World::new();
    let layer = world.layer().counts_as(search);
    (world, layer)
}

#[test]
fn a_search_needs_get_and_every_other_post_its_own_method() {
    let (world, layer) = world();
    assert_eq!(send(&layer, to("/search", bearer("POST", &world.primary))).status, 200);
    for path in ["/search/", "/SEARCH", "/items", "/"] {
        let outcome = send(&layer, to(path, bearer("POST", &world.primary)));
        assert_eq!(outcome.status, 403, "{path}");
        assert_eq!(outcome.problem()["required_method"], "POST");
    }
    let outcome = send(&layer, to("/search", bearer("PUT", &world.primary)));
    assert_eq!(outcome.problem()["required_method"], "PUT");
}

/// The other way round: more than the request's own method may be asked for.
#[test]
fn a_get_that_counts_as_more_needs_more() {
    let world = World::new();
    let layer = world.layer().counts_as(|_| Some(Method::DELETE));
    let outcome = send(&layer, bearer("GET", &world.primary));
    assert_eq!(outcome.problem()["required_method"], "DELETE");
}

#[test]
fn a_method_override_must_be_granted_all_the_same() {
    let (world, layer) = world();
    let credential = format!("Bearer {}", world.primary);
    for (asked, status) in [("GET", 200), ("DELETE", 403), ("POST", 403)] {
        let lines = [("authorization", credential.as_str()), ("x-http-method-override", asked)];
        let outcome = send(&layer, to("/search", request("POST", &lines)));
        assert_eq!(outcome.status, status, "{asked}");
    }
}

#[test]
fn what_nobody_is_granted_counts_as_nothing_else() {
    let world = World::new();
    let layer = world.layer().counts_as(|_| Some(Method::GET));
    for method in ["TRACE", "CONNECT"] {
        let outcome = send(&layer, bearer(method, &world.primary));
        assert_eq!(outcome.status, 403, "{method}");
        assert_eq!(outcome.problem()["required_method"], method);
    }
    assert_eq!(send(&layer, bearer("PURGE", &world.primary)).status, 200);
}

#[test]
fn what_counts_as_options_is_no_preflight() {
    let world = World::new();
    let layer = world.layer().allow_preflight(true).counts_as(|_| Some(Method::OPTIONS));
    let lines = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    assert_eq!(send(&layer, request("POST", &lines)).status, 401);
    assert_eq!(send(&layer, request("OPTIONS", &lines)).status, 200);
}

#[test]
fn a_grpc_call_that_only_reads_needs_get() {
    let world = World::new();
    let layer = world.layer().grpc(true).counts_as(|request| {
        request.uri.path().starts_with("/shop.v1.Shop/Get").then_some(Method::GET)
    });
    let call = |path| {
        let mut call = to(path, bearer("POST", &world.primary));
        call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        send(&layer, call)
    };
    assert!(call("/shop.v1.Shop/GetItem").reached());
    let refused = call("/shop.v1.Shop/DeleteItem");
    assert_eq!((refused.reached(), refused.header("grpc-status")), (false, Some("7")));
}

/// The method is judged by the account that the store gives, too.
#[test]
fn a_decision_that_asks_the_store_judges_by_the_same_method() {
    let world = World::new();
    let asked = TokenAuthLayer::new(world.store(crate::layer::support::Answers::Find));
    let layer = asked.counts_as(search);
    assert_eq!(send(&layer, to("/search", bearer("POST", &world.primary))).status, 200);
    assert_eq!(send(&layer, to("/items", bearer("POST", &world.primary))).status, 403);
}

#[test]
fn whoever_names_the_method_sees_every_credential_marked_as_sensitive() {
    let world = World::new();
    let key = CredentialSource::Header(http::HeaderName::from_static("x-api-key"));
    let shown = Arc::new(Mutex::new(String::new()));
    let layer = world.layer().sources([CredentialSource::Bearer, key]).counts_as({
        let shown = Arc::clone(&shown);
        move |request| {
            *shown.lock().unwrap() = format!("{request:?}");
            None
        }
    });
    for name in ["authorization", "x-api-key"] {
        send(&layer, request("GET", &[(name, &world.primary)]));
        let shown = std::mem::take(&mut *shown.lock().unwrap());
        assert!(shown.contains("Sensitive") && !shown.contains(&world.primary), "{shown}");
    }
}

#[test]
fn several_add_up_and_the_first_that_names_a_method_counts() {
    let (world, layer) = world();
    let layer =
        layer.counts_as(|request| (request.uri.path() != "/items").then_some(Method::DELETE));
    let status = |path| send(&layer, to(path, bearer("POST", &world.primary)));
    assert_eq!(status("/search").status, 200);
    assert_eq!(status("/items").problem()["required_method"], "POST");
    assert_eq!(status("/other").problem()["required_method"], "DELETE");
}

//! Requests that may pass without a credential: optional mode and preflights.

use http::Request;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::Identity;
use tower_api_token::credentials::CredentialSource;

use crate::generated;
use crate::layer::support::{World, bearer, request, send};

const PREFLIGHT: [(&str, &str); 2] =
    [("origin", "https://app.example"), ("access-control-request-method", "DELETE")];

#[test]
fn optional_mode_lets_a_request_without_credential_through_unidentified() {
    let layer = World::new().layer().optional(true);
    for method in ["GET", "POST", "TRACE"] {
        let outcome = send(&layer, request(method, &[]));
        assert!(outcome.seen.expect("reached").identity.is_none());
    }
    // RFC 6750 section 3.1: "attempted using an unsupported authentication
    // method" is to lack a credential, and it may be another system's.
    for other in ["Digest x", "AWS4-HMAC-SHA256 Credential=a, Signature=b", "Basic YTpi"] {
        let other_scheme = send(&layer, request("GET", &[("authorization", other)]));
        assert!(other_scheme.seen.expect("reached").identity.is_none());
    }
}

#[test]
fn optional_mode_takes_nobody_for_anonymous_who_tried_to_present_a_token() {
    let world = World::new();
    let (token, header) = (&world.primary, http::HeaderName::from_static("x-api-key"));
    let layer = world.layer().optional(true);
    let preflight = world.layer().allow_preflight(true);
    for value in
        ["", token, &format!("TOK:{token}"), &format!("Bearer:{token}"), "Bearer\tx", "\u{fc} x"]
    {
        let lines = [&PREFLIGHT[..], &[("authorization", value)]].concat();
        let outcome = send(&layer, request("GET", &lines));
        assert_eq!(outcome.status, 400, "{value:?}");
        assert!(!send(&preflight, request("OPTIONS", &lines)).reached(), "{value:?}");
        // Without the option it is what it always was: no credential.
        assert_eq!(send(&world.layer(), request("GET", &lines)).status, 401, "{value:?}");
        // Where the header is none of ours, it is somebody else's business.
        let elsewhere = layer.clone().sources([CredentialSource::Header(header.clone())]);
        assert!(send(&elsewhere, request("GET", &lines)).reached(), "{value:?}");
    }
}

#[test]
fn optional_mode_still_refuses_bad_credentials() {
    let world = World::new();
    let layer = world.layer().optional(true);
    let unknown = generated::token("tat");
    for (request, status) in [
        (bearer("GET", &unknown), 401),
        (bearer("GET", &world.retired), 401),
        (bearer("GET", ""), 400),
        (bearer("POST", &world.primary), 403),
        (request("GET", &[("authorization", "Bearer a"), ("authorization", "Bearer a")]), 400),
    ] {
        assert_eq!(send(&layer, request).status, status);
    }
    assert_eq!(send(&layer, world.get()).identity().user().as_str(), "alice");
}

#[test]
fn optional_mode_refuses_a_malformed_override_as_ever() {
    let layer = World::new().layer().optional(true);
    for lines in [
        &[("x-http-method-override", "")][..],
        &[("x-http-method", "GET"), ("x-http-method", "GET")],
    ] {
        assert_eq!(send(&layer, request("GET", lines)).status, 400, "{lines:?}");
    }
}

#[test]
fn an_identity_from_elsewhere_does_not_survive_an_anonymous_pass() {
    let world = World::new();
    let identity = send(&world.layer(), world.get()).identity().clone();
    let layer = world.layer().optional(true);
    let mut request = request("GET", &[]);
    request.extensions_mut().insert(identity);
    assert!(send(&layer, request).seen.expect("reached").identity.is_none());
}

#[test]
fn a_preflight_needs_a_token_unless_the_host_says_otherwise() {
    let world = World::new();
    let preflight = || request("OPTIONS", &PREFLIGHT);
    assert_eq!(send(&world.layer(), preflight()).status, 401);
    let outcome = send(&world.layer().allow_preflight(true), preflight());
    assert!(outcome.seen.expect("reached").identity.is_none());
}

#[test]
fn only_a_true_preflight_passes() {
    let layer = World::new().layer().allow_preflight(true);
    let [origin, method] = PREFLIGHT;
    for request in [
        request("OPTIONS", &[]),
        request("OPTIONS", &[origin]),
        request("OPTIONS", &[method]),
        request("options", &PREFLIGHT),
        request("GET", &PREFLIGHT),
        request("DELETE", &PREFLIGHT),
        request("OPTIONS", &[origin, ("access_control_request_method", "GET")]),
        // No browser sends these with a preflight.
        request("OPTIONS", &[origin, method, ("authorization", "Digest a=b")]),
        request("OPTIONS", &[origin, method, ("authorization", "Basic YTpi")]),
        request("OPTIONS", &[origin, origin, method]),
        request("OPTIONS", &[origin, method, method]),
        request("OPTIONS", &[origin, ("access-control-request-method", "")]),
        request("OPTIONS", &[("origin", ""), method]),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(send(&layer, request).status, 401, "{shown}");
    }
}

#[test]
fn a_preflight_that_asks_for_another_method_is_none() {
    // A browser sends no such header with one, and a service behind the layer
    // that honours it would perform the other method for an anonymous request.
    let layer = World::new().layer().allow_preflight(true);
    for name in ["x-http-method-override", "x_http_method", "x-method-override"] {
        let lines = [&PREFLIGHT[..], &[(name, "DELETE")]].concat();
        let outcome = send(&layer, request("OPTIONS", &lines));
        assert!(!outcome.reached(), "{name}");
    }
}

#[test]
fn a_preflight_with_a_credential_is_judged_by_it() {
    let world = World::new();
    let layer = world.layer().allow_preflight(true);
    let preflight = |token: &str| {
        let credential = format!("Bearer {token}");
        let lines = [&PREFLIGHT[..], &[("authorization", credential.as_str())]].concat();
        request("OPTIONS", &lines)
    };
    assert_eq!(send(&layer, preflight(&world.primary)).status, 403);
    assert_eq!(send(&layer, preflight(&world.retired)).status, 401);
    assert_eq!(send(&layer, preflight("")).status, 400);
}

#[test]
fn what_an_anonymous_request_carries_of_other_schemes_is_still_hidden() {
    let world = World::new();
    let header = CredentialSource::Header(http::HeaderName::from_static("x-api-key"));
    for layer in [
        world.layer().sources([header.clone()]).optional(true),
        world.layer().sources([header]).allow_preflight(true),
    ] {
        let lines = [&PREFLIGHT[..], &[("authorization", "Bearer hunter2")]].concat();
        let seen = send(&layer, request("OPTIONS", &lines)).seen.expect("reached");
        assert!(!seen.shown.contains("hunter2"), "{}", seen.shown);
    }
}

#[tokio::test]
async fn an_identity_of_an_inner_layer_wins_over_an_outer_one() {
    let world = World::new();
    let inner = world.layer().layer(service_fn(async |request: Request<String>| {
        let identity = request.extensions().get::<Identity>().cloned();
        let mut response = http::Response::new(String::new());
        response.extensions_mut().insert(identity.expect("an identity"));
        Ok::<_, std::convert::Infallible>(response)
    }));
    let outer = world.layer().optional(true).layer(inner);
    let response = outer.oneshot(world.get()).await.unwrap();
    assert_eq!(response.extensions().get::<Identity>().unwrap().user().as_str(), "alice");
}

//! What the layer adds to the requests and responses that pass, and what a host
//! makes of denials.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tower_api_token::TokenAuthLayer;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::denial::DenialKind;

use crate::layer::support::{Outcome, World, bearer, request, send, send_to};

const API_KEY: CredentialSource = CredentialSource::Header(HeaderName::from_static("x-api-key"));

fn with_key(world: &World) -> TokenAuthLayer {
    world.layer().sources([CredentialSource::Bearer, CredentialSource::Basic, API_KEY])
}

/// What a client gets that sends its token in `X-Api-Key`, where the handler
/// sets these headers.
fn by_key(world: &World, set: &[(HeaderName, &'static str)]) -> Outcome {
    let set = set.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
    let mut headers = HeaderMap::new();
    headers.extend(set);
    let request = request("GET", &[("x-api-key", &world.primary)]);
    send_to(&with_key(world), request, headers)
}

#[test]
fn a_request_with_the_backup_is_told_so_unless_switched_off() {
    let world = World::new();
    let backup = || bearer("GET", &world.backup);
    assert_eq!(send(&world.layer(), backup()).all("api-token-slot"), ["backup"]);
    assert_eq!(send(&world.layer(), world.get()).header("api-token-slot"), None);
    let silent = world.layer().backup_notice(false);
    assert_eq!(send(&silent, backup()).header("api-token-slot"), None);
    assert_eq!(send(&silent, backup()).identity().token_id().as_u64(), 2);
}

#[test]
fn a_denied_request_with_the_backup_is_not_told_which_token_it_was() {
    let world = World::new();
    let outcome = send(&world.layer(), bearer("POST", &world.backup));
    assert_eq!(outcome.status, 403);
    assert_eq!(outcome.header("api-token-slot"), None);
}

#[test]
fn a_token_in_another_header_than_authorization_keeps_the_answer_out_of_shared_caches() {
    let outcome = by_key(&World::new(), &[]);
    assert_eq!(outcome.all("cache-control"), ["private"]);
    assert_eq!(outcome.all("vary"), ["x-api-key"]);
}

#[test]
fn what_the_handler_says_about_caches_stays() {
    let world = World::new();
    for own in ["no-store", "public, max-age=60"] {
        assert_eq!(by_key(&world, &[(CACHE_CONTROL, own)]).all("cache-control"), [own]);
    }
    for own in ["X-API-Key", "accept, x-api-key", "*"] {
        assert_eq!(by_key(&world, &[(VARY, own)]).all("vary"), [own]);
    }
    let outcome = by_key(&world, &[(VARY, "accept"), (CACHE_CONTROL, "no-store")]);
    assert_eq!(outcome.all("vary"), ["accept", "x-api-key"]);
    assert_eq!(by_key(&world, &[(VARY, "x-api-keys")]).all("vary"), ["x-api-keys", "x-api-key"]);
}

#[test]
fn a_token_in_authorization_adds_nothing_for_caches() {
    let world = World::new();
    let outcome = send(&with_key(&world), world.get());
    assert_eq!(outcome.header("cache-control"), None);
    assert_eq!(outcome.header("vary"), None);
}

#[test]
fn the_credential_is_hidden_from_debug_of_the_request_behind() {
    let world = World::new();
    let basic = format!("Basic {}", base64_of(&format!("alice:{}", world.primary)));
    for (name, value) in [
        ("authorization", format!("Bearer {}", world.primary)),
        ("authorization", basic),
        ("x-api-key", world.primary.clone()),
    ] {
        let outcome = send(&with_key(&world), request("GET", &[(name, &value)]));
        let seen = outcome.seen.expect("reached");
        assert!(seen.headers[name].is_sensitive());
        assert_eq!(seen.headers[name], value, "the handler may still read it");
        assert!(!seen.shown.contains(&value) && seen.shown.contains("Sensitive"), "{}", seen.shown);
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn the_credential_is_removed_where_the_host_says_so() {
    let world = World::new();
    let layer = with_key(&world).strip_credentials(true);
    let lines = [("x-other", "stays"), ("x-api-key", world.primary.as_str())];
    let seen = send(&layer, request("GET", &lines)).seen.expect("reached");
    assert_eq!(seen.headers.len(), 1);
    let seen = send(&layer, world.get()).seen.expect("reached");
    assert!(!seen.headers.contains_key(AUTHORIZATION));
    let anonymous = layer.optional(true);
    let other = request("GET", &[("authorization", "Digest x")]);
    let seen = send(&anonymous, other).seen.expect("reached");
    assert!(!seen.headers.contains_key(AUTHORIZATION), "what was not understood goes, too");
}

#[test]
fn authorization_stays_where_it_is_not_ours() {
    let world = World::new();
    let layer = world.layer().sources([API_KEY]).strip_credentials(true);
    let lines = [("x-api-key", world.primary.as_str()), ("authorization", "Digest x")];
    let seen = send(&layer, request("GET", &lines)).seen.expect("reached");
    assert_eq!(seen.headers[AUTHORIZATION], "Digest x");
    assert!(!seen.headers.contains_key("x-api-key"));
}

#[test]
fn the_denial_is_in_the_responses_extensions() {
    let world = World::new();
    let kind = |outcome: Outcome| outcome.denial.map(|denial| denial.kind());
    let layer = world.layer();
    assert_eq!(kind(send(&layer, world.get())), None);
    assert_eq!(kind(send(&layer, request("GET", &[]))), Some(DenialKind::MissingCredential));
    let own = world.layer().on_denied(|_, _| answer(StatusCode::IM_A_TEAPOT));
    let refused = send(&own, bearer("POST", &world.primary));
    assert_eq!(refused.status, 418);
    assert_eq!(kind(refused), Some(DenialKind::MethodNotGranted));
}

fn answer(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"own"));
    *response.status_mut() = status;
    response
}

#[test]
fn a_host_renders_denials_in_its_own_way() {
    let world = World::new();
    let layer = world.layer().on_denied(|denial, request| {
        assert!(request.headers[AUTHORIZATION].is_sensitive());
        let mut response = answer(denial.status());
        let path = HeaderValue::try_from(request.uri.path()).unwrap();
        response.headers_mut().insert("x-path", path);
        response
    });
    let outcome = send(&layer, bearer("POST", &world.primary));
    assert_eq!((outcome.status.as_u16(), &outcome.body[..]), (403, &b"own"[..]));
    assert_eq!(outcome.header("x-path"), Some("/items"));
    assert_eq!(outcome.header("www-authenticate"), None, "the host has said all there is");
}

#[test]
fn a_hosts_rendering_that_could_be_taken_for_an_approval_is_replaced() {
    let world = World::new();
    let denied = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        let layer = world.layer().on_denied(move |_, _| answer(status));
        send(&layer, bearer("POST", &world.primary))
    };
    for approval in [100, 101, 103, 199, 200, 204, 206, 299, 600, 999] {
        let outcome = denied(approval);
        assert_eq!(outcome.status, 403, "{approval}");
        assert_eq!(outcome.problem()["status"], 403);
    }
    for other in [300, 302, 307, 401, 404, 418, 503, 599] {
        assert_eq!(denied(other).status, other);
    }
}

#[test]
fn any_status_is_possible_under_a_dangerous_name() {
    let world = World::new();
    let layer = world.layer().dangerous_on_denied(|_, _| answer(StatusCode::OK));
    let outcome = send(&layer, bearer("POST", &world.primary));
    assert_eq!((outcome.status.as_u16(), &outcome.body[..]), (200, &b"own"[..]));
    assert!(!outcome.reached());
}

#[test]
fn no_cache_keeps_a_hosts_rendering_unless_the_host_says_so() {
    let world = World::new();
    let gone = || answer(StatusCode::NOT_FOUND);
    let silent = world.layer().on_denied(move |_, _| gone());
    let refused = send(&silent, bearer("POST", &world.primary));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let own = world.layer().on_denied(move |_, _| {
        let mut response = gone();
        response.headers_mut().insert("cache-control", HeaderValue::from_static("max-age=1"));
        response
    });
    let refused = send(&own, bearer("POST", &world.primary));
    assert_eq!(refused.header("cache-control"), Some("max-age=1"));
}

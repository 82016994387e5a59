//! Which answer each situation gets, and what stands in it.

use http::{HeaderName, StatusCode};
use tower_api_token::TokenAuthLayer;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::denial::{DenialKind, RequestFault};
use tower_api_token::store::StoreErrorKind;

use crate::generated;
use crate::layer::support::{Answers, Outcome, World, bearer, request, send};

/// The answer in its parts: status, problem type, `error` in the challenge.
fn assert_denied(outcome: &Outcome, status: u16, code: &str, error: Option<&str>) {
    assert!(!outcome.reached());
    assert_eq!(outcome.status, status);
    assert_eq!(outcome.header("content-type"), Some("application/problem+json"));
    assert_eq!(outcome.header("cache-control"), Some("no-store"));
    assert_eq!(outcome.header("allow"), None, "grants are not listed");
    let problem = outcome.problem();
    assert_eq!(problem["type"], format!("urn:problem-type:tower-api-token:{code}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["title"], outcome.status.canonical_reason().unwrap());
    assert_eq!(problem["detail"], outcome.denial.as_ref().expect("an extension").detail());
    match (error, outcome.header("www-authenticate")) {
        (Some(error), Some(challenge)) => {
            assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}");
            let description = format!("error_description={}", problem["detail"]);
            assert!(challenge.contains(&description), "{challenge}");
        }
        (None, challenge) => assert!(challenge.is_none_or(|it| !it.contains("error"))),
        (Some(_), None) => panic!("no challenge"),
    }
}

#[test]
fn no_browser_takes_the_body_of_a_denial_for_anything_else() {
    let world = World::new();
    let own = world.layer().on_denied(|denial, _| {
        let mut response = http::Response::new("<b>no</b>".into());
        *response.status_mut() = denial.status();
        response
    });
    for layer in [world.layer(), own] {
        for request in [
            request("GET", &[]),
            bearer("GET", "junk"),
            bearer("GET", "a b"),
            bearer("DELETE", &world.primary),
        ] {
            let denied = send(&layer, request);
            assert_eq!(denied.headers["x-content-type-options"], "nosniff", "{}", denied.status);
        }
    }
}

#[test]
fn no_credential_is_401_with_a_bare_challenge() {
    let outcome = send(&World::new().layer(), request("GET", &[]));
    assert_denied(&outcome, 401, "missing-credential", None);
    assert_eq!(outcome.all("www-authenticate"), ["Bearer realm=\"api\""]);
    assert_eq!(outcome.denial.unwrap().kind(), DenialKind::MissingCredential);
}

#[test]
fn a_scheme_that_is_not_enabled_is_no_credential() {
    let world = World::new();
    let basic = format!("Basic {}", world.primary);
    for value in ["Digest username=\"alice\"", "", " ", &world.primary, &basic, "TOK:x", "Bearerx"]
    {
        let outcome = send(&world.layer(), request("GET", &[("authorization", value)]));
        assert_denied(&outcome, 401, "missing-credential", None);
    }
}

#[test]
fn a_bad_credential_is_400_and_says_which_fault() {
    let world = World::new();
    let long = "a".repeat(513);
    let faults = [
        ("", RequestFault::EmptyCredential),
        (long.as_str(), RequestFault::LongCredential),
        ("two words", RequestFault::MalformedCredential),
    ];
    for (token, fault) in faults {
        let outcome = send(&world.layer(), bearer("GET", token));
        assert_denied(&outcome, 400, "invalid-request", Some("invalid_request"));
        assert_eq!(outcome.denial.unwrap().kind(), DenialKind::InvalidRequest(fault));
    }
}

#[test]
fn an_unknown_token_is_401_invalid_token() {
    let world = World::new();
    let outcome = send(&world.layer(), bearer("GET", &generated::token("tat")));
    assert_denied(&outcome, 401, "invalid-token", Some("invalid_token"));
    assert_eq!(outcome.denial.unwrap().kind(), DenialKind::InvalidToken);
}

#[test]
fn a_method_without_grant_is_403_and_names_the_method_needed_alone() {
    let world = World::new();
    let outcome = send(&world.layer(), bearer("DELETE", &world.primary));
    assert_denied(&outcome, 403, "method-not-granted", Some("insufficient_scope"));
    assert!(outcome.header("www-authenticate").unwrap().contains("scope=\"DELETE\""));
    assert_eq!(outcome.problem()["required_method"], "DELETE");
    let denial = outcome.denial.clone().unwrap();
    assert_eq!(denial.kind(), DenialKind::MethodNotGranted);
    assert_eq!(denial.required_method(), Some("DELETE"));
    let told = format!("{:?} {:?}", outcome.headers, outcome.body);
    assert!(!told.contains("GET") && !told.contains("PURGE") && !told.contains("alice"), "{told}");
}

#[test]
fn a_method_is_told_to_the_holder_of_a_live_token_only() {
    let world = World::new();
    let unknown = generated::token("tat");
    for token in [&world.pending, &world.retired, &unknown] {
        let outcome = send(&world.layer(), bearer("DELETE", token));
        assert_denied(&outcome, 401, "invalid-token", Some("invalid_token"));
    }
    assert_eq!(send(&world.layer(), request("DELETE", &[])).status, 401);
}

#[test]
fn a_live_token_of_a_user_without_any_method_is_403_for_every_method() {
    let world = World::new();
    let [alice, _] = world.accounts();
    let nothing =
        crate::layer::support::account("bob", &[]).primary(alice.primary().unwrap().clone());
    let store = crate::layer::support::Spy::new([nothing.build().unwrap()], Answers::Peek);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PURGE"] {
        let outcome = send(&TokenAuthLayer::new(store.clone()), bearer(method, &world.primary));
        assert_eq!(outcome.status, StatusCode::FORBIDDEN, "{method}");
    }
}

#[test]
fn a_method_longer_than_32_bytes_is_refused_and_never_repeated() {
    let world = World::new();
    let longest = send(&world.layer(), bearer(&"M".repeat(32), &world.primary));
    assert_eq!(longest.problem()["required_method"], "M".repeat(32));
    for length in [33, 5_000] {
        let outcome = send(&world.layer(), bearer(&"M".repeat(length), &world.primary));
        assert_denied(&outcome, 403, "method-not-granted", Some("insufficient_scope"));
        assert!(!format!("{outcome:?}").contains("MM"));
        assert!(!outcome.header("www-authenticate").unwrap().contains("scope="));
    }
}

#[test]
fn methods_are_exact_and_get_covers_head() {
    let world = World::new();
    for (method, status) in [
        ("GET", 200),
        ("HEAD", 200),
        ("PURGE", 200),
        ("get", 403),
        ("Purge", 403),
        ("GETX", 403),
        ("OPTIONS", 403),
        ("TRACE", 403),
        ("CONNECT", 403),
        ("PROPFIND", 403),
        ("*", 403),
        ("M!#$%&'*+-.^_`|~", 403),
    ] {
        for token in [&world.primary, &world.backup] {
            assert_eq!(send(&world.layer(), bearer(method, token)).status, status, "{method}");
        }
    }
}

#[test]
fn the_hosts_own_check_comes_last_and_refuses_with_403() {
    let world = World::new();
    let layer = world.layer().also_require(|identity, request| {
        assert_eq!(identity.user().as_str(), "alice");
        request.uri.path() != "/items"
    });
    let outcome = send(&layer, world.get());
    assert_denied(&outcome, 403, "privilege-missing", Some("insufficient_scope"));
    assert!(!outcome.header("www-authenticate").unwrap().contains("scope="));
    assert_eq!(outcome.denial.unwrap().kind(), DenialKind::PrivilegeMissing);

    let never_asked = world.layer().also_require(|_, _| panic!("asked for a refused request"));
    assert_eq!(send(&never_asked, bearer("POST", &world.primary)).status, 403);
    assert_eq!(send(&never_asked, bearer("GET", &world.retired)).status, 401);
    assert_eq!(send(&never_asked, request("GET", &[])).status, 401);
}

#[test]
fn of_several_checks_of_the_host_each_must_hold() {
    let world = World::new();
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let layer = world.layer().also_require(move |_, _| first);
        let layer = layer.also_require(move |_, _| second);
        let expected = if first && second { 200 } else { 403 };
        assert_eq!(send(&layer, world.get()).status, expected, "{first} {second}");
    }
}

#[test]
fn an_outage_is_503_with_a_time_to_come_back_and_no_challenge() {
    let world = World::new();
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Conflict] {
        let layer = TokenAuthLayer::new(world.store(Answers::Fail(kind)));
        let outcome = send(&layer, world.get());
        assert_denied(&outcome, 503, "store-unavailable", None);
        assert_eq!(outcome.all("www-authenticate"), Vec::<&str>::new());
        let seconds: u64 = outcome.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
        assert_eq!(outcome.denial.unwrap().kind(), DenialKind::StoreUnavailable);
    }
}

#[test]
fn an_unreadable_record_is_500_without_challenge_or_promise() {
    let world = World::new();
    let layer = TokenAuthLayer::new(world.store(Answers::Fail(StoreErrorKind::Corrupt)));
    let outcome = send(&layer, world.get());
    assert_denied(&outcome, 500, "internal-error", None);
    assert_eq!(outcome.all("www-authenticate"), Vec::<&str>::new());
    assert_eq!(outcome.header("retry-after"), None);
    assert_eq!(outcome.denial.unwrap().kind(), DenialKind::StoreCorrupt);
}

#[test]
fn each_enabled_scheme_has_its_challenge_on_a_line_of_its_own() {
    let world = World::new();
    let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    let all = [CredentialSource::Bearer, CredentialSource::Tok, CredentialSource::Basic, header];
    let layer = world.layer().sources(all).realm("billing").unwrap();
    let expected = [
        "Bearer realm=\"billing\"",
        "TOK realm=\"billing\"",
        "Basic realm=\"billing\", charset=\"UTF-8\"",
        "ApiKey realm=\"billing\", in=\"header\", name=\"x-api-key\"",
    ];
    assert_eq!(send(&layer, request("GET", &[])).all("www-authenticate"), expected);
    let refused = send(&layer, bearer("GET", &world.retired));
    for (challenge, bare) in refused.all("www-authenticate").iter().zip(expected) {
        assert!(challenge.starts_with(bare));
        let carries_error = challenge.contains("error=\"invalid_token\"");
        assert_eq!(carries_error, !bare.starts_with("Basic"), "{challenge}");
    }
}

#[test]
fn a_realm_that_could_not_be_quoted_is_refused() {
    for bad in ["", "a\"b", "a\\b", "a\r\nb", "é"] {
        assert!(World::new().layer().realm(bad).is_err(), "{bad:?}");
    }
}

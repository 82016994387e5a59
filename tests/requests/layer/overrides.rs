//! Headers that ask for another method than the request's.

use http::HeaderValue;
use tower_api_token::denial::{DenialKind, RequestFault};

use crate::layer::support::{Outcome, World, request, send};

/// What carol, who has GET, POST and DELETE, gets for a POST with these lines.
fn post(lines: &[(&str, &str)]) -> Outcome {
    let world = World::new();
    let credential = format!("Bearer {}", world.carol);
    let lines = [&[("authorization", credential.as_str())], lines].concat();
    send(&world.layer(), request("POST", &lines))
}

fn fault(outcome: &Outcome) -> RequestFault {
    match outcome.denial.as_ref().expect("a denial").kind() {
        DenialKind::InvalidRequest(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_method_asked_for_must_be_granted_too() {
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X_HTTP_Method_Override",
        "x.http.method",
        "X_Method-Override",
    ] {
        for granted in ["DELETE", "GET", "HEAD", "POST"] {
            assert_eq!(post(&[(name, granted)]).status, 200, "{name}: {granted}");
        }
        for refused in ["PATCH", "delete", "TRACE", "CONNECT", "*"] {
            let outcome = post(&[(name, refused)]);
            assert_eq!(outcome.status, 403, "{name}: {refused}");
            assert_eq!(outcome.problem()["required_method"], refused);
        }
    }
}

#[test]
fn the_requests_own_method_must_be_granted_all_the_same() {
    let world = World::new();
    let credential = format!("Bearer {}", world.primary);
    let lines = [("authorization", credential.as_str()), ("x-http-method-override", "GET")];
    let outcome = send(&world.layer(), request("POST", &lines));
    assert_eq!(outcome.problem()["required_method"], "POST");
}

#[test]
fn a_long_method_asked_for_is_refused_and_never_repeated() {
    let long = "M".repeat(33);
    let outcome = post(&[("x-http-method", &long)]);
    assert_eq!(outcome.status, 403);
    assert!(!format!("{outcome:?}").contains(&long));
}

#[test]
fn one_that_is_empty_or_no_method_is_400() {
    for bad in ["", " ", "GET, DELETE", "GE(T", "\"GET\"", "GET/1"] {
        let outcome = post(&[("x-http-method-override", bad)]);
        assert_eq!(outcome.status, 400, "{bad:?}");
        assert_eq!(fault(&outcome), RequestFault::MalformedOverride);
    }
    let world = World::new();
    let mut request = world.get();
    let value = HeaderValue::from_bytes(b"G\xc3\xa9T").unwrap();
    request.headers_mut().insert("x-method-override", value);
    assert_eq!(fault(&send(&world.layer(), request)), RequestFault::MalformedOverride);
}

#[test]
fn one_that_is_repeated_is_400_in_any_spelling() {
    for lines in [
        [("x-http-method", "GET"), ("x-http-method", "GET")],
        [("x-http-method", "GET"), ("x_http_method", "DELETE")],
        [("x-http-method-override", "DELETE"), ("x.http.method.override", "DELETE")],
    ] {
        assert_eq!(fault(&post(&lines)), RequestFault::RepeatedOverride, "{lines:?}");
    }
}

#[test]
fn several_names_are_checked_each() {
    let granted = ("x-http-method", "GET");
    assert_eq!(post(&[granted, ("x-method-override", "DELETE")]).status, 200);
    for refused in [("x-method-override", "PATCH"), ("x-http-method-override", "PATCH")] {
        assert_eq!(post(&[granted, refused]).problem()["required_method"], "PATCH");
        assert_eq!(post(&[refused, granted]).problem()["required_method"], "PATCH");
    }
}

#[test]
fn names_that_only_look_alike_are_no_overrides() {
    for name in ["x-http-methods", "x-http-methox", "_method", "http-method", "x-xhttp-method"] {
        assert_eq!(post(&[(name, "PATCH")]).status, 200, "{name}");
    }
}

#[test]
fn the_handler_still_sees_the_requests_own_method() {
    let outcome = post(&[("x-http-method-override", "DELETE")]);
    assert!(outcome.seen.expect("reached").shown.contains("method: POST"));
}

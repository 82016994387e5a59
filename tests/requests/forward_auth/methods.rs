//! A method in doubt: 403 to the holder of a live token, 401 to everyone else.

use http::Request;
use http::request::Builder;
use tower_api_token::forward_auth::Profile;

use crate::forward_auth::world::*;

/// The headers that name a method to some profile, and other spellings of them.
const HEADERS: [&str; 5] = [
    "x-original-method",
    "x-forwarded-method",
    "method",
    "x_original_method",
    "x_forwarded_method",
];

/// The header that the profile reads; the request line is none.
fn own(profile: Profile) -> Option<&'static str> {
    match profile {
        Profile::OriginalMethod => Some("x-original-method"),
        Profile::ForwardedMethod => Some("x-forwarded-method"),
        Profile::MethodHeader => Some("method"),
        _ => None,
    }
}

/// The headers that it does not read.
fn others(profile: Profile) -> impl Iterator<Item = &'static str> {
    HEADERS.into_iter().filter(move |name| own(profile) != Some(name))
}

/// What a gateway, or its client, may have made of the method, each with its
/// description.
fn doubtful(profile: Profile) -> Vec<(String, Builder)> {
    let get = || stating(profile, "GET");
    let mut requests = vec![
        ("lower case".to_owned(), stating(profile, "get")),
        ("lower case that is granted".to_owned(), stating(profile, "purge")),
    ];
    for name in others(profile) {
        for value in ["POST", "", "GET, POST", "get"] {
            requests.push((format!("{name}: {value}"), get().header(name, value)));
        }
        requests.push((format!("{name} twice"), get().header(name, "GET").header(name, "GET")));
    }
    let Some(own) = own(profile) else { return requests };
    requests.extend([
        ("missing".to_owned(), Request::builder()),
        ("empty".to_owned(), stating(profile, "")),
        ("repeated".to_owned(), get().header(own, "POST")),
        ("repeated alike".to_owned(), get().header(own, "GET")),
        ("a list".to_owned(), stating(profile, "GET, GET")),
        ("no method".to_owned(), stating(profile, "GET POST")),
        ("not ASCII".to_owned(), Request::builder().header(own, &b"G\xc9T"[..])),
    ]);
    requests
}

#[tokio::test]
async fn a_method_in_doubt_is_refused_after_the_token() {
    let mut seen = 0;
    let credentials =
        [(Some(ALICE), 403), (Some(ALICE_BACKUP), 403), (Some("junk"), 401), (None, 401)];
    for profile in PROFILES {
        for (token, status) in credentials {
            for (doubt, mut request) in doubtful(profile) {
                if let Some(token) = token {
                    request = request.header("authorization", bearer(token));
                }
                let request = request.body(String::new()).unwrap();
                let answer = ask(&verify(store(), profile), request).await;
                assert_eq!(answer.status, status, "{profile:?} {doubt} {token:?} {answer:?}");
                answer.denies(status);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4 * (3 * (2 + 4 * 5 + 7) + 2 + 5 * 5), "no combination may go missing");
}

#[tokio::test]
async fn a_forged_header_of_another_profile_never_widens_a_right() {
    for profile in PROFILES {
        for name in others(profile) {
            for token in [ALICE, CAROL] {
                for lines in [&["GET"][..], &["GET", "GET"], &["GET", "DELETE"], &["DELETE", "GET"]]
                {
                    let mut request = stating(profile, "DELETE");
                    for line in lines {
                        request = request.header(name, *line);
                    }
                    let request = request.header("authorization", bearer(token));
                    let request = request.body(String::new()).unwrap();
                    ask(&verify(store(), profile), request).await.denies(403);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_denial_does_not_repeat_the_method() {
    for method in ["DELETE", "MAKESURETHISISNOTREPEATED", &"A".repeat(1000)] {
        let answer = ask_as(Profile::OriginalMethod, ALICE, method).await;
        answer.denies(403);
        assert!(!format!("{answer:?}").contains(method), "{answer:?}");
    }
}

#[tokio::test]
async fn what_can_never_be_granted_is_refused() {
    for profile in PROFILES {
        for method in ["TRACE", "CONNECT"] {
            ask_as(profile, CAROL, method).await.denies(403);
        }
    }
}

#[tokio::test]
async fn an_override_never_widens_and_must_be_granted_too() {
    for profile in PROFILES {
        let request = |stated, override_to| {
            let request = stating(profile, stated).header("authorization", bearer(ALICE));
            request.header("x-http-method-override", override_to).body(String::new()).unwrap()
        };
        let verify = verify(store(), profile);
        ask(&verify, request("POST", "GET")).await.denies(403);
        ask(&verify, request("GET", "DELETE")).await.denies(403);
        ask(&verify, request("GET", "GET")).await.grants("alice", "primary");
    }
}

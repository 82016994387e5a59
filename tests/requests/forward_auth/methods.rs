//! A method in doubt: 403 to the holder of a live token, 401 to everyone else.

use http::Request;
use http::request::Builder;
use tower_api_token::forward_auth::Profile;

use crate::forward_auth::world::*;

/// What a gateway, or its client, may have made of the method's source.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    Missing,
    Empty,
    Repeated,
    RepeatedAlike,
    List,
    LowerCase,
    GrantedLowerCase,
    NoMethod,
    NotAscii,
    Contradicted,
    ContradictedWithUnderscores,
}

const DOUBTS: [Doubt; 11] = [
    Doubt::Missing,
    Doubt::Empty,
    Doubt::Repeated,
    Doubt::RepeatedAlike,
    Doubt::List,
    Doubt::LowerCase,
    Doubt::GrantedLowerCase,
    Doubt::NoMethod,
    Doubt::NotAscii,
    Doubt::Contradicted,
    Doubt::ContradictedWithUnderscores,
];

fn names(profile: Profile) -> (&'static str, &'static str, &'static str) {
    match profile {
        Profile::ForwardedMethod => {
            ("x-forwarded-method", "x-original-method", "x_original_method")
        }
        _ => ("x-original-method", "x-forwarded-method", "x_forwarded_method"),
    }
}

/// The request with that doubt in it; `None` where the profile's source cannot
/// be in that state.
fn doubtful(profile: Profile, doubt: Doubt) -> Option<Builder> {
    let (own, other, spelled) = names(profile);
    let get = || stating(profile, "GET");
    if matches!(doubt, Doubt::Contradicted) {
        return Some(get().header(other, "POST"));
    } else if matches!(doubt, Doubt::ContradictedWithUnderscores) {
        return Some(get().header(spelled, "POST"));
    }
    if profile == Profile::OwnRequestLine {
        return match doubt {
            Doubt::LowerCase => Some(Request::builder().method("get")),
            Doubt::GrantedLowerCase => Some(Request::builder().method("purge")),
            Doubt::Missing | Doubt::Empty => None,
            Doubt::Repeated => Some(get().header(own, "GET").header(own, "POST")),
            Doubt::RepeatedAlike => None,
            _ => Some(get().header(own, "GET, POST")),
        };
    }
    Some(match doubt {
        Doubt::Missing => Request::builder(),
        Doubt::Empty => stating(profile, ""),
        Doubt::Repeated => get().header(own, "POST"),
        Doubt::RepeatedAlike => get().header(own, "GET"),
        Doubt::List => stating(profile, "GET, GET"),
        Doubt::LowerCase => stating(profile, "get"),
        Doubt::GrantedLowerCase => stating(profile, "purge"),
        Doubt::NoMethod => stating(profile, "GET POST"),
        _ => Request::builder().header(own, &b"G\xc9T"[..]),
    })
}

#[tokio::test]
async fn a_method_in_doubt_is_refused_after_the_token() {
    let mut seen = 0;
    for profile in PROFILES {
        for doubt in DOUBTS {
            let credentials =
                [(Some(ALICE), 403), (Some(ALICE_BACKUP), 403), (Some("junk"), 401), (None, 401)];
            for (token, status) in credentials {
                let Some(mut request) = doubtful(profile, doubt) else { continue };
                if let Some(token) = token {
                    request = request.header("authorization", bearer(token));
                }
                let request = request.body(String::new()).unwrap();
                let answer = ask(&verify(store(), profile), request).await;
                assert_eq!(answer.status, status, "{profile:?} {doubt:?} {token:?} {answer:?}");
                answer.denies(status);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4 * (3 * 11 - 3), "no combination may go missing");
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

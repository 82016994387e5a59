//! Every denial, whatever content type the request claims to have: no gateway
//! may ever take one for an approval.

use http::HeaderValue;
use http::request::Builder;
use tower_api_token::forward_auth::Profile;

use crate::forward_auth::store::Down;
use crate::forward_auth::world::*;

/// Headers that make other services answer in the gRPC way, with status 200.
const GRPC: [&[(&str, &str)]; 5] = [
    &[],
    &[("content-type", "application/grpc")],
    &[("content-type", "application/grpc-web")],
    &[("accept", "application/grpc")],
    &[("content-type", "application/grpc+proto"), ("te", "trailers")],
];

fn denied_requests(profile: Profile) -> Vec<(Builder, u16)> {
    let live = || stating(profile, "POST").header("authorization", bearer(ALICE));
    let post = || stating(profile, "POST");
    let with =
        |value: &[u8]| post().header("authorization", HeaderValue::from_bytes(value).unwrap());
    vec![
        (post(), 401),
        (with(b"Bearer junk"), 401),
        (with(b"Basic YTpi"), 401),
        (with(b"Bearer"), 400),
        (with(format!("Bearer {ALICE}, Bearer {CAROL}").as_bytes()), 400),
        (with(format!("Bearer {ALICE},{CAROL}").as_bytes()), 400),
        (with(format!("Bearer {ALICE} x").as_bytes()), 400),
        (with(b"Bearer t\xc3\xb6ken"), 400),
        (with(format!("Bearer {}", "a".repeat(513)).as_bytes()), 400),
        (live().header("authorization", bearer(ALICE)), 400),
        (live().header("authorization", bearer(CAROL)), 400),
        (live(), 403),
        (post().header("authorization", bearer(BOB)), 403),
        (live().header("x-http-method-override", "DELETE"), 403),
    ]
}

/// The profiles of gateways that know no 400.
const PLAIN: [Profile; 2] = [Profile::OriginalMethod, Profile::MethodHeader];

#[tokio::test]
async fn no_denial_is_an_approval_whatever_the_content_type() {
    for profile in PROFILES {
        for grpc in GRPC {
            for (mut request, status) in denied_requests(profile) {
                for (name, value) in grpc {
                    request = request.header(*name, *value);
                }
                let request = request.body(String::new()).unwrap();
                let answer = ask(&verify(store(), profile), request).await;
                // A plain `auth_request` makes 500 of 400.
                let plain = status == 400 && PLAIN.contains(&profile);
                answer.denies(if plain { 401 } else { status });
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_knows_no_400_is_told_that_a_malformed_credential_is_no_token() {
    for profile in PLAIN {
        no_400_is_told(profile).await;
    }
}

async fn no_400_is_told(profile: Profile) {
    for (request, status) in
        denied_requests(profile).into_iter().filter(|(_, status)| *status == 400)
    {
        let told = ask(&verify(store(), profile), request.body(String::new()).unwrap()).await;
        let junk = stating(profile, "POST").header("authorization", "Bearer junk");
        let junk = ask(&verify(store(), profile), junk.body(String::new()).unwrap()).await;
        assert_eq!((status, told.status), (400, junk.status));
        let challenges = |answer: &Answer| {
            let lines = answer.headers.get_all("www-authenticate").iter();
            lines.map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(challenges(&told), challenges(&junk));
        assert!(challenges(&told)[0].contains("error=\"invalid_token\""));
    }
    for name in ["x-http-method-override", "x-http-method"] {
        let request = stating(profile, "GET").header("authorization", bearer(ALICE));
        let request = request.header(name, "not a method").body(String::new()).unwrap();
        ask(&verify(store(), profile), request).await.denies(401);
    }
}

#[tokio::test]
async fn no_outage_is_an_approval_whatever_the_content_type() {
    for profile in PROFILES {
        for grpc in GRPC {
            let mut request = stating(profile, "GET").header("authorization", bearer(ALICE));
            for (name, value) in grpc {
                request = request.header(*name, *value);
            }
            let answer = ask(&verify(Down, profile), request.body(String::new()).unwrap()).await;
            answer.denies(503);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let ask_by = |method: &'static str| async move {
        let request = stating(Profile::OriginalMethod, "GET").method(method).body(String::new());
        ask(&verify(store(), Profile::OriginalMethod), request.unwrap()).await
    };
    let (get, head) = (ask_by("GET").await, ask_by("HEAD").await);
    get.denies(401);
    head.denies(401);
    assert_eq!(head.body, "");
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
}

#[tokio::test]
async fn the_realm_is_the_hosts() {
    let verify = verify(store(), Profile::OriginalMethod).realm("billing").unwrap();
    let request = stating(Profile::OriginalMethod, "GET").body(String::new()).unwrap();
    let answer = ask(&verify, request).await;
    let first = answer.headers.get("www-authenticate").unwrap();
    assert_eq!(first, "Bearer realm=\"billing\"");
}

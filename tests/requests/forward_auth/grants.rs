//! What passes, and how the gateway is told who.

use http::{HeaderName, Request};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::forward_auth::{ForwardAuth, IdentityHeaders, Profile};
use tower_api_token::store::MemoryStore;

use crate::forward_auth::world::*;

#[test]
fn the_service_can_be_mounted_anywhere() {
    fn is_shareable<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    fn is_sendable<T: Send + 'static>() {}
    is_shareable::<ForwardAuth>();
    is_sendable::<tower_api_token::forward_auth::ForwardAuthFuture>();
    is_sendable::<http_body_util::Full<bytes::Bytes>>();
}

#[tokio::test]
async fn both_slots_pass_alike_in_every_profile() {
    for profile in PROFILES {
        ask_as(profile, ALICE, "GET").await.grants("alice", "primary");
        ask_as(profile, ALICE_BACKUP, "GET").await.grants("alice", "backup");
        ask_as(profile, CAROL, "DELETE").await.grants("carol", "primary");
        ask_as(profile, ALICE, "HEAD").await.grants("alice", "primary");
        ask_as(profile, ALICE, "PURGE").await.grants("alice", "primary");
    }
}

#[tokio::test]
async fn the_gateways_own_method_plays_no_part_where_a_header_names_the_clients() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for profile in [Profile::OriginalMethod, Profile::ForwardedMethod] {
            let ask_with = |stated| {
                let request = stating(profile, stated).method(method);
                request.header("authorization", bearer(ALICE)).body(String::new()).unwrap()
            };
            ask(&verify(store(), profile), ask_with("GET")).await.grants("alice", "primary");
            ask(&verify(store(), profile), ask_with("POST")).await.denies(403);
        }
    }
}

#[tokio::test]
async fn path_query_and_body_play_no_part() {
    for uri in ["/", "/auth/verify", "/a/../b//c", "/?user=carol&method=GET", "*"] {
        let request = stating(Profile::OriginalMethod, "GET").uri(uri);
        let request = request.header("authorization", bearer(ALICE)).body("x".repeat(1 << 20));
        let verify = verify(store(), Profile::OriginalMethod);
        ask(&verify, request.unwrap()).await.grants("alice", "primary");
    }
}

#[tokio::test]
async fn a_users_name_is_told_as_one_plain_word() {
    let names = [
        ("al\u{ed}ce", "al%C3%ADce"),
        ("a,b", "a%2Cb"),
        ("100%", "100%25"),
        ("%2C", "%252C"),
        ("alice@example.com", "alice@example.com"),
        ("a b", "a%20b"),
        ("\u{1f600}", "%F0%9F%98%80"),
    ];
    for (name, told) in names {
        let store = MemoryStore::new();
        insert(&store, name, &["GET"], &[ALICE]);
        let request = stating(Profile::OriginalMethod, "GET");
        let request = request.header("authorization", bearer(ALICE)).body(String::new());
        let answer = ask(&verify(store, Profile::OriginalMethod), request.unwrap()).await;
        answer.grants(told, "primary");
    }
}

#[tokio::test]
async fn the_identity_headers_may_have_other_names() {
    let [user, slot] = ["x-caller", "x-caller-slot"].map(HeaderName::from_static);
    let headers = IdentityHeaders::new(user, slot).unwrap();
    let verify = verify(store(), Profile::OriginalMethod).identity_headers(headers);
    let request = stating(Profile::OriginalMethod, "GET").header("authorization", bearer(ALICE));
    let answer = ask(&verify, request.body(String::new()).unwrap()).await;
    assert_eq!(answer.header("x-caller"), Some("alice"));
    assert_eq!(answer.header("x-caller-slot"), Some("primary"));
    assert_eq!(answer.header("x-auth-user"), None);
}

#[tokio::test]
async fn nobody_passes_without_a_name() {
    let authenticator = Authenticator::new(store()).optional(true);
    let verify = ForwardAuth::with_authenticator(authenticator, Profile::OwnRequestLine);
    let anonymous = Request::get("/").body(String::new()).unwrap();
    ask(&verify, anonymous).await.denies(401);
    let preflight = Request::options("/").header("origin", "http://a");
    let preflight = preflight.header("access-control-request-method", "GET").body(String::new());
    ask(&verify, preflight.unwrap()).await.denies(401);
}

#[tokio::test]
async fn the_hosts_own_check_is_asked_of_the_gateways_request() {
    let authenticator = Authenticator::new(store()).scheme(scheme()).also_require(|_, request| {
        request.headers.get("x-original-uri").is_some_and(|uri| !uri.is_empty())
    });
    let verify = ForwardAuth::with_authenticator(authenticator, Profile::OriginalMethod);
    let request = || stating(Profile::OriginalMethod, "GET").header("authorization", bearer(ALICE));
    ask(&verify, request().body(String::new()).unwrap()).await.denies(403);
    let named = request().header("x-original-uri", "/items").body(String::new()).unwrap();
    ask(&verify, named).await.grants("alice", "primary");
}

/// A request of the gateway about one with these headers.
fn about(profile: Profile, method: &str, lines: &[(&str, &str)]) -> Request<String> {
    let request = lines
        .iter()
        .fold(stating(profile, method), |request, (name, value)| request.header(*name, *value));
    request.body(String::new()).unwrap()
}

#[tokio::test]
async fn a_preflight_passes_without_a_user_where_the_host_says_so_and_nothing_else_does() {
    let preflight = [("origin", "http://a"), ("access-control-request-method", "PUT")];
    let authenticator = Authenticator::new(store()).scheme(scheme());
    for profile in PROFILES {
        let verify = |allow| {
            let authenticator = authenticator.clone().allow_preflight(allow);
            ForwardAuth::with_authenticator(authenticator, profile)
        };
        let request = || about(profile, "OPTIONS", &preflight);
        ask(&verify(false), request()).await.denies(401);
        let passed = ask(&verify(true), request()).await;
        assert_eq!(passed.status, 200);
        assert_eq!(passed.header("x-auth-slot"), Some("preflight"));
        assert_eq!(passed.header("x-auth-user"), None);
        assert_eq!(passed.header("content-length"), Some("0"));
        assert_eq!(passed.header("cache-control"), Some("no-store"));
        let [origin, asked] = preflight;
        let live = bearer(ALICE);
        for (method, lines, status) in [
            ("GET", &preflight[..], 401),
            ("options", &preflight, 401),
            ("OPTIONS", &[], 401),
            ("OPTIONS", &[origin], 401),
            ("OPTIONS", &[asked], 401),
            ("OPTIONS", &[origin, origin, asked], 401),
            ("OPTIONS", &[origin, asked, asked], 401),
            ("OPTIONS", &[origin, ("access-control-request-method", "a b")], 401),
            ("OPTIONS", &[origin, asked, ("authorization", "Basic YTpi")], 401),
            ("OPTIONS", &[origin, asked, ("authorization", "")], 401),
            ("OPTIONS", &[origin, asked, ("authorization", "Bearer junk")], 401),
            ("OPTIONS", &[origin, asked, ("authorization", &live)], 403),
            ("OPTIONS", &[origin, asked, ("x-http-method-override", "PUT")], 401),
        ] {
            let answer = ask(&verify(true), about(profile, method, lines)).await;
            answer.denies(status);
        }
    }
    // The method is read where the profile says, and nowhere else.
    let verify = authenticator.allow_preflight(true);
    let verify = ForwardAuth::with_authenticator(verify, Profile::OriginalMethod);
    let bare = preflight
        .iter()
        .fold(Request::options("/"), |request, (name, value)| request.header(*name, *value));
    ask(&verify, bare.body(String::new()).unwrap()).await.denies(401);
}

//! The adversarial cases of the area "forward", by their ids, over a real
//! connection with the service mounted in a router. Those about whole gateways
//! stand with the tests of the gateways. `tests/adversarial` explains the ids.

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tower_api_token::forward_auth::Profile;

use crate::forward_auth::wire::talk;
use crate::forward_auth::world::*;

/// Sends a GET to `target` with these header lines.
async fn get(target: &str, lines: &[&str]) -> Answer {
    send(&format!("GET {target} HTTP/1.1"), lines).await
}

async fn send(request_line: &str, lines: &[&str]) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let verify = verify(store(), Profile::OriginalMethod);
    let router: Router = Router::new().route_service("/auth/verify", verify);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut request = format!("{request_line}\r\nHost: t\r\nConnection: close\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    let request: Vec<u8> = format!("{request}\r\n").chars().map(|byte| byte as u8).collect();
    parse(&talk(address, &request).await)
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        if name != "connection" {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }
    Answer { status, headers, body: body.to_owned() }
}

const VERIFY: &str = "/auth/verify";
const METHOD_GET: &str = "X-Original-Method: GET";
const METHOD_POST: &str = "X-Original-Method: POST";
const ITEMS: &str = "X-Original-URI: /items";

fn authorization(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[tokio::test]
async fn forward_001_alice_get() {
    get(VERIFY, &[&authorization(ALICE), METHOD_GET, ITEMS]).await.grants("alice", "primary");
}

#[tokio::test]
async fn forward_003_carol_delete() {
    let delete = "X-Original-Method: DELETE";
    get(VERIFY, &[&authorization(CAROL), delete, ITEMS]).await.grants("carol", "primary");
}

#[tokio::test]
async fn forward_004_alice_post() {
    get(VERIFY, &[&authorization(ALICE), METHOD_POST, ITEMS]).await.denies(403);
}

#[tokio::test]
async fn forward_005_bob_may_nothing() {
    get(VERIFY, &[&authorization(BOB), METHOD_GET, ITEMS]).await.denies(403);
}

#[tokio::test]
async fn forward_006_no_credentials() {
    let answer = get(VERIFY, &[METHOD_GET, ITEMS]).await;
    answer.denies(401);
    assert!(!format!("{answer:?}").contains("error="));
}

#[tokio::test]
async fn forward_007_unknown_token() {
    get(VERIFY, &["Authorization: Bearer junk", METHOD_GET, ITEMS]).await.denies(401);
}

#[tokio::test]
async fn forward_011_original_method_empty() {
    get(VERIFY, &[&authorization(ALICE), "X-Original-Method:"]).await.denies(403);
}

#[tokio::test]
async fn forward_012_original_method_twice() {
    let lines = [&authorization(ALICE), METHOD_POST, ITEMS, METHOD_GET, ITEMS];
    get(VERIFY, &lines).await.denies(403);
}

#[tokio::test]
async fn forward_014_original_method_lower_case() {
    get(VERIFY, &[&authorization(ALICE), "X-Original-Method: get", ITEMS]).await.denies(403);
}

#[tokio::test]
async fn forward_015_original_method_with_space() {
    get(VERIFY, &[&authorization(ALICE), "X-Original-Method: GET POST"]).await.denies(403);
}

#[tokio::test]
async fn forward_016_original_method_not_ascii() {
    get(VERIFY, &[&authorization(ALICE), "X-Original-Method: G\u{c9}T"]).await.denies(403);
}

#[tokio::test]
async fn forward_020_other_profiles_header_beside_ours() {
    let lines = [&authorization(ALICE), METHOD_GET, ITEMS, "X-Forwarded-Method: POST"];
    get(VERIFY, &lines).await.denies(403);
}

#[tokio::test]
async fn forward_021_only_the_other_profiles_header() {
    get(VERIFY, &[&authorization(ALICE), "X-Forwarded-Method: GET"]).await.denies(403);
}

#[tokio::test]
async fn forward_024_query_tries_to_set_the_method() {
    let target = "/auth/verify?method=GET&X-Original-Method=GET";
    get(target, &[&authorization(ALICE), METHOD_POST, ITEMS]).await.denies(403);
}

#[tokio::test]
async fn forward_025_query_tries_to_switch_off() {
    let target = "/auth/verify?skip=1&optional=true&public=1&allow=*";
    get(target, &["Authorization: Bearer junk", METHOD_GET, ITEMS]).await.denies(401);
}

#[tokio::test]
async fn forward_026_query_tries_to_name_a_user() {
    let answer = get("/auth/verify?user=carol", &[&authorization(ALICE), METHOD_GET, ITEMS]).await;
    answer.grants("alice", "primary");
}

#[tokio::test]
async fn forward_027_own_method_differs() {
    let lines = [&authorization(ALICE), METHOD_GET, ITEMS, "Content-Length: 0"];
    send("POST /auth/verify HTTP/1.1", &lines).await.grants("alice", "primary");
}

#[tokio::test]
async fn forward_029_spoofed_identity() {
    let lines =
        [&authorization(ALICE), METHOD_GET, ITEMS, "X-Auth-User: admin", "X-Auth-Slot: root"];
    get(VERIFY, &lines).await.grants("alice", "primary");
}

#[tokio::test]
async fn forward_031_traversal_in_the_original_uri() {
    let uri = "X-Original-URI: /public/health/../../items";
    get(VERIFY, &[METHOD_GET, uri]).await.denies(401);
}

#[tokio::test]
async fn forward_032_forwarded_prefix() {
    get(VERIFY, &[METHOD_GET, ITEMS, "X-Forwarded-Prefix: /public"]).await.denies(401);
}

#[tokio::test]
async fn forward_033_health_checks_user_agent() {
    get(VERIFY, &[METHOD_GET, ITEMS, "User-Agent: kube-probe/1.30"]).await.denies(401);
}

#[tokio::test]
async fn forward_035_legacy_credential() {
    let legacy = format!("Authorization: TOK:{ALICE}");
    get(VERIFY, &[&legacy, METHOD_GET, ITEMS]).await.grants("alice", "primary");
}

#[tokio::test]
async fn forward_036_own_header() {
    let key = format!("X-Api-Key: {ALICE}");
    get(VERIFY, &[&key, METHOD_GET, ITEMS]).await.grants("alice", "primary");
}

#[tokio::test]
async fn forward_038_trailing_slash_is_another_path() {
    let answer = get("/auth/verify/", &[&authorization(ALICE), METHOD_GET, ITEMS]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-auth-user"), None);
}

#[tokio::test]
async fn forward_050_credential_hidden_by_the_client() {
    // What a gateway sends on when its client said `Connection: Authorization`.
    get(VERIFY, &["X-Forwarded-Method: GET", METHOD_GET]).await.denies(401);
}

#[tokio::test]
async fn forward_057_own_header_twice_or_joined() {
    let (key, joined) = (format!("X-Api-Key: {ALICE}"), format!("X-Api-Key: {ALICE},{ALICE}"));
    get(VERIFY, &[&key, &key, METHOD_GET]).await.denies(401);
    get(VERIFY, &[&joined, METHOD_GET]).await.denies(401);
}

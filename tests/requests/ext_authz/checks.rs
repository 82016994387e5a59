use std::sync::Arc;

use async_trait::async_trait;
use prost::Message;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{MemoryStore, StoreError, StoreErrorKind, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenDigest, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

use crate::ext_authz::envoy::*;

const PRIMARY: &str = "rest_P0000000000000000000000000000000000000000";
const BACKUP: &str = "rest_B0000000000000000000000000000000000000000";
const LIVE: (&str, &str) =
    ("authorization", "Bearer rest_P0000000000000000000000000000000000000000");

fn scheme() -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true)
}

/// `user` may GET, with two tokens.
fn store(user: &str) -> MemoryStore {
    let record = |id, token| {
        let digest = scheme().digest(&Token::parse(token).unwrap());
        let made_at = Timestamp::default();
        TokenRecord::new(TokenId::from_u64(id), digest, TokenHint::unknown(), made_at)
    };
    let account = Account::builder(UserId::new(user).unwrap());
    let account = account.methods(MethodSet::new(["GET", "purge"]).unwrap());
    let account = account.primary(record(1, PRIMARY)).backup(record(2, BACKUP));
    let store = MemoryStore::new();
    store.insert(account.build().unwrap()).unwrap();
    store
}

fn authenticator(store: impl TokenStore) -> Authenticator {
    let header = CredentialSource::Header(http::HeaderName::from_static("x-api-key"));
    Authenticator::new(store).scheme(scheme()).sources([CredentialSource::Bearer, header])
}

fn service() -> ExtAuthz {
    ExtAuthz::with_authenticator(authenticator(store("alice")))
}

#[track_caller]
fn grants(response: &CheckResponse, user: &str, slot: &str) {
    assert_eq!(response.status.as_ref().map(|status| status.code), Some(0), "{response:?}");
    assert_eq!(response.denied_response, None);
    let ok = response.ok_response.as_ref().expect("an ok_response");
    let headers = replaced(&ok.headers);
    assert_eq!(headers, [("x-auth-user", user), ("x-auth-slot", slot)].into());
    assert!(ok.headers_to_remove.iter().all(|name| !headers.contains_key(name.as_str())));
    // What the client itself is told of its token.
    let told = replaced(&ok.response_headers_to_add);
    let is_backup = slot == "backup";
    assert_eq!(told, is_backup.then_some(("api-token-slot", slot)).into_iter().collect());
}

/// The status code of gRPC and that of HTTP which say no.
#[track_caller]
fn denies(response: &CheckResponse, code: i32, status: i32) {
    assert_eq!(response.status.as_ref().map(|status| status.code), Some(code), "{response:?}");
    assert_eq!(response.ok_response, None);
    let denied = response.denied_response.as_ref().expect("a denied_response");
    assert_eq!(denied.status, Some(HttpStatus { code: status }));
    let headers = replaced(&denied.headers);
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(!headers.contains_key("x-auth-user"));
    if status == 401 {
        assert!(headers["www-authenticate"].starts_with("Bearer realm="), "{headers:?}");
    }
    assert!(denied.body.contains(&format!("\"status\":{status}")));
    assert!(!format!("{response:?}").contains("rest_"), "{response:?}");
}

#[tokio::test]
async fn both_slots_pass_and_the_token_is_taken_away() {
    let backup = format!("Bearer {BACKUP}");
    for check in [check, raw_check] {
        let primary = answer(&service(), &check("GET", &[LIVE])).await;
        grants(&primary, "alice", "primary");
        let removed = primary.ok_response.unwrap().headers_to_remove;
        assert_eq!(removed, ["authorization", "x-api-key", "api-token-slot", "api-token-expires"]);
        let backup = answer(&service(), &check("GET", &[("authorization", &backup)])).await;
        grants(&backup, "alice", "backup");
    }
}

#[tokio::test]
async fn the_token_may_stay_if_the_host_says_so() {
    let service = service().strip_credentials(false);
    let response = answer(&service, &check("GET", &[LIVE])).await;
    let removed = response.ok_response.unwrap().headers_to_remove;
    assert_eq!(removed, ["api-token-slot", "api-token-expires"], "no client says that");
}

#[tokio::test]
async fn a_method_comes_from_the_attributes_alone() {
    for name in ["x-original-method", "x-forwarded-method", "method", ":method"] {
        denies(&answer(&service(), &check("POST", &[LIVE, (name, "GET")])).await, 7, 403);
        grants(
            &answer(&service(), &check("GET", &[LIVE, (name, "POST")])).await,
            "alice",
            "primary",
        );
        let twice = [LIVE, (name, "GET"), (name, "GET")];
        denies(&answer(&service(), &check("POST", &twice)).await, 7, 403);
    }
    for method in ["", "get", "purge", "GET, GET", "GE T", "G\u{c9}T", "TRACE", "CONNECT"] {
        denies(&answer(&service(), &check(method, &[LIVE])).await, 7, 403);
        denies(&answer(&service(), &check(method, &[])).await, 16, 401);
        denies(&answer(&service(), &check("HEAD", &[])).await, 16, 401);
        let bad = ("authorization", "Bearer junk");
        denies(&answer(&service(), &check(method, &[bad])).await, 16, 401);
    }
}

#[tokio::test]
async fn an_override_must_be_granted_too() {
    let override_to = |method| [LIVE, ("x-http-method-override", method)];
    denies(&answer(&service(), &check("GET", &override_to("DELETE"))).await, 7, 403);
    grants(&answer(&service(), &check("GET", &override_to("GET"))).await, "alice", "primary");
}

#[tokio::test]
async fn an_empty_or_partial_check_is_denied() {
    let path = "/envoy.service.auth.v3.Authorization/Check";
    let (response, _) = call(&service(), path, &[]).await;
    denies(&response.expect("an answer"), 16, 401);
    denies(&answer(&service(), &CheckRequest { attributes: None }).await, 16, 401);
    let bare = CheckRequest { attributes: Some(Attributes::default()) };
    denies(&answer(&service(), &bare).await, 16, 401);
}

#[tokio::test]
async fn a_check_that_cannot_be_read_is_denied_and_no_error() {
    // To Envoy an error is an outage: 503, or a pass under failure_mode_allow.
    let check = "/envoy.service.auth.v3.Authorization/Check";
    for message in [&b"\xff\xff\xff"[..], b"\x0a\xff", b"\x0a\x02\x22\xff"] {
        let (response, status) = call(&service(), check, message).await;
        assert_eq!(status, "0");
        denies(&response.expect("an answer"), 3, 400);
    }
}

#[tokio::test]
async fn another_method_than_check_is_an_error_and_no_answer() {
    let (response, status) = call(&service(), "/other/Check", b"").await;
    assert_eq!((response, status.as_str()), (None, "12"));
}

#[tokio::test]
async fn a_check_of_any_size_is_answered() {
    let with = |length: usize| check("GET", &[LIVE, ("x-long", &"a".repeat(length))]);
    // Envoy can be set to let 8 MiB of headers through.
    grants(&answer(&service(), &with(8 << 20)).await, "alice", "primary");
    denies(&answer(&service(), &with(17 << 20)).await, 3, 400);
}

#[tokio::test]
async fn what_a_client_has_a_hand_in_may_hold_any_bytes() {
    // Fields 2 (method), 4 (path), 5 (host): each not UTF-8.
    for (field, status) in [(2, 403), (4, 403), (5, 200)] {
        let check = check("GET", &[LIVE]).encode_to_vec();
        // Protobuf takes the last of a field that is there twice, and merges
        // messages: attributes 1, request 4, http 2.
        let odd = [field << 3 | 2, 2, 0xff, 0xfe];
        let http = [&[0x12, 4][..], &odd].concat();
        let request = [&[0x22, 6][..], &http].concat();
        let message = [&check[..], &[0x0a, 8], &request].concat();
        let path = "/envoy.service.auth.v3.Authorization/Check";
        let (response, _) = call(&service(), path, &message).await;
        let response = response.expect("an answer");
        match status {
            200 => grants(&response, "alice", "primary"),
            _ => denies(&response, 7, status),
        }
    }
}

#[tokio::test]
async fn a_preflight_passes_without_a_user_where_the_host_says_so() {
    let preflight = [("origin", "http://a"), ("access-control-request-method", "PUT")];
    let allowing = authenticator(store("alice")).allow_preflight(true);
    let allowing = ExtAuthz::with_authenticator(allowing);
    for check in [check, raw_check] {
        denies(&answer(&service(), &check("OPTIONS", &preflight)).await, 16, 401);
        let passed = answer(&allowing, &check("OPTIONS", &preflight)).await;
        assert_eq!(passed.status.as_ref().map(|status| status.code), Some(0));
        let ok = passed.ok_response.expect("an ok_response");
        assert_eq!(replaced(&ok.headers), [("x-auth-slot", "preflight")].into());
        assert!(ok.headers_to_remove.iter().any(|name| name == "x-auth-user"), "its client's");
        let live = [&preflight[..], &[LIVE]].concat();
        denies(&answer(&allowing, &check("OPTIONS", &live)).await, 7, 403);
        for method in ["GET", "options", ""] {
            denies(&answer(&allowing, &check(method, &preflight)).await, 16, 401);
        }
        for lines in [&preflight[..1], &preflight[1..], &[]] {
            denies(&answer(&allowing, &check("OPTIONS", lines)).await, 16, 401);
        }
    }
}

#[tokio::test]
async fn several_credentials_are_refused_joined_or_apart() {
    let joined = format!("Bearer {PRIMARY},Bearer {PRIMARY}");
    denies(&answer(&service(), &check("GET", &[("authorization", &joined)])).await, 3, 400);
    denies(&answer(&service(), &raw_check("GET", &[LIVE, LIVE])).await, 3, 400);
    let key = ("x-api-key", PRIMARY);
    denies(&answer(&service(), &raw_check("GET", &[key, key])).await, 3, 400);
    denies(&answer(&service(), &check("GET", &[LIVE, key])).await, 3, 400);
    grants(&answer(&service(), &check("GET", &[key])).await, "alice", "primary");
}

#[tokio::test]
async fn other_headers_may_hold_any_bytes() {
    let mut odd = check("GET", &[LIVE]);
    let request = odd.attributes.as_mut().unwrap().request.as_mut().unwrap();
    request.http.as_mut().unwrap().headers.insert("x-odd".into(), vec![0xff, 0xfe]);
    grants(&answer(&service(), &odd).await, "alice", "primary");
}

/// A line that cannot be a header's is there all the same: a service behind Envoy
/// may read it in its own way.
#[tokio::test]
async fn a_credential_or_an_override_that_cannot_be_read_is_malformed() {
    for value in ["DELETE\x0b", "\x01DELETE", "DELETE\0", "DELETE\r\n"] {
        for name in ["x-http-method-override", "x-api-key"] {
            denies(&answer(&service(), &check("GET", &[LIVE, (name, value)])).await, 3, 400);
        }
        let twice = raw_check("GET", &[LIVE, ("authorization", value)]);
        denies(&answer(&service(), &twice).await, 3, 400);
        grants(
            &answer(&service(), &check("GET", &[LIVE, ("x-odd", value)])).await,
            "alice",
            "primary",
        );
    }
}

#[tokio::test]
async fn a_denial_stays_one_for_a_grpc_call() {
    for grpc in ["application/grpc", "application/grpc-web"] {
        let headers = [("content-type", grpc), ("accept", grpc), ("te", "trailers")];
        denies(&answer(&service(), &check("POST", &headers)).await, 16, 401);
        let live = [headers.as_slice(), &[LIVE]].concat();
        denies(&answer(&service(), &check("POST", &live)).await, 7, 403);
    }
}

#[tokio::test]
async fn a_users_name_is_told_as_one_plain_word() {
    let authenticator = authenticator(store("al\u{ed}ce, 100%"));
    let service = ExtAuthz::with_authenticator(authenticator);
    let response = answer(&service, &check("GET", &[LIVE])).await;
    grants(&response, "al%C3%ADce%2C%20100%25", "primary");
}

#[tokio::test]
async fn the_hosts_own_check_sees_the_clients_request() {
    let authenticator = authenticator(store("alice")).also_require(|_, request| {
        assert_eq!(request.method, "GET");
        assert_eq!(request.headers["host"], "example.com");
        request.uri.path() == "/items" && request.uri.query() == Some("a=b")
    });
    let service = ExtAuthz::with_authenticator(authenticator);
    grants(&answer(&service, &check("GET", &[LIVE])).await, "alice", "primary");
    let mut elsewhere = check("GET", &[LIVE]);
    let request = elsewhere.attributes.as_mut().unwrap().request.as_mut().unwrap();
    request.http.as_mut().unwrap().path = "/admin".into();
    denies(&answer(&service, &elsewhere).await, 7, 403);
}

/// A store that fails in this way.
struct Failing(StoreErrorKind);

#[async_trait]
impl TokenStore for Failing {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Err(StoreError::new(self.0, "reading an account"))
    }
}

#[tokio::test]
async fn a_store_in_trouble_approves_nothing() {
    for (kind, code, status) in
        [(StoreErrorKind::Unavailable, 14, 503), (StoreErrorKind::Corrupt, 13, 500)]
    {
        let service = ExtAuthz::with_authenticator(authenticator(Failing(kind)));
        denies(&answer(&service, &check("GET", &[LIVE])).await, code, status);
    }
}

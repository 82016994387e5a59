//! Tokens that are going to end, and users who are suspended.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, AccountBuilder, Expiry, TokenRecord};
use tower_api_token::credentials::CredentialSource;
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, Token, TokenHint, TokenId};
use tower_api_token::user::UserId;

use crate::generated;
use crate::layer::support::{Outcome, bearer, request, send, send_to};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn record(id: u64, text: &str) -> TokenRecord {
    let token = Token::parse(text).unwrap();
    let digest = tower_api_token::token::TokenScheme::default().digest(&token);
    let digest: StoredDigest = digest;
    assert_eq!(digest.pepper, PepperVersion::NONE);
    TokenRecord::new(TokenId::from_u64(id), digest, TokenHint::unknown(), Timestamp::default())
}

/// The record of a token that ends at that time, of which its user was told or not.
fn ending(id: u64, text: &str, at: Timestamp, announced: bool) -> TokenRecord {
    let mut record = record(id, text);
    record.expires_at = Some(at);
    let mut expiry = Expiry::default();
    expiry.of_lifetime = Some(at);
    expiry.announced = announced;
    record.expiry = Some(Box::new(expiry));
    record
}

fn layer(change: impl FnOnce(AccountBuilder) -> AccountBuilder) -> TokenAuthLayer {
    let account = Account::builder(UserId::new("alice").unwrap());
    let account = account.methods(MethodSet::new(["GET"]).unwrap());
    let store = MemoryStore::new();
    store.insert(change(account).build().unwrap()).unwrap();
    TokenAuthLayer::new(store)
}

fn end() -> Timestamp {
    Timestamp::from_unix_millis((Timestamp::now() + WEEK).unix_millis() / 1_000 * 1_000)
}

fn expires(outcome: &Outcome) -> Vec<&str> {
    outcome.all("api-token-expires")
}

#[test]
fn an_answer_says_when_its_token_ends_once_its_user_was_told() {
    let (primary, backup) = (generated::token("tat"), generated::token("tat"));
    let end = end();
    let layer = layer(|account| {
        let account = account.primary(ending(2, &primary, end + WEEK, false));
        account.backup(ending(1, &backup, end, true))
    });
    let told = send(&layer, bearer("GET", &backup));
    assert_eq!(expires(&told), [end.to_string()]);
    assert_eq!(told.all("api-token-slot"), ["backup"]);
    assert_eq!(told.identity().announced_end(), Some(end));
    let untold = send(&layer, bearer("GET", &primary));
    assert!(expires(&untold).is_empty());
    assert_eq!(untold.identity().announced_end(), None);
    let denied = send(&layer, bearer("POST", &backup));
    assert_eq!((denied.status.as_u16(), expires(&denied)), (403, vec![]));
}

#[test]
fn what_the_layer_says_of_a_token_replaces_what_the_handler_says() {
    let (primary, backup) = (generated::token("tat"), generated::token("tat"));
    let end = end();
    let layer =
        layer(|account| account.primary(record(2, &primary)).backup(ending(1, &backup, end, true)));
    let own = HeaderValue::from_static("own");
    let names = ["api-token-slot", "api-token-expires"].map(HeaderName::from_static);
    let own: HeaderMap = names.into_iter().map(|name| (name, own.clone())).collect();
    let told = send_to(&layer, bearer("GET", &backup), own.clone());
    assert_eq!(told.all("api-token-slot"), ["backup"]);
    assert_eq!(expires(&told), [end.to_string()]);
    let silent = send_to(&layer, bearer("GET", &primary), own);
    assert_eq!((silent.all("api-token-slot"), expires(&silent)), (vec!["own"], vec!["own"]));
}

#[test]
fn an_answer_to_a_token_in_another_header_says_both() {
    let primary = generated::token("tat");
    let end = end();
    let layer = layer(|account| account.primary(ending(1, &primary, end, true)));
    let header = HeaderName::from_static("x-api-key");
    let layer = layer.sources([CredentialSource::Header(header)]);
    let told = send(&layer, request("GET", &[("x-api-key", &primary)]));
    assert_eq!(expires(&told), [end.to_string()]);
    assert_eq!(told.all("vary"), ["x-api-key"]);
    assert_eq!(told.header("api-token-slot"), None);
}

#[test]
fn a_suspended_user_is_told_so_before_any_method_is_looked_at() {
    let (primary, backup) = (generated::token("tat"), generated::token("tat"));
    let layer = layer(|account| {
        let account = account.primary(record(2, &primary)).backup(record(1, &backup));
        account.suspended_since(Timestamp::now())
    });
    for token in [&primary, &backup] {
        for method in ["GET", "DELETE"] {
            let outcome = send(&layer, bearer(method, token));
            assert!(!outcome.reached());
            assert_eq!(outcome.status, 403);
            let problem = outcome.problem();
            let kind = problem["type"].as_str().unwrap();
            assert!(kind.ends_with(":access-suspended"), "{kind}");
            let challenge = outcome.header("www-authenticate").unwrap_or_default();
            assert!(!challenge.contains("insufficient_scope"), "{challenge}");
        }
    }
    let other = send(&layer, bearer("GET", &generated::token("tat")));
    assert_eq!(other.status, 401, "whoever holds no live token learns nothing");
    let mut call = bearer("POST", &primary);
    let content_type = HeaderValue::from_static("application/grpc");
    call.headers_mut().insert("content-type", content_type);
    let outcome = send(&layer.grpc(true), call);
    assert_eq!(outcome.header("grpc-status"), Some("7"));
}

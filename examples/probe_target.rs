//! A server for probing the layer from outside: everything is switched on, and
//! a handler that tells by its headers that it was reached.
//!
//! ```sh
//! P=... B=... BOB=... CAROL=... \
//!   cargo run --example probe_target --features axum,forward-auth -- --listen 127.0.0.1:8080
//! ```
//!
//! Tokens come from the environment: `P` and `B` are the primary and the backup
//! of `alice` (GET, HEAD), `BOB` the primary of `bob`, who has no method, and
//! `CAROL` that of `carol` (GET, POST, PUT, DELETE). HTTP/1.1 and HTTP/2 with
//! prior knowledge share the port. `/auth/verify` is what a gateway would ask
//! (profile `OriginalMethod`); in earnest it would have a listener of its own.

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_api_token::account::{Account, AccountBuilder, TokenRecord};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::forward_auth::{ForwardAuth, Profile};
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;
use tower_api_token::{Identity, TokenAuthLayer};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The only user who may see `/admin/users`, and who has no token here.
const ADMINISTRATOR: &str = "root";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address()?).await?;
    let router = router(store()?);
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A connection that breaks ends its own task and nothing else.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn address() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok("127.0.0.1:0".to_owned()),
        ["--listen", address] => Ok(address.to_owned()),
        _ => Err("usage: probe_target [--listen ADDRESS]".into()),
    }
}

/// What is outside of the layer is matched exactly, by the raw path; whatever
/// is no route of its own is inside.
fn router(store: MemoryStore) -> Router {
    let authenticator = authenticator(store);
    let verify = ForwardAuth::with_authenticator(authenticator.clone(), Profile::OriginalMethod);
    let administration = Router::new()
        .route("/admin/users", any(reached))
        .layer(TokenAuthLayer::from(authenticator.clone().also_require(is_administrator)));
    let protected = Router::new()
        .route("/nope", any(StatusCode::NOT_FOUND))
        .fallback(reached)
        .layer(TokenAuthLayer::from(authenticator));
    let health = get(async || "healthy");
    let outside = Router::new().route("/public/health", health).merge(administration);
    outside.route_service("/auth/verify", verify).fallback_service(protected)
}

fn authenticator(store: MemoryStore) -> Authenticator {
    let sources = [
        CredentialSource::Bearer,
        CredentialSource::Tok,
        CredentialSource::Basic,
        CredentialSource::Header(API_KEY),
    ];
    Authenticator::new(store).scheme(scheme()).sources(sources)
}

fn is_administrator(identity: &Identity, _: &Parts) -> bool {
    identity.user().as_str() == ADMINISTRATOR
}

fn scheme() -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true)
}

async fn reached(identity: Identity, request: Request) -> Result<Response, StatusCode> {
    let value = |text: &str| HeaderValue::try_from(text).map_err(|_| StatusCode::NOT_IMPLEMENTED);
    let mut headers = HeaderMap::new();
    headers.insert("x-reached", HeaderValue::from_static("1"));
    headers.insert("x-user", value(identity.user().as_str())?);
    headers.insert("x-slot", value(identity.slot().as_str())?);
    headers.insert("x-reached-method", value(request.method().as_str())?);
    // RFC 9111 section 3.5: a shared cache may keep an answer to a request with
    // `Authorization` only where the origin says so. This one says the
    // opposite; for the other header the layer does.
    if request.headers().contains_key(AUTHORIZATION) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        headers.insert(VARY, HeaderValue::from_name(AUTHORIZATION));
    }
    Ok((headers, "reached\n").into_response())
}

fn store() -> Result<MemoryStore, Box<dyn Error>> {
    let store = MemoryStore::new();
    let alice = account("alice", &["GET", "HEAD"])?.primary(record(2, "P")?);
    store.insert(alice.backup(record(1, "B")?).build()?)?;
    store.insert(account("bob", &[])?.primary(record(1, "BOB")?).build()?)?;
    let carol = account("carol", &["GET", "POST", "PUT", "DELETE"])?;
    store.insert(carol.primary(record(1, "CAROL")?).build()?)?;
    Ok(store)
}

fn account(user: &str, methods: &[&str]) -> Result<AccountBuilder, Box<dyn Error>> {
    Ok(Account::builder(UserId::new(user)?).methods(MethodSet::new(methods)?))
}

/// The record of the token in the environment variable `name`.
fn record(id: u64, name: &str) -> Result<TokenRecord, Box<dyn Error>> {
    let text = std::env::var(name).map_err(|_| format!("no token in the variable {name}"))?;
    let digest = scheme().digest(&Token::parse(text)?);
    let (id, hint) = (TokenId::from_u64(id), TokenHint::unknown());
    Ok(TokenRecord::new(id, digest, hint, Timestamp::now()))
}

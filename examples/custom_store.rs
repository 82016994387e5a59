//! A host that has tokens already: the layer over a map of the host's own,
//! with tokens that this crate has not made.
//!
//! ```sh
//! cargo run --example custom_store --features axum
//! ```
//!
//! It prints the `curl` lines to try it, the third of which revokes the key.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use axum::extract::Request;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Router, ServiceExt};
use tokio::net::TcpListener;
use tower::Layer;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::credentials::CredentialSource;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{
    PepperVersion, StoredDigest, Token, TokenDigest, TokenHint, TokenId, TokenScheme,
};
use tower_api_token::user::UserId;
use tower_api_token::{Identity, TokenAuthLayer};

/// What the host keeps of each API key, by the SHA-256 of the key.
#[derive(Clone, Default)]
struct ApiKeys(Arc<RwLock<HashMap<[u8; 32], ApiKey>>>);

struct ApiKey {
    number: u64,
    customer: String,
    read_only: bool,
    made_at: Timestamp,
}

impl ApiKey {
    /// The key as the layer wants it: an account with one token.
    fn account(&self, digest: &TokenDigest) -> Result<Account, Box<dyn Error + Send + Sync>> {
        let methods: &[_] = if self.read_only { &["GET"] } else { &["GET", "POST", "DELETE"] };
        let digest = StoredDigest::new(*digest, PepperVersion::NONE);
        let (id, hint) = (TokenId::from_u64(self.number), TokenHint::unknown());
        let account = Account::builder(UserId::new(&self.customer)?)
            .methods(MethodSet::new(methods)?)
            .primary(TokenRecord::new(id, digest, hint, self.made_at));
        Ok(account.build()?)
    }
}

#[async_trait]
impl TokenStore for ApiKeys {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let account = keys.get(digest.as_bytes()).map(|key| key.account(digest).map(Arc::new));
        let unreadable = StoreError::new(StoreErrorKind::Corrupt, "reading an API key");
        account.transpose().map_err(|error| unreadable.with_source(error))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The host's keys are 32 hexadecimal digits, so they are foreign here.
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let key = new_key()?;
    let keys = ApiKeys::default();
    keys.insert(&scheme.digest(&key), "acme");

    let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    let layer = TokenAuthLayer::new(keys.clone()).scheme(scheme).sources([header]);
    let routes = get(show).delete(async move |identity: Identity| keys.revoke(&identity));
    // All of the API is behind the layer, which then goes around the router.
    let service = layer.same_body().layer(Router::new().route("/key", routes));

    let listener = TcpListener::bind(address()?).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    for method in ["GET", "PUT", "DELETE", "GET"] {
        let key = key.expose_secret();
        println!("curl -i -X {method} -H 'X-Api-Key: {key}' http://{address}/key");
    }
    Ok(axum::serve(listener, ServiceExt::<Request>::into_make_service(service)).await?)
}

fn address() -> Result<String, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok("127.0.0.1:0".to_owned()),
        (Some("--listen"), Some(address)) => Ok(address),
        _ => Err("usage: custom_store [--listen ADDRESS]".into()),
    }
}

/// A key as this host has always made them.
fn new_key() -> Result<Token, Box<dyn Error>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(Token::parse(digits)?)
}

/// The host's own administration of its keys.
impl ApiKeys {
    fn insert(&self, digest: &StoredDigest, customer: &str) {
        let customer = customer.to_owned();
        let key = ApiKey { number: 1, customer, read_only: false, made_at: Timestamp::default() };
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(*digest.digest.as_bytes(), key);
    }

    /// Ends the customer's keys: the next request with one is refused.
    fn revoke(&self, identity: &Identity) -> StatusCode {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, key| key.customer != identity.user().as_str());
        StatusCode::NO_CONTENT
    }
}

async fn show(identity: Identity) -> String {
    format!("key {} of {}: {}\n", identity.token_id(), identity.user(), identity.methods())
}

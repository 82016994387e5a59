//! Accounts in every state, and requests with their tokens.

use std::sync::Arc;

use http::Request;
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, AccountBuilder, Ending, Pending, Retired, TokenRecord};
use tower_api_token::method::MethodSet;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{CodeDigest, StoredDigest, Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

use super::{Answers, Spy};
use crate::generated;

/// `alice` (GET, PURGE) with a token in every place, and `carol` (GET, POST,
/// DELETE) with a primary alone.
pub(crate) struct World {
    pub(crate) primary: String,
    pub(crate) backup: String,
    pub(crate) pending: String,
    pub(crate) retired: String,
    pub(crate) carol: String,
    scheme: TokenScheme,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(TokenScheme::default())
    }

    /// A world whose digests are made as `scheme` says.
    pub(crate) fn with(scheme: TokenScheme) -> Self {
        let token = || generated::token("tat");
        let (primary, backup, pending) = (token(), token(), token());
        Self { primary, backup, pending, retired: token(), carol: token(), scheme }
    }

    pub(crate) fn accounts(&self) -> [Account; 2] {
        let record = |id, token| record(id, digest(&self.scheme, token));
        let retired = digest(&self.scheme, &self.retired);
        let retired = Retired::new(TokenId::from_u64(1), retired, timestamp(0), Ending::Deleted);
        let alice = account("alice", &["GET", "PURGE"])
            .primary(record(3, &self.primary))
            .backup(record(2, &self.backup))
            .pending(pending(record(4, &self.pending)))
            .retired([retired]);
        let carol = account("carol", &["GET", "POST", "DELETE"]).primary(record(1, &self.carol));
        [alice, carol].map(|account| account.build().expect("a sound account"))
    }

    /// A store with these accounts.
    pub(crate) fn store(&self, answers: Answers) -> Arc<Spy> {
        Spy::new(self.accounts(), answers)
    }

    /// The layer with its defaults, over these accounts in memory.
    pub(crate) fn layer(&self) -> TokenAuthLayer {
        TokenAuthLayer::new(self.store(Answers::Peek)).scheme(self.scheme.clone())
    }

    /// `GET /` with alice's primary.
    pub(crate) fn get(&self) -> Request<String> {
        bearer("GET", &self.primary)
    }
}

/// A request with `token` as its Bearer credential.
pub(crate) fn bearer(method: &str, token: &str) -> Request<String> {
    request(method, &[("authorization", &format!("Bearer {token}"))])
}

/// A request with these header lines.
pub(crate) fn request(method: &str, lines: &[(&str, &str)]) -> Request<String> {
    let request = Request::builder().method(method).uri("/items");
    let request =
        lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(String::new()).expect("a sound request")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a sound name")
}

pub(crate) fn timestamp(seconds: u64) -> Timestamp {
    Timestamp::from_unix_millis(seconds * 1_000)
}

pub(crate) fn account(name: &str, methods: &[&str]) -> AccountBuilder {
    Account::builder(user(name)).methods(MethodSet::new(methods).expect("sound methods"))
}

pub(crate) fn digest(scheme: &TokenScheme, token: &str) -> StoredDigest {
    scheme.digest(&Token::parse(token).expect("a sound token"))
}

/// A token made at time zero.
pub(crate) fn record(id: u64, digest: StoredDigest) -> TokenRecord {
    TokenRecord::new(TokenId::from_u64(id), digest, TokenHint::unknown(), timestamp(0))
}

fn pending(token: TokenRecord) -> Pending {
    let code = CodeDigest::from_bytes([7; 32]);
    Pending::new(token, timestamp(86_400), code, timestamp(0), timestamp(600))
}

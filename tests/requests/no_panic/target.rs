//! The layers that are tried, and the tokens that they know.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderName;
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, Ending, Retired, TokenRecord};
use tower_api_token::credentials::CredentialSource;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{MemoryStore, StoreError, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{StoredDigest, Token, TokenDigest, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

use crate::{generated, secret};

/// The tokens in play. `foreign` is not of the generated form.
pub(crate) struct Tokens {
    pub(crate) alice: String,
    pub(crate) backup: String,
    pub(crate) foreign: String,
    pub(crate) retired: String,
    pub(crate) unknown: String,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let [alice, backup, retired, unknown] = ["tat"; 4].map(generated::token);
        Self { alice, backup, foreign: secret::random_text(40), retired, unknown }
    }

    /// The live tokens with their users and what those may do.
    pub(crate) fn live(&self) -> [(&str, &'static str, &'static [&'static str]); 3] {
        const ALICE: &[&str] = &["GET", "HEAD", "PURGE"];
        const CAROL: &[&str] = &["GET", "HEAD", "POST", "DELETE"];
        [
            (&self.alice, "alice", ALICE),
            (&self.backup, "alice", ALICE),
            (&self.foreign, "carol", CAROL),
        ]
    }

    fn accounts(&self) -> [Account; 2] {
        let [(.., alice), _, (.., carol)] = self.live();
        let retired =
            Retired::new(id(1), digest(&self.retired), Timestamp::default(), Ending::Deleted);
        let alice = Account::builder(UserId::new("alice").unwrap())
            .methods(MethodSet::new(alice).unwrap())
            .primary(record(3, &self.alice))
            .backup(record(2, &self.backup))
            .retired([retired]);
        let carol = Account::builder(UserId::new("carol").unwrap())
            .methods(MethodSet::new(carol).unwrap())
            .primary(record(1, &self.foreign));
        [alice, carol].map(|account| account.build().unwrap())
    }
}

fn id(number: u64) -> TokenId {
    TokenId::from_u64(number)
}

fn digest(token: &str) -> StoredDigest {
    TokenScheme::default().digest(&Token::parse(token).unwrap())
}

fn record(number: u64, token: &str) -> TokenRecord {
    TokenRecord::new(id(number), digest(token), TokenHint::unknown(), Timestamp::default())
}

/// Knows nothing without being awaited.
struct Awaited(MemoryStore);

#[async_trait]
impl TokenStore for Awaited {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.0.find(digest).await
    }
}

/// A layer, and what of its configuration the oracle must know.
pub(crate) struct Target {
    pub(crate) layer: TokenAuthLayer,
    /// Which of bearer, tok, basic and the own header are enabled.
    pub(crate) sources: [bool; 4],
    pub(crate) foreign: bool,
    pub(crate) anonymous: bool,
    pub(crate) grpc: bool,
}

impl Target {
    pub(crate) fn all(tokens: &Tokens) -> Vec<Self> {
        let store = || {
            let store = MemoryStore::new();
            for account in tokens.accounts() {
                store.insert(account).unwrap();
            }
            store
        };
        let all = [true; 4];
        let plain = |layer: TokenAuthLayer, sources| {
            let layer = layer.sources(enabled(sources));
            Self { layer, sources, foreign: false, anonymous: false, grpc: false }
        };
        let foreign = |target: Self| {
            let scheme = TokenScheme::default().accept_foreign_tokens(true);
            Self { layer: target.layer.scheme(scheme), foreign: true, ..target }
        };
        let open = |target: Self| {
            let layer = target.layer.optional(true).allow_preflight(true);
            Self { layer, anonymous: true, ..target }
        };
        let in_memory = || TokenAuthLayer::new(store());
        let awaited = || TokenAuthLayer::new(Awaited(store()));
        let grpc = plain(in_memory().grpc(true).strip_credentials(true), all);
        vec![
            plain(in_memory(), [true, false, false, false]),
            plain(in_memory(), all),
            foreign(plain(in_memory(), all)),
            foreign(plain(awaited(), all)),
            plain(awaited(), [false, false, false, true]),
            open(foreign(plain(in_memory(), [true, false, true, false]))),
            Self { grpc: true, ..grpc },
        ]
    }
}

pub(crate) const OWN_HEADER: &str = "x-api-key";

fn enabled([bearer, tok, basic, own]: [bool; 4]) -> Vec<CredentialSource> {
    let header = CredentialSource::Header(HeaderName::from_static(OWN_HEADER));
    let all = [
        (bearer, CredentialSource::Bearer),
        (tok, CredentialSource::Tok),
        (basic, CredentialSource::Basic),
        (own, header),
    ];
    all.into_iter().filter(|(on, _)| *on).map(|(_, source)| source).collect()
}

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::HeaderName;
use axum::routing::get;
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::Row;
use tower_api_token::account::{Account, Slot, TokenRecord};
use tower_api_token::credentials::CredentialSource;
use tower_api_token::manage::{ImportedToken, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{
    PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId, TokenScheme,
};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenAuthLayer, TokenManager};

/// The host's table: several keys of each owner, each with its own scopes.
pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS api_keys (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        owner text NOT NULL,
        name text NOT NULL,
        sha256 bytea NOT NULL UNIQUE,
        read_only boolean NOT NULL,
        scopes text[] NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (owner, name)
    )";

const COLUMNS: &str = "SELECT id, owner, name, sha256, read_only, scopes,
    floor(extract(epoch FROM made_at) * 1000)::int8 AS made_at_millis FROM api_keys";

type Failed = Box<dyn Error + Send + Sync>;

/// What a key of the host may do beside the methods.
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.0.iter().any(|it| it == scope)
    }
}

/// One key: a user of its own, called `owner/name`, since a user has two live tokens
/// at most.
struct Key {
    id: TokenId,
    user: UserId,
    sha256: [u8; 32],
    methods: MethodSet,
    scopes: Scopes,
    made_at: Timestamp,
}

impl Key {
    fn read(row: &Row) -> Result<Self, Failed> {
        let methods: &[_] =
            if row.try_get("read_only")? { &["GET"] } else { &["GET", "POST", "DELETE"] };
        let (owner, name): (&str, &str) = (row.try_get("owner")?, row.try_get("name")?);
        let made_at = u64::try_from(row.try_get::<_, i64>("made_at_millis")?)?;
        Ok(Self {
            id: TokenId::from_u64(u64::try_from(row.try_get::<_, i64>("id")?)?),
            user: UserId::new(format!("{owner}/{name}"))?,
            sha256: row.try_get::<_, &[u8]>("sha256")?.try_into()?,
            methods: MethodSet::new(methods)?,
            scopes: Scopes(row.try_get("scopes")?),
            made_at: Timestamp::from_unix_millis(made_at),
        })
    }

    /// The key as the layer wants it: an account with one token.
    fn into_account(self) -> Result<Account, Failed> {
        let digest = TokenDigest::from_bytes(self.sha256);
        let digest = StoredDigest::new(digest, PepperVersion::NONE);
        let record = TokenRecord::new(self.id, digest, TokenHint::unknown(), self.made_at);
        let account = Account::builder(self.user).methods(self.methods).primary(record);
        Ok(account.extension(Arc::new(self.scopes)).build()?)
    }
}

/// The host's table as the layer asks it.
#[derive(Clone)]
pub(crate) struct ApiKeys(pub(crate) Pool);

impl ApiKeys {
    async fn row(&self, sha256: &[u8]) -> Result<Option<Row>, Failed> {
        let client = self.0.get().await?;
        let one = client.prepare_cached(&format!("{COLUMNS} WHERE sha256 = $1")).await?;
        Ok(client.query_opt(&one, &[&sha256]).await?)
    }
}

#[async_trait]
impl TokenStore for ApiKeys {
    /// `None` only where the table has no such key: an outage is an error, so that no
    /// good key is answered 401.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let error = |kind, source| StoreError::new(kind, "reading an API key").with_source(source);
        let row = self.row(digest.as_bytes()).await;
        let row = row.map_err(|source| error(StoreErrorKind::Unavailable, source))?;
        let account = row.map(|row| Key::read(&row)?.into_account().map(Arc::new));
        account.transpose().map_err(|source| error(StoreErrorKind::Corrupt, source))
    }
}

/// The keys are of another form than this crate makes, so they are foreign.
pub(crate) fn scheme() -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true)
}

/// An API in front of which every request is decided by the host's own table.
pub(crate) fn app(keys: ApiKeys) -> Router {
    let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    let auth = TokenAuthLayer::new(keys).scheme(scheme()).sources([header]);
    let readers = auth.also_require(|key, _| {
        key.extension::<Scopes>().is_some_and(|scopes| scopes.has("invoices:read"))
    });
    Router::new().route("/invoices", get(invoices)).layer(readers)
}

async fn invoices(key: Identity) -> String {
    let (owner, name) = key.user().as_str().split_once('/').expect("owner/name");
    format!("invoices of {owner}, asked for by the key {name}\n")
}

/// Moves every key into a store of this crate: it goes on working there, and can be
/// rotated from then on. May run again, after it has broken off as well.
pub(crate) async fn move_into(manager: &TokenManager, keys: &ApiKeys) -> Result<usize, Failed> {
    let by = Actor::program("move")?;
    let rows = keys.0.get().await?.query(COLUMNS, &[]).await?;
    for row in &rows {
        let key = Key::read(row)?;
        unless_done(manager.grant(&by, &key.user, key.methods).await)?;
        let token = ImportedToken::Sha256(key.sha256);
        let made_at = Some(key.made_at);
        unless_done(manager.import(&by, &key.user, Slot::Primary, &token, made_at).await)?;
    }
    Ok(rows.len())
}

/// Takes a change for made that was made before.
fn unless_done<T>(changed: Result<T, ManageError>) -> Result<(), ManageError> {
    match changed {
        Err(error) if error.refusal() != Some(RotationError::AlreadyDone) => Err(error),
        _ => Ok(()),
    }
}

/// The same API over the store that the keys were moved into. Their scopes stay in the
/// host's table; `has` answers from memory, by the name of the key's user.
pub(crate) fn moved_app(
    layer: TokenAuthLayer,
    has: impl Fn(&UserId, &str) -> bool + Send + Sync + 'static,
) -> Router {
    let header = CredentialSource::Header(HeaderName::from_static("x-api-key"));
    let readers =
        layer.sources([header]).also_require(move |key, _| has(key.user(), "invoices:read"));
    Router::new().route("/invoices", get(invoices)).layer(readers)
}

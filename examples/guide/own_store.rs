use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, PgPool, Row};
use tower_api_token::account::{
    Account, Confirmed, Ending, Expiry, Lifetimes, Pending, Retired, Revision, TokenRecord,
    UnusedEnd,
};
use tower_api_token::audit::AuditEntry;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, Loaded, Page, PageSize, Replacement, StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{
    CodeDigest, PepperVersion, SealedToken, StoredDigest, TokenDigest, TokenHint, TokenId,
};
use tower_api_token::user::UserId;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Users are compared byte by byte, whatever the database's collation. The keys hold
/// that a digest is named once, and that a revision is written once. All of it is one
/// transaction.
const TABLES: &str = r#"
    SELECT pg_advisory_xact_lock(7240611);
    CREATE TABLE IF NOT EXISTS own_account (
        user_id text COLLATE "C" PRIMARY KEY,
        revision bigint NOT NULL,
        record jsonb NOT NULL
    );
    CREATE TABLE IF NOT EXISTS own_digest (
        digest bytea PRIMARY KEY,
        user_id text COLLATE "C" NOT NULL REFERENCES own_account
    );
    CREATE INDEX IF NOT EXISTS own_digest_of_user ON own_digest (user_id);
    CREATE TABLE IF NOT EXISTS own_history (
        user_id text COLLATE "C" NOT NULL REFERENCES own_account,
        revision bigint NOT NULL,
        entry jsonb NOT NULL,
        PRIMARY KEY (user_id, revision)
    )"#;

/// How often a change is tried that has met a deadlock.
const ATTEMPTS: usize = 5;

/// Accounts in three tables of the host's own PostgreSQL database.
pub(crate) struct OwnStore(PgPool);

impl OwnStore {
    pub(crate) const fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    /// Makes the tables; may run again, and on several machines at once.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let made = sqlx::raw_sql(TABLES).execute(&self.0).await;
        made.map(drop).map_err(|error| failure("making the tables", error))
    }
}

/// One change in one transaction; whether it was made.
async fn write(pool: &PgPool, replacement: &Replacement) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    let written = write_account(&mut transaction, replacement).await?
        && write_digests(&mut transaction, &replacement.account).await?;
    if !written {
        transaction.rollback().await?;
        return Ok(false);
    }
    for entry in replacement.entries() {
        sqlx::query("INSERT INTO own_history VALUES ($1, $2, $3::text::jsonb)")
            .bind(entry.user.as_str())
            .bind(signed(entry.revision.as_u64()))
            .bind(json(entry)?)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Writes the account if its revision is still the expected one.
async fn write_account(
    connection: &mut PgConnection,
    replacement: &Replacement,
) -> Result<bool, Error> {
    let account = &replacement.account;
    let insert = "INSERT INTO own_account VALUES ($1, $2, $3::text::jsonb) ON CONFLICT DO NOTHING";
    let update = "UPDATE own_account SET revision = $2, record = $3::text::jsonb
        WHERE user_id = $1 AND revision = $4";
    let mut change = sqlx::query(if replacement.expected.is_none() { insert } else { update })
        .bind(account.user().as_str())
        .bind(signed(account.revision().as_u64()))
        .bind(json(&Record::of(account))?);
    if let Some(expected) = replacement.expected {
        change = change.bind(signed(expected.as_u64()));
    }
    Ok(change.execute(connection).await?.rows_affected() == 1)
}

/// Writes which digests the account names, unless another account names one of them.
async fn write_digests(connection: &mut PgConnection, account: &Account) -> Result<bool, Error> {
    let digests = account.digests().map(|stored| stored.digest.as_bytes().to_vec());
    let mut digests: Vec<_> = digests.collect();
    // In one order, so that two changes seldom wait for each other.
    digests.sort_unstable();
    for statement in [
        "DELETE FROM own_digest WHERE user_id = $1 AND digest <> ALL ($2)",
        "INSERT INTO own_digest SELECT unnest($2::bytea[]), $1 ON CONFLICT DO NOTHING",
    ] {
        let statement = sqlx::query(statement).bind(account.user().as_str()).bind(&digests);
        statement.execute(&mut *connection).await?;
    }
    let others = "SELECT 1 FROM own_digest WHERE digest = ANY ($2) AND user_id <> $1";
    let others = sqlx::query(others).bind(account.user().as_str()).bind(&digests);
    Ok(others.fetch_optional(connection).await?.is_none())
}

#[async_trait]
impl TokenStore for OwnStore {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        const DOING: &str = "looking up a digest";
        let sql = "SELECT user_id, revision, record::text FROM own_account
            JOIN own_digest USING (user_id) WHERE digest = $1";
        let row = sqlx::query(sql).bind(digest.as_bytes().as_slice());
        let row = row.fetch_optional(&self.0).await.map_err(|error| failure(DOING, error))?;
        row.map(|row| account(&row, DOING)).transpose()
    }
}

#[async_trait]
impl AccountStore for OwnStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        const DOING: &str = "loading an account";
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now,
            user_id, revision, record::text
            FROM (SELECT) AS one LEFT JOIN own_account ON user_id = $1";
        let row = sqlx::query(sql).bind(user.as_str()).fetch_one(&self.0).await;
        let row = row.map_err(|error| failure(DOING, error))?;
        let now = Timestamp::from_unix_millis(unsigned(row.get("now")));
        let is_there = row.get::<Option<&str>, _>("user_id").is_some();
        Ok(Loaded::new(is_there.then(|| account(&row, DOING)).transpose()?, now))
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        const DOING: &str = "replacing an account";
        // In a task of its own: where `begin` is dropped half-way, as when a client hangs
        // up, sqlx leaves a connection of the pool inside a transaction.
        let pool = self.0.clone();
        let task = tokio::spawn(async move {
            let mut others = 1..ATTEMPTS;
            loop {
                return match write(&pool, &replacement).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(StoreError::new(StoreErrorKind::Conflict, DOING)),
                    // The account has not changed, so this is no conflict.
                    Err(error) if gave_way(&error) && others.next().is_some() => continue,
                    Err(error) => Err(failure(DOING, error)),
                };
            }
        });
        let unknown =
            |error| StoreError::new(StoreErrorKind::Unavailable, DOING).with_source(error);
        task.await.map_err(|error: tokio::task::JoinError| unknown(error))?
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        const DOING: &str = "listing accounts";
        let sql = "SELECT user_id, revision, record::text FROM own_account
            WHERE user_id > $1 ORDER BY user_id LIMIT $2";
        let rows = sqlx::query(sql).bind(after.map_or("", UserId::as_str)).bind(one_more(size));
        let rows = rows.fetch_all(&self.0).await.map_err(|error| failure(DOING, error))?;
        let accounts = rows.iter().map(|row| account(row, DOING)).collect::<Result<_, _>>()?;
        Ok(Page::of_accounts(accounts, size))
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        const DOING: &str = "reading a history";
        let sql = "SELECT entry::text FROM own_history
            WHERE user_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3";
        let before = before.map_or(i64::MAX, |before| signed(before.as_u64()));
        let rows = sqlx::query(sql).bind(user.as_str()).bind(before).bind(one_more(size));
        let rows = rows.fetch_all(&self.0).await.map_err(|error| failure(DOING, error))?;
        let entries = rows.iter().map(|row| serde_json::from_str(row.get("entry")));
        let entries = entries.collect::<Result<_, _>>().map_err(|error| corrupt(DOING, error))?;
        Ok(Page::of_entries(entries, size))
    }
}

/// One item further than the page, which tells whether more follow.
fn one_more(size: PageSize) -> i64 {
    i64::try_from(size.get()).expect("1 000 at most") + 1
}

/// The manager makes no number beyond what a signed column holds.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}

/// The code that PostgreSQL has given the error.
fn sql_state(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// A deadlock, or a serialization failure.
fn gave_way(error: &Error) -> bool {
    sql_state(error).is_some_and(|state| ["40P01", "40001"].contains(&&*state))
}

/// One kind for each thing that a person would do about it. The server's own words stay
/// out: they may quote a digest.
fn failure(doing: &'static str, error: Error) -> StoreError {
    let Some(state) = sql_state(&error) else {
        return StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error);
    };
    let kind = match &*state {
        "42P01" | "42703" | "3F000" => StoreErrorKind::NotSetUp,
        "42501" | "3D000" => StoreErrorKind::Refused,
        _ if state.starts_with("28") => StoreErrorKind::Refused,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, doing).with_source(format!("SQLSTATE {state}"))
}

fn corrupt(doing: &'static str, source: impl Into<Failed>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, doing).with_source(source)
}

/// The account of a row.
fn account(row: &PgRow, doing: &'static str) -> Result<Arc<Account>, StoreError> {
    let read = || {
        let user = UserId::new(row.try_get::<&str, _>("user_id")?)?;
        let revision = Revision::from_u64(unsigned(row.try_get("revision")?));
        let record: Record = serde_json::from_str(row.try_get("record")?)?;
        record.into_account(user, revision)
    };
    read().map(Arc::new).map_err(|error| corrupt(doing, error))
}

/// What is kept of an account beside its user and revision. A field that is added later
/// has a default, so that earlier records are read.
#[derive(Serialize, Deserialize)]
struct Record {
    methods: MethodSet,
    lifetimes: Lifetimes,
    suspended_since: Option<Timestamp>,
    primary: Option<TokenForm>,
    backup: Option<TokenForm>,
    pending: Option<PendingForm>,
    retired: Vec<(TokenId, DigestForm, Timestamp, Ending)>,
    confirmed: Option<(TokenId, [u8; 32])>,
    next_token: u64,
}

/// A digest and the version of its pepper.
type DigestForm = ([u8; 32], u16);

#[derive(Serialize, Deserialize)]
struct TokenForm {
    id: TokenId,
    digest: DigestForm,
    hint: String,
    made_at: Timestamp,
    active_since: Timestamp,
    expires_at: Option<Timestamp>,
    expiry: Option<ExpiryForm>,
    sealed: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct ExpiryForm {
    of_lifetime: Option<Timestamp>,
    as_backup: Option<Timestamp>,
    unless_used: Option<(Timestamp, Timestamp)>,
    unused_since: Option<Timestamp>,
    notices_done_millis: Option<u64>,
    announced: bool,
}

#[derive(Serialize, Deserialize)]
struct PendingForm {
    token: TokenForm,
    expires_at: Timestamp,
    code: [u8; 32],
    code_made_at: Timestamp,
    code_expires_at: Timestamp,
    replacing_backup: Option<TokenId>,
}

impl Record {
    fn of(account: &Account) -> Self {
        let retired = account.retired().iter();
        let retired = retired.map(|it| (it.id, digest_form(&it.digest), it.at, it.ending));
        Self {
            methods: account.methods().clone(),
            lifetimes: account.lifetimes(),
            suspended_since: account.suspended_since(),
            primary: account.primary().map(TokenForm::of),
            backup: account.backup().map(TokenForm::of),
            pending: account.pending().map(PendingForm::of),
            retired: retired.collect(),
            confirmed: account.confirmed().map(|it| (it.id, *it.code.as_bytes())),
            next_token: account.next_token(),
        }
    }

    fn into_account(self, user: UserId, revision: Revision) -> Result<Account, Failed> {
        let mut account = Account::builder(user).revision(revision).methods(self.methods);
        account = account.lifetimes(self.lifetimes).next_token(self.next_token);
        if let Some(since) = self.suspended_since {
            account = account.suspended_since(since);
        }
        if let Some(token) = self.primary {
            account = account.primary(token.into_record());
        }
        if let Some(token) = self.backup {
            account = account.backup(token.into_record());
        }
        if let Some(pending) = self.pending {
            account = account.pending(pending.into_pending());
        }
        if let Some((id, code)) = self.confirmed {
            account = account.confirmed(Confirmed::new(id, CodeDigest::from_bytes(code)));
        }
        let retired = self.retired.into_iter();
        let retired = retired
            .map(|(id, digest, at, ending)| Retired::new(id, stored_digest(digest), at, ending));
        Ok(account.retired(retired).build()?)
    }
}

fn digest_form(digest: &StoredDigest) -> DigestForm {
    (*digest.digest.as_bytes(), digest.pepper.as_u16())
}

fn stored_digest((digest, pepper): DigestForm) -> StoredDigest {
    StoredDigest::new(TokenDigest::from_bytes(digest), PepperVersion::from_u16(pepper))
}

impl TokenForm {
    fn of(token: &TokenRecord) -> Self {
        Self {
            id: token.id,
            digest: digest_form(&token.digest),
            hint: token.hint.as_str().to_owned(),
            made_at: token.made_at,
            active_since: token.active_since,
            expires_at: token.expires_at,
            expiry: token.expiry.as_deref().map(ExpiryForm::of),
            sealed: token.sealed.as_ref().map(|sealed| sealed.as_bytes().to_vec()),
        }
    }

    fn into_record(self) -> TokenRecord {
        let hint = TokenHint::from_stored(&self.hint);
        let digest = stored_digest(self.digest);
        let mut token = TokenRecord::new(self.id, digest, hint, self.made_at);
        token.active_since = self.active_since;
        token.expires_at = self.expires_at;
        token.expiry = self.expiry.map(|expiry| Box::new(expiry.into_expiry()));
        token.sealed = self.sealed.map(SealedToken::from_bytes);
        token
    }
}

impl ExpiryForm {
    fn of(expiry: &Expiry) -> Self {
        let notices_done = expiry.notices_done.map(|notice| notice.as_millis());
        Self {
            of_lifetime: expiry.of_lifetime,
            as_backup: expiry.as_backup,
            unless_used: expiry.unless_used.map(|end| (end.at, end.announced_at)),
            unused_since: expiry.unused_since,
            notices_done_millis: notices_done.map(|it| u64::try_from(it).unwrap_or(u64::MAX)),
            announced: expiry.announced,
        }
    }

    fn into_expiry(self) -> Expiry {
        let mut expiry = Expiry::default();
        expiry.of_lifetime = self.of_lifetime;
        expiry.as_backup = self.as_backup;
        expiry.unless_used = self.unless_used.map(|(at, announced)| UnusedEnd::new(at, announced));
        expiry.unused_since = self.unused_since;
        expiry.notices_done = self.notices_done_millis.map(Duration::from_millis);
        expiry.announced = self.announced;
        expiry
    }
}

impl PendingForm {
    fn of(pending: &Pending) -> Self {
        Self {
            token: TokenForm::of(&pending.token),
            expires_at: pending.expires_at,
            code: *pending.code.as_bytes(),
            code_made_at: pending.code_made_at,
            code_expires_at: pending.code_expires_at,
            replacing_backup: pending.replacing_backup,
        }
    }

    fn into_pending(self) -> Pending {
        let code = CodeDigest::from_bytes(self.code);
        let Self { expires_at, code_made_at, code_expires_at, .. } = self;
        let token = self.token.into_record();
        let mut pending = Pending::new(token, expires_at, code, code_made_at, code_expires_at);
        pending.replacing_backup = self.replacing_backup;
        pending
    }
}

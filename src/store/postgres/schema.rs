//! The tables, and how they come to be.

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, IsolationLevel};

use super::failure::unavailable;
use super::lent::Lent;
use crate::store::{StoreError, StoreErrorKind};

const DOING: &str = "migrating";

/// Nodes that migrate at the same time do it one after the other. The number is
/// the name's first eight letters.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'746f7765722d6170'::int8)";

/// Both may have been made by an administrator for a user who must not: then not
/// even `IF NOT EXISTS` is allowed.
const FIND: &str = "SELECT to_regnamespace('tower_api_token') IS NOT NULL,
    to_regclass('tower_api_token.migration') IS NOT NULL";

const MIGRATION_TABLE: &str = "
    CREATE TABLE tower_api_token.migration (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )";

/// What has brought each version from the one before. Never changed, only
/// added to.
const MIGRATIONS: [&str; 1] = [ACCOUNTS];

/// User ids are compared byte by byte, whatever the database's collation. No
/// key leads from uses to accounts: it would lock the account's row.
const ACCOUNTS: &str = r#"
    CREATE TABLE tower_api_token.account (
        user_id text COLLATE "C" PRIMARY KEY CHECK (octet_length(user_id) BETWEEN 1 AND 255),
        revision bigint NOT NULL CHECK (revision > 0),
        peppers integer[] NOT NULL,
        record bytea NOT NULL
    );
    CREATE TABLE tower_api_token.digest (
        digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
        user_id text COLLATE "C" NOT NULL REFERENCES tower_api_token.account ON DELETE CASCADE
    );
    CREATE INDEX digest_user_id ON tower_api_token.digest (user_id);
    CREATE TABLE tower_api_token.history (
        user_id text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        at_millis bigint NOT NULL,
        actor text NOT NULL,
        event jsonb NOT NULL,
        PRIMARY KEY (user_id, revision)
    );
    CREATE TABLE tower_api_token.token_use (
        user_id text COLLATE "C" NOT NULL,
        token_id bigint NOT NULL,
        at_millis bigint NOT NULL,
        client text,
        PRIMARY KEY (user_id, token_id)
    );"#;

pub(super) async fn migrate(mut lent: Lent) -> Result<(), StoreError> {
    let version = bring_up_to_date(&mut lent).await.map_err(|error| unavailable(DOING, error))?;
    lent.give_back();
    if version > MIGRATIONS.len() {
        let newer = NewerSchema { version };
        return Err(StoreError::new(StoreErrorKind::Corrupt, DOING).with_source(newer));
    }
    Ok(())
}

/// A database that a later version of this crate has migrated.
#[derive(Debug, thiserror::Error)]
#[error("the schema has version {version}, and this program knows {}", MIGRATIONS.len())]
struct NewerSchema {
    version: usize,
}

/// The version that was found.
async fn bring_up_to_date(lent: &mut Lent) -> Result<usize, Error> {
    // A stricter level would go on seeing what was before the lock was had.
    let transaction = lent.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let transaction = transaction.start().await?;
    transaction.batch_execute(LOCK).await?;
    create_schema(&transaction).await?;
    let version = version(&transaction).await?;
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(version) {
        transaction.batch_execute(migration).await?;
        let applied = "INSERT INTO tower_api_token.migration (version) VALUES ($1)";
        transaction.execute(applied, &[&number]).await?;
    }
    transaction.commit().await?;
    Ok(version)
}

async fn create_schema(transaction: &Transaction<'_>) -> Result<(), Error> {
    let found = transaction.query_one(FIND, &[]).await?;
    if !found.try_get::<_, bool>(0)? {
        transaction.batch_execute("CREATE SCHEMA tower_api_token").await?;
    }
    if !found.try_get::<_, bool>(1)? {
        transaction.batch_execute(MIGRATION_TABLE).await?;
    }
    Ok(())
}

async fn version(transaction: &Transaction<'_>) -> Result<usize, Error> {
    let count = "SELECT coalesce(max(version), 0) FROM tower_api_token.migration";
    let version: i32 = transaction.query_one(count, &[]).await?.try_get(0)?;
    Ok(usize::try_from(version).unwrap_or_default())
}

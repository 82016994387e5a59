//! The tables, and how they come to be.

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, IsolationLevel};

use super::connection::PooledConnection;
use super::error::Doing;
use super::upgrade;
use crate::store::{StoreError, StoreErrorKind};

pub(super) const DOING: &str = "migrating";

/// Nodes that migrate at the same time do it one after the other. The number is
/// the name's first eight letters.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(x'746f7765722d6170'::int8)";

/// Both may have been made by an administrator for a user who must not: then not
/// even `IF NOT EXISTS` is allowed.
const FIND: &str = "SELECT to_regnamespace('tower_api_token') IS NOT NULL,
    to_regclass('tower_api_token.migration') IS NOT NULL";

const MIGRATION_TABLE: &str = "
    CREATE TABLE tower_api_token.migration (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )";

/// In the order in which a look-up locks them. Each migration alters no table of
/// the versions before it but these.
const LOCK_TABLES: &str = "
    LOCK TABLE tower_api_token.digest, tower_api_token.account, tower_api_token.history
    IN ACCESS EXCLUSIVE MODE";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM tower_api_token.migration";

/// What has brought each version from the one before. Never changed, only
/// added to.
const MIGRATIONS: [&str; 3] = [ACCOUNTS, ERASED_AND_PEPPERS, LOG_AND_DUE];

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

/// A digest without a user is one that an erased account named. The renamed
/// column stops programs of version 1 from changing accounts, whose prefixes they
/// would leave as they were; what a look-up reads has kept its names. Where the
/// prefixes of an account are null, `upgrade` has not come to it yet.
const ERASED_AND_PEPPERS: &str = "
    ALTER TABLE tower_api_token.account RENAME COLUMN peppers TO pepper_versions;
    ALTER TABLE tower_api_token.account ADD COLUMN prefixes text[];
    ALTER TABLE tower_api_token.digest
        ALTER COLUMN user_id DROP NOT NULL,
        ADD COLUMN erased_at_millis bigint,
        ADD CHECK ((user_id IS NULL) = (erased_at_millis IS NOT NULL));
    CREATE INDEX digest_erased_at ON tower_api_token.digest (erased_at_millis)
        WHERE erased_at_millis IS NOT NULL;
    CREATE TABLE tower_api_token.pepper_check (
        version integer PRIMARY KEY,
        check_value bytea NOT NULL CHECK (octet_length(check_value) = 32)
    );
    CREATE TABLE tower_api_token.number (
        name text PRIMARY KEY,
        value bigint NOT NULL
    );
    INSERT INTO tower_api_token.number (name, value) VALUES ('erased up to', 0);
    INSERT INTO tower_api_token.number (name, value)
        SELECT name, (extract(epoch FROM clock_timestamp()) * 1000)::int8
        FROM unnest(ARRAY['pepper checks since', 'prefixes missing since']) AS name
        WHERE EXISTS (SELECT FROM tower_api_token.account);";

/// An entry without a position has not been numbered yet, and one without a user says
/// that an account was erased. The renamed columns stop programs of version 2 from
/// changing accounts, which they would leave due when they were, and from erasing
/// them without an entry; what a look-up reads has kept its names. `upgrade` adds the
/// indexes, and after them the number 'audit position'.
const LOG_AND_DUE: &str = r#"
    ALTER TABLE tower_api_token.account RENAME COLUMN pepper_versions TO peppers_in_use;
    ALTER TABLE tower_api_token.account ADD COLUMN due_at_millis bigint;
    ALTER TABLE tower_api_token.digest RENAME COLUMN erased_at_millis TO erased_millis;
    ALTER TABLE tower_api_token.history ADD COLUMN position bigint;
    CREATE TABLE tower_api_token.audit_cursor (
        name text COLLATE "C" PRIMARY KEY,
        position bigint NOT NULL,
        holder bigint NOT NULL,
        until_millis bigint NOT NULL,
        done bigint[] NOT NULL DEFAULT '{}'
    );"#;

pub(super) async fn migrate(mut connection: PooledConnection) -> Result<(), StoreError> {
    if find_version(&connection).await.doing(DOING)? == 0 {
        check_encoding(&connection).await?;
    }
    let version = bring_up_to_date(&mut connection).await?;
    if version > MIGRATIONS.len() {
        connection.release();
        return Err(SchemaFault::of(version).store_error(DOING));
    }
    upgrade::add_indexes(&mut connection).await?;
    upgrade::add_prefixes(&mut connection).await?;
    connection.release();
    Ok(())
}

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
enum SchemaFault {
    #[error("the database has no tables yet: migrate it")]
    Missing,
    #[error(
        "the database has schema version {found}, and this program needs {}: migrate it",
        MIGRATIONS.len()
    )]
    Older { found: usize },
    #[error("an upgrade of the database was broken off, or goes on: migrate it again")]
    Unfinished,
    #[error("the database has schema version {found}, and this program knows {}", MIGRATIONS.len())]
    Newer { found: usize },
}

impl SchemaFault {
    /// What is wrong with a version that is not this program's.
    const fn of(found: usize) -> Self {
        match found {
            0 => Self::Missing,
            found if found > MIGRATIONS.len() => Self::Newer { found },
            found => Self::Older { found },
        }
    }

    fn store_error(self, doing: &'static str) -> StoreError {
        let kind = match self {
            Self::Missing | Self::Older { .. } | Self::Unfinished => StoreErrorKind::NotSetUp,
            Self::Newer { .. } => StoreErrorKind::NewerSchema,
        };
        StoreError::new(kind, doing).with_source(self)
    }
}

/// Refuses to work on a database that does not have this schema.
pub(super) async fn verify(
    connection: &PooledConnection,
    doing: &'static str,
) -> Result<(), StoreError> {
    let found = find_version(connection).await.doing(doing)?;
    if found == MIGRATIONS.len() { Ok(()) } else { Err(SchemaFault::of(found).store_error(doing)) }
}

/// Refuses to count what an upgrade has not gone through to its end.
pub(super) async fn verify_upgraded(
    connection: &PooledConnection,
    doing: &'static str,
) -> Result<(), StoreError> {
    let complete = upgrade::is_complete(connection).await.doing(doing)?;
    if complete { Ok(()) } else { Err(unfinished(doing)) }
}

/// What an upgrade makes at its end is not there yet.
pub(super) fn unfinished(doing: &'static str) -> StoreError {
    SchemaFault::Unfinished.store_error(doing)
}

/// The version that the database has; zero if it has none.
async fn find_version(connection: &PooledConnection) -> Result<usize, Error> {
    match connection.query_one(VERSION, &[]).await {
        Ok(row) => row.try_get::<_, i32>(0).map(|found| usize::try_from(found).unwrap_or_default()),
        Err(error) => match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => Ok(0),
            _ => Err(error),
        },
    }
}

/// A name that the encoding lacks could be stored nowhere.
async fn check_encoding(connection: &PooledConnection) -> Result<(), StoreError> {
    let row = connection.query_one("SHOW server_encoding", &[]).await.doing(DOING)?;
    let found: String = row.try_get(0).doing(DOING)?;
    if found == "UTF8" {
        return Ok(());
    }
    Err(StoreError::new(StoreErrorKind::Refused, DOING).with_source(WrongEncoding { found }))
}

/// A database in which not every user has a name.
#[derive(Debug, thiserror::Error)]
#[error("the database's encoding must be UTF8, and is {found}")]
struct WrongEncoding {
    found: String,
}

/// The version that was found.
async fn bring_up_to_date(connection: &mut PooledConnection) -> Result<usize, StoreError> {
    // A stricter level would go on seeing what was before the lock was had.
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = transaction.start().await.doing(DOING)?;
    transaction.batch_execute(LOCK).await.doing(DOING)?;
    create_schema(&transaction).await.doing(DOING)?;
    let version = version(&transaction).await.doing(DOING)?;
    if (1..MIGRATIONS.len()).contains(&version) {
        upgrade::execute_unlocked(&mut transaction, LOCK_TABLES, &[]).await?;
    }
    add_migrations(&transaction, version).await.doing(DOING)?;
    transaction.commit().await.doing(DOING)?;
    Ok(version)
}

async fn add_migrations(transaction: &Transaction<'_>, version: usize) -> Result<(), Error> {
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(version) {
        transaction.batch_execute(migration).await?;
        let applied = "INSERT INTO tower_api_token.migration (version) VALUES ($1)";
        transaction.execute(applied, &[&number]).await?;
    }
    Ok(())
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
    let version: i32 = transaction.query_one(VERSION, &[]).await?.try_get(0)?;
    Ok(usize::try_from(version).unwrap_or_default())
}

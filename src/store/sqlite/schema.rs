//! The tables, and how a file comes to have them.
//!
//! A later version of the schema that this code could misread must rename what
//! it changes: a connection that is open meanwhile then fails, looks here, and
//! reports [`SchemaError::Newer`]. One that it reads rightly it goes on reading,
//! and changes nothing more.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;
use super::upgrade;
use crate::store::{StoreError, StoreErrorKind};
use crate::time::Timestamp;

/// The version of the schema that this code makes, and the only one it knows.
pub(super) const VERSION: i32 = 2;

/// Marks a file as one of ours: "tapt".
pub(super) const APPLICATION: i32 = 0x7461_7074;

/// Marks a copy that was made as a backup: "tapb". Every version of this code
/// refuses to work on it.
pub(super) const BACKUP: i32 = 0x7461_7062;

/// Accounts are named by a number in the other tables, so that a look-up
/// descends two trees and a long user id stands in one place. A digest without an
/// account is one that an erased account named.
const TABLES: &str = "
CREATE TABLE accounts (
    number   INTEGER PRIMARY KEY,
    user_id  TEXT NOT NULL UNIQUE COLLATE BINARY,
    revision INTEGER NOT NULL CHECK (revision > 0),
    record   BLOB NOT NULL
) STRICT;

CREATE TABLE digests (
    digest    BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account   INTEGER REFERENCES accounts (number),
    pepper    INTEGER NOT NULL,
    in_use    INTEGER NOT NULL CHECK (in_use IN (0, 1)),
    prefix    TEXT NOT NULL,
    erased_at INTEGER,
    CHECK ((account IS NULL) = (erased_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX erased_digests ON digests (erased_at) WHERE erased_at IS NOT NULL;

CREATE TABLE pepper_checks (
    version     INTEGER PRIMARY KEY,
    check_value BLOB NOT NULL CHECK (length(check_value) = 32)
) STRICT;

CREATE TABLE numbers (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    account INTEGER NOT NULL REFERENCES accounts (number),
    token   INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    client  TEXT,
    PRIMARY KEY (account, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    account  INTEGER NOT NULL REFERENCES accounts (number),
    revision INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    event    TEXT NOT NULL,
    PRIMARY KEY (account, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id   TEXT COLLATE BINARY,
    revision  INTEGER,
    digests   BLOB,
    heartbeat INTEGER
) STRICT;
";

/// Why a file cannot be used: the [`source`](std::error::Error::source) of the
/// store's errors until it is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The file has no tables yet: call
    /// [`SqliteStore::migrate`](super::SqliteStore::migrate).
    #[error("the file has no tables yet: migrate it")]
    Missing,
    /// An earlier version of this crate has made the file: call
    /// [`SqliteStore::migrate`](super::SqliteStore::migrate).
    #[error("the file has schema version {found}, and this program needs {VERSION}: migrate it")]
    Older {
        /// The version that the file has.
        found: i32,
    },
    /// A later version of this crate has migrated the file.
    #[error("the file has schema version {found}, and this program knows {VERSION}")]
    Newer {
        /// The version that the file has.
        found: i32,
    },
    /// The file holds the tables of another program.
    #[error("the file belongs to another program: a store needs a file of its own")]
    Foreign,
    /// The file is a copy made by [`SqliteStore::backup`](super::SqliteStore::backup),
    /// in which tokens are live that have ended since: restore it first.
    #[error("the file is a backup, in which tokens are live that have ended since: restore it")]
    Backup,
}

impl SchemaError {
    /// The kind of the store's errors that this is the source of.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Missing | Self::Older { .. } | Self::Foreign | Self::Backup => {
                StoreErrorKind::NotSetUp
            }
            Self::Newer { .. } => StoreErrorKind::NewerSchema,
        }
    }
}

/// Whether the error says that the file is not migrated yet, and nothing else.
pub(super) fn is_older(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(SchemaError::Older { .. }))
}

/// Refuses to work on a file that does not have this schema.
pub(super) fn verify(connection: &Connection) -> Result<(), Failure> {
    let pragma = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
    match (pragma("PRAGMA application_id")?, pragma("PRAGMA user_version")?) {
        (APPLICATION, VERSION) => Ok(()),
        (APPLICATION, found) if found > VERSION => Err(SchemaError::Newer { found }.into()),
        (BACKUP, _) => Err(SchemaError::Backup.into()),
        (APPLICATION, found) if found > 0 => Err(SchemaError::Older { found }.into()),
        (0, 0) if is_empty(connection)? => Err(SchemaError::Missing.into()),
        _ => Err(SchemaError::Foreign.into()),
    }
}

fn is_empty(connection: &Connection) -> Result<bool, Failure> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM sqlite_schema")?;
    Ok(count.query_row([], |row| row.get(0)).map(|tables: i64| tables == 0)?)
}

/// Makes the tables if the file has none, and brings older ones up to date.
/// Everyone else who tries at the same time waits for the write lock and then
/// finds them made.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match verify(&transaction) {
        Err(Failure::Schema(SchemaError::Missing)) => transaction.execute_batch(TABLES)?,
        Err(Failure::Schema(SchemaError::Older { found: 1 })) => {
            upgrade::to_version_2(&transaction, now)?;
        }
        verified => return verified,
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

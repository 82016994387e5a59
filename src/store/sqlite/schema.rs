//! The tables, and how a file comes to have them.
//!
//! A later version of the schema that this code could misread must rename what
//! it changes: a connection that is open meanwhile then fails, looks here, and
//! reports [`SqliteError::NewerSchema`]. One that it reads rightly it goes on reading,
//! and changes nothing more.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Failure, SqliteError};
use super::{read, write};
use crate::account::Account;
use crate::store::StoreError;
use crate::time::Timestamp;

/// The version of the schema that this code makes, and the only one it knows.
pub(super) const VERSION: i32 = 3;

/// Marks a file as one of ours: "tapt".
pub(super) const APPLICATION: i32 = 0x7461_7074;

/// Marks a copy that was made as a backup: "tapb". Every version of this code
/// refuses to work on it.
pub(super) const BACKUP: i32 = 0x7461_7062;

/// Accounts are named by a number in the other tables, so that a look-up
/// descends two trees and a long user id stands in one place. A digest without an
/// account is one that an erased account named; an entry of the history without one
/// says that an account was erased. There is one writer at a time, so an entry that
/// can be read has a position behind all that could be read before.
const TABLES: &str = "
CREATE TABLE accounts (
    number   INTEGER PRIMARY KEY,
    user_id  TEXT NOT NULL UNIQUE COLLATE BINARY,
    revision INTEGER NOT NULL CHECK (revision > 0),
    record   BLOB NOT NULL,
    due_at   INTEGER
) STRICT;

CREATE INDEX due_accounts ON accounts (due_at, user_id) WHERE due_at IS NOT NULL;

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
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    account  INTEGER REFERENCES accounts (number),
    revision INTEGER,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    event    TEXT NOT NULL,
    UNIQUE (account, revision),
    CHECK ((account IS NULL) = (revision IS NULL))
) STRICT;

CREATE TABLE cursors (
    name     TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    holder   INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    done     BLOB NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id   TEXT COLLATE BINARY,
    revision  INTEGER,
    digests   BLOB,
    heartbeat INTEGER
) STRICT;
";

/// Whether the error says that the file is not migrated yet, and nothing else.
pub(super) fn is_older(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    matches!(source, Some(SqliteError::OlderSchema { .. }))
}

/// The program's number, the schema's version and the count of tables, as of one
/// instant.
const IDENTITY: &str = "
SELECT (SELECT application_id FROM pragma_application_id),
       (SELECT user_version FROM pragma_user_version),
       (SELECT count(*) FROM sqlite_schema)";

/// Refuses to work on a file that does not have this schema.
pub(super) fn verify(connection: &Connection) -> Result<(), Failure> {
    let found =
        (pragma(connection, "PRAGMA application_id")?, pragma(connection, "PRAGMA user_version")?);
    if found == (APPLICATION, VERSION) {
        return Ok(());
    }
    // Somebody may have migrated the file between the two.
    let mut identity = connection.prepare_cached(IDENTITY)?;
    let found = identity.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Err(Failure::Schema(match found {
        (APPLICATION, VERSION, _) => return Ok(()),
        (APPLICATION, found, _) if found > VERSION => SqliteError::NewerSchema { found },
        (BACKUP, ..) => SqliteError::Backup,
        (APPLICATION, found, _) if found > 0 => SqliteError::OlderSchema { found },
        (0, 0, 0) => SqliteError::NoTables,
        _ => SqliteError::Foreign,
    }))
}

fn pragma(connection: &Connection, sql: &str) -> Result<i32, Failure> {
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Makes the tables if the file has none, and brings older ones up to date.
/// Everyone else who tries at the same time waits for the write lock and then
/// finds them made.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match verify(&transaction) {
        Err(Failure::Schema(SqliteError::NoTables)) => transaction.execute_batch(TABLES)?,
        Err(Failure::Schema(SqliteError::OlderSchema { found })) => {
            if found == 1 {
                to_version_2(&transaction, now)?;
            }
            transaction.execute_batch(TABLES_3)?;
        }
        verified => return verified,
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// What brings version 1 to version 2. What has been released here is never
/// changed: tables stand here as that version had them, whatever a later one makes
/// of those above.
///
/// The table of digests is made anew, since a column cannot come to allow that
/// nothing stands in it. It keeps its name and what a look-up reads of it, so that
/// programs of version 1 which are running go on with that.
const TABLES_2: &str = "
CREATE TABLE digests_2 (
    digest    BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account   INTEGER REFERENCES accounts (number),
    pepper    INTEGER NOT NULL,
    in_use    INTEGER NOT NULL CHECK (in_use IN (0, 1)),
    prefix    TEXT NOT NULL,
    erased_at INTEGER,
    CHECK ((account IS NULL) = (erased_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO digests_2 (digest, account, pepper, in_use, prefix)
SELECT digest, account, pepper, in_use, '' FROM digests ORDER BY digest;

DROP TABLE digests;

ALTER TABLE digests_2 RENAME TO digests;

CREATE INDEX erased_digests ON digests (erased_at) WHERE erased_at IS NOT NULL;

CREATE TABLE pepper_checks (
    version     INTEGER PRIMARY KEY,
    check_value BLOB NOT NULL CHECK (length(check_value) = 32)
) STRICT;

CREATE TABLE numbers (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const ACCOUNTS: &str = "SELECT record, number FROM accounts";

const SET_PREFIX: &str = "UPDATE digests SET prefix = ?2 WHERE digest = ?1";

/// Adds the prefix of each token in use, what is kept of erased accounts and of
/// peppers; and deletes the uses of tokens that their account has forgotten,
/// which version 1 kept.
fn to_version_2(connection: &Connection, now: Timestamp) -> Result<(), Failure> {
    connection.execute_batch(TABLES_2)?;
    let mut accounts = connection.prepare(ACCOUNTS)?;
    let mut rows = accounts.query([])?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        let (account, number): (Arc<Account>, i64) = (read::account(row)?, row.get(1)?);
        set_prefixes(connection, &account)?;
        write::forget_uses(connection, number, &account)?;
        any = true;
    }
    if any {
        write::set_number(connection, read::CHECKS_SINCE, now.unix_millis())?;
    }
    Ok(())
}

fn set_prefixes(connection: &Connection, account: &Account) -> Result<(), Failure> {
    let mut set = connection.prepare_cached(SET_PREFIX)?;
    for token in account.tokens_in_use() {
        if let Some(prefix) = token.hint.prefix() {
            set.execute((token.digest.digest.as_bytes(), prefix.as_str()))?;
        }
    }
    Ok(())
}

/// What brings version 2 to version 3: positions in the log of all accounts, and
/// when an account is due.
///
/// The table of histories is made anew, since an account may come to be missing
/// there. Its rows are given positions in an order that agrees with each account's
/// revisions, and with the time where a clock has not gone back. It keeps its name and
/// what was read of it, so that programs of the versions before, which can write
/// nothing more, go on with that.
const TABLES_3: &str = "
ALTER TABLE accounts ADD COLUMN due_at INTEGER;

CREATE INDEX due_accounts ON accounts (due_at, user_id) WHERE due_at IS NOT NULL;

CREATE TABLE history_3 (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    account  INTEGER REFERENCES accounts (number),
    revision INTEGER,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    event    TEXT NOT NULL,
    UNIQUE (account, revision),
    CHECK ((account IS NULL) = (revision IS NULL))
) STRICT;

INSERT INTO history_3 (account, revision, at, actor, event)
SELECT account, revision, at, actor, event FROM history
ORDER BY max(at) OVER (PARTITION BY account ORDER BY revision), account, revision;

DROP TABLE history;

ALTER TABLE history_3 RENAME TO history;

CREATE TABLE cursors (
    name     TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    holder   INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    done     BLOB NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;
";

//! From one version of the schema to the next. What has been released here is
//! never changed: tables stand here as that version had them, whatever a later one
//! makes of those in `schema`.

use std::sync::Arc;

use rusqlite::Connection;

use super::failure::Failure;
use super::{read, write};
use crate::account::Account;
use crate::time::Timestamp;

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
pub(super) fn to_version_2(connection: &Connection, now: Timestamp) -> Result<(), Failure> {
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

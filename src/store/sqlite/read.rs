//! What is read, each by one prepared statement: one state of the file.

use std::sync::Arc;

use rusqlite::{Connection, Row, ToSql};

use super::error::Failure;
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::record::{decode, decode_actor, decode_event};
use crate::store::{Page, PageSize};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenId, TokenPrefix};
use crate::user::{ClientLabel, UserId};

/// The text is what a prepared statement is found by: it is kept short.
const FIND: &str = "SELECT record FROM digests JOIN accounts ON number = account WHERE digest = ?1";

const LOAD: &str = "SELECT record FROM accounts WHERE user_id = ?1";

const LIST: &str = "SELECT record FROM accounts WHERE user_id > ?1 ORDER BY user_id LIMIT ?2";

const USAGE: &str = "
    SELECT token, at, client FROM usage
    WHERE account = (SELECT number FROM accounts WHERE user_id = ?1) ORDER BY token";

const HISTORY: &str = "
    SELECT revision, at, actor, event FROM history
    WHERE account = (SELECT number FROM accounts WHERE user_id = ?1) AND revision <= ?2
    ORDER BY revision DESC LIMIT ?3";

const PEPPER_VERSIONS: &str = "
    SELECT pepper, count(*) FROM digests WHERE in_use = 1 GROUP BY pepper ORDER BY pepper";

const PREFIXES: &str = "
    SELECT prefix, count(*) FROM digests WHERE in_use = 1 GROUP BY prefix ORDER BY prefix";

const PEPPER_CHECKS: &str = "SELECT version, check_value FROM pepper_checks ORDER BY version";

const NUMBER: &str = "SELECT value FROM numbers WHERE name = ?1";

/// The number that erased accounts have reached.
pub(super) const ERASED_UP_TO: &str = "erased up to";

/// Since when check values of peppers are kept, if accounts are older.
pub(super) const CHECKS_SINCE: &str = "pepper checks since";

pub(super) fn find(
    connection: &Connection,
    digest: &TokenDigest,
) -> Result<Option<Arc<Account>>, Failure> {
    one(connection, FIND, digest.as_bytes())
}

/// The account, and the number that erased ones have reached. In this order: if
/// this very one is erased between the two, its number is seen.
pub(super) fn load(
    connection: &Connection,
    user: &UserId,
) -> Result<(Option<Arc<Account>>, u64), Failure> {
    let account = one(connection, LOAD, user.as_str())?;
    Ok((account, kept_number(connection, ERASED_UP_TO)?.unwrap_or_default()))
}

pub(super) fn kept_number(connection: &Connection, name: &str) -> Result<Option<u64>, Failure> {
    let mut number = connection.prepare_cached(NUMBER)?;
    let mut rows = number.query([name])?;
    Ok(rows.next()?.map(|row| self::number(row, 0)).transpose()?)
}

/// The one account that a statement finds by this key.
fn one(
    connection: &Connection,
    statement: &str,
    key: impl ToSql,
) -> Result<Option<Arc<Account>>, Failure> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(account).transpose()
}

pub(super) fn list(
    connection: &Connection,
    after: Option<&UserId>,
    size: PageSize,
) -> Result<Page<Arc<Account>>, Failure> {
    // No user id is empty, so every one comes after the empty text.
    let after = after.map_or("", UserId::as_str);
    let mut statement = connection.prepare_cached(LIST)?;
    let accounts = statement.query_and_then((after, size.get() as i64 + 1), account)?;
    Ok(Page::of_accounts(accounts.collect::<Result<_, _>>()?, size))
}

pub(super) fn usage(connection: &Connection, user: &UserId) -> Result<Vec<LastUse>, Failure> {
    let mut statement = connection.prepare_cached(USAGE)?;
    let uses = statement.query_and_then([user.as_str()], |row| {
        let (token, at) = (TokenId::from_u64(number(row, 0)?), number(row, 1)?);
        Ok(LastUse::new(token, Timestamp::from_unix_millis(at), client(row)?))
    })?;
    uses.collect()
}

fn client(row: &Row<'_>) -> Result<Option<ClientLabel>, Failure> {
    let label = row.get_ref(2)?.as_str_or_null()?;
    Ok(label.and_then(|label| ClientLabel::new(label).ok()))
}

pub(super) fn history(
    connection: &Connection,
    user: &UserId,
    before: Option<Revision>,
    size: PageSize,
) -> Result<Page<AuditEntry, Revision>, Failure> {
    let last = before.map_or(u64::MAX, |before| before.as_u64().saturating_sub(1));
    let last = i64::try_from(last).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(HISTORY)?;
    let parameters = (user.as_str(), last, size.get() as i64 + 1);
    let entries = statement.query_and_then(parameters, |row| entry(user, row))?;
    Ok(Page::of_entries(entries.collect::<Result<_, _>>()?, size))
}

/// The entry that the row's first columns are: revision, time, actor and event.
pub(super) fn entry(user: &UserId, row: &Row<'_>) -> Result<AuditEntry, Failure> {
    let (revision, at) = (Revision::from_u64(number(row, 0)?), number(row, 1)?);
    let actor = decode_actor(row.get_ref(2)?.as_str()?)?;
    let event = decode_event(row.get_ref(3)?.as_str()?)?;
    let at = Timestamp::from_unix_millis(at);
    Ok(AuditEntry::new(user.clone(), revision, at, actor, event))
}

pub(super) fn pepper_versions(
    connection: &Connection,
) -> Result<Vec<(PepperVersion, u64)>, Failure> {
    let mut statement = connection.prepare_cached(PEPPER_VERSIONS)?;
    let versions = statement
        .query_and_then([], |row| Ok((PepperVersion::from_u16(row.get(0)?), number(row, 1)?)))?;
    versions.collect()
}

/// Those of a form that this crate does not generate stand under an empty text.
pub(super) fn prefixes(
    connection: &Connection,
) -> Result<Vec<(Option<TokenPrefix>, u64)>, Failure> {
    let mut statement = connection.prepare_cached(PREFIXES)?;
    let prefixes = statement.query_and_then([], |row| {
        Ok((TokenPrefix::new(row.get_ref(0)?.as_str()?).ok(), number(row, 1)?))
    })?;
    prefixes.collect()
}

pub(super) fn pepper_checks(connection: &Connection) -> Result<PepperChecks, Failure> {
    let mut statement = connection.prepare_cached(PEPPER_CHECKS)?;
    let checks = statement.query_and_then([], |row| {
        let version = PepperVersion::from_u16(row.get(0)?);
        Ok::<_, Failure>((version, PepperCheck::from_bytes(row.get(1)?)))
    })?;
    let mut checks = PepperChecks::new(checks.collect::<Result<_, _>>()?);
    let since = kept_number(connection, CHECKS_SINCE)?;
    checks.kept_since = since.map(Timestamp::from_unix_millis);
    Ok(checks)
}

/// The account whose record is the row's first column.
pub(super) fn account(row: &Row<'_>) -> Result<Arc<Account>, Failure> {
    Ok(Arc::new(decode(row.get_ref(0)?.as_blob()?)?))
}

/// SQLite's numbers have a sign: the same 64 bits.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::{OpenFlags, StatementStatus};

    use super::*;
    use crate::store::SqliteOptions;
    use crate::store::sqlite::{connection, schema};

    #[test]
    fn a_look_up_does_not_make_its_statement_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let options = SqliteOptions::new();
        let writer = connection::writer(&path, &options, OpenFlags::SQLITE_OPEN_CREATE);
        schema::migrate(&mut writer.unwrap(), Timestamp::default()).unwrap();
        let reader = connection::reader(&path, &options, Duration::ZERO).unwrap();
        for byte in 0..100 {
            assert!(find(&reader, &TokenDigest::from_bytes([byte; 32])).unwrap().is_none());
        }
        let statement = reader.prepare_cached(FIND).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 100);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}

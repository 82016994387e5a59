//! Questions to the database, each of them one statement.
//!
//! Those that decisions are made by ask for the position in the log too: a
//! standby fails at that, where it would else answer by the past.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::connection::{Hidden, PooledConnection};
use super::error::{Doing, corrupt};
use super::schema::verify_upgraded;
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::record::{decode, decode_actor, decode_event};
use crate::store::{Loaded, Page, PageSize, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenId, TokenPrefix};
use crate::user::{ClientLabel, UserId};

pub(super) const ACCOUNT: &str = "reading an account";
pub(super) const LIST: &str = "listing accounts";
pub(super) const USAGE: &str = "reading last uses";
pub(super) const HISTORY: &str = "reading a history";
pub(super) const PEPPERS: &str = "counting pepper versions";
pub(super) const PREFIXES: &str = "counting prefixes";
pub(super) const CHECKS: &str = "reading pepper check values";

pub(super) async fn find(
    connection: PooledConnection,
    digest: &TokenDigest,
) -> Result<Option<Arc<Account>>, StoreError> {
    const FIND: &str = "
        SELECT account.record
        FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
        LEFT JOIN (tower_api_token.digest JOIN tower_api_token.account USING (user_id))
        ON digest.digest = $1";
    let rows = ask(connection, ACCOUNT, FIND, &[&Hidden(&digest.as_bytes()[..])]).await?;
    found(&rows)
}

pub(super) async fn load(
    connection: PooledConnection,
    user: &UserId,
) -> Result<Loaded, StoreError> {
    const LOAD: &str = "
        SELECT account.record, (extract(epoch FROM clock_timestamp()) * 1000)::int8,
            (SELECT value FROM tower_api_token.number WHERE name = 'erased up to')
        FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
        LEFT JOIN tower_api_token.account ON account.user_id = $1";
    let rows = ask(connection, ACCOUNT, LOAD, &[&user.as_str()]).await?;
    let now = column(only(&rows)?, 1, ACCOUNT)?;
    let erased: Option<i64> = column(only(&rows)?, 2, ACCOUNT)?;
    let loaded = Loaded::new(found(&rows)?, time(now));
    Ok(loaded.with_erased_up_to(number(erased.unwrap_or_default())))
}

pub(super) async fn list(
    connection: PooledConnection,
    after: Option<&UserId>,
    size: PageSize,
) -> Result<Page<Arc<Account>>, StoreError> {
    const LIST_AFTER: &str = "
        SELECT record FROM tower_api_token.account WHERE user_id > $1 ORDER BY user_id LIMIT $2";
    let after = after.map_or("", UserId::as_str);
    let rows = ask(connection, LIST, LIST_AFTER, &[&after, &one_further(size)]).await?;
    let accounts = rows.iter().map(account).collect::<Result<_, _>>()?;
    Ok(Page::of_accounts(accounts, size))
}

pub(super) async fn usage(
    connection: PooledConnection,
    user: &UserId,
) -> Result<Vec<LastUse>, StoreError> {
    const LAST_USES: &str = "
        SELECT token_id, at_millis, client FROM tower_api_token.token_use
        WHERE user_id = $1 ORDER BY token_id";
    let rows = ask(connection, USAGE, LAST_USES, &[&user.as_str()]).await?;
    rows.iter().map(last_use).collect()
}

pub(super) async fn history(
    connection: PooledConnection,
    user: &UserId,
    before: Option<Revision>,
    size: PageSize,
) -> Result<Page<AuditEntry, Revision>, StoreError> {
    const ENTRIES: &str = "
        SELECT revision, at_millis, actor, event::text FROM tower_api_token.history
        WHERE user_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3";
    let before = before.map_or(i64::MAX, |before| signed(before.as_u64()));
    let parameters: [&(dyn ToSql + Sync); 3] = [&user.as_str(), &before, &one_further(size)];
    let rows = ask(connection, HISTORY, ENTRIES, &parameters).await?;
    let entries = rows.iter().map(|row| audit_entry(user, row)).collect::<Result<_, _>>()?;
    Ok(Page::of_entries(entries, size))
}

/// Few accounts differ in this, so they are counted before their tokens are: that
/// takes less than half the time.
pub(super) async fn pepper_versions(
    connection: PooledConnection,
) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
    const COUNT: &str = "
        SELECT pepper, sum(accounts)::int8 FROM (
            SELECT peppers_in_use, count(*) AS accounts FROM tower_api_token.account
            GROUP BY peppers_in_use
        ) AS alike, unnest(peppers_in_use) AS pepper
        GROUP BY pepper ORDER BY pepper";
    let rows = ask(connection, PEPPERS, COUNT, &[]).await?;
    rows.iter().map(pepper_count).collect()
}

pub(super) async fn prefixes(
    connection: PooledConnection,
) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
    const COUNT: &str = "
        SELECT prefix, sum(accounts)::int8 FROM (
            SELECT prefixes, count(*) AS accounts FROM tower_api_token.account GROUP BY prefixes
        ) AS alike, unnest(prefixes) AS prefix
        GROUP BY prefix ORDER BY prefix";
    verify_upgraded(&connection, PREFIXES).await?;
    let rows = ask(connection, PREFIXES, COUNT, &[]).await?;
    let count = |row: &Row| {
        let prefix: Option<&str> = column(row, 0, PREFIXES)?;
        let prefix = prefix.and_then(|prefix| TokenPrefix::new(prefix).ok());
        Ok((prefix, number(column(row, 1, PREFIXES)?)))
    };
    rows.iter().map(count).collect()
}

pub(super) async fn pepper_checks(
    connection: PooledConnection,
) -> Result<PepperChecks, StoreError> {
    const SINCE: &str = "
        SELECT value FROM tower_api_token.number WHERE name = 'pepper checks since'";
    const VALUES: &str = "
        SELECT version, check_value FROM tower_api_token.pepper_check ORDER BY version";
    let since = connection.query_opt(SINCE, &[]).await.doing(CHECKS)?;
    let rows = connection.query(VALUES, &[]).await.doing(CHECKS)?;
    connection.release();
    let mut checks =
        PepperChecks::new(rows.iter().map(version_and_check).collect::<Result<_, _>>()?);
    let since = since.map(|row| row.try_get(0)).transpose();
    let since: Option<i64> = since.map_err(|error| corrupt(CHECKS, error))?;
    checks.kept_since = since.map(|since| Timestamp::from_unix_millis(number(since)));
    Ok(checks)
}

fn version_and_check(row: &Row) -> Result<(PepperVersion, PepperCheck), StoreError> {
    let version: i32 = row.try_get(0).map_err(|error| corrupt(CHECKS, error))?;
    let version = u16::try_from(version);
    let version = version.map_err(|_| StoreError::new(StoreErrorKind::Corrupt, CHECKS))?;
    Ok((PepperVersion::from_u16(version), check(row, 1, CHECKS)?))
}

/// The check value in that column.
pub(super) fn check(
    row: &Row,
    place: usize,
    doing: &'static str,
) -> Result<PepperCheck, StoreError> {
    let bytes: &[u8] = row.try_get(place).map_err(|error| corrupt(doing, error))?;
    let bytes = bytes.try_into().map_err(|_| StoreError::new(StoreErrorKind::Corrupt, doing))?;
    Ok(PepperCheck::from_bytes(bytes))
}

pub(super) async fn ask(
    connection: PooledConnection,
    doing: &'static str,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, StoreError> {
    let statement = connection.prepare_cached(statement).await.doing(doing)?;
    let rows = connection.query(&statement, parameters).await.doing(doing)?;
    connection.release();
    Ok(rows)
}

pub(super) fn column<'a, T: FromSql<'a>>(
    row: &'a Row,
    place: usize,
    doing: &'static str,
) -> Result<T, StoreError> {
    row.try_get(place).map_err(|error| corrupt(doing, error))
}

/// The account in the first column of the only row, if any.
fn found(rows: &[Row]) -> Result<Option<Arc<Account>>, StoreError> {
    let record: Option<&[u8]> = column(only(rows)?, 0, ACCOUNT)?;
    Ok(record.map(decode).transpose()?.map(Arc::new))
}

fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, ACCOUNT))
}

/// The account in the row's first column.
fn account(row: &Row) -> Result<Arc<Account>, StoreError> {
    column(row, 0, ACCOUNT).and_then(decode).map(Arc::new)
}

fn last_use(row: &Row) -> Result<LastUse, StoreError> {
    let token = TokenId::from_u64(column::<i64>(row, 0, USAGE)?.cast_unsigned());
    let client: Option<&str> = column(row, 2, USAGE)?;
    // What cannot be a label says nothing; the time of the use still does.
    let client = client.and_then(|client| ClientLabel::new(client).ok());
    Ok(LastUse::new(token, time(column(row, 1, USAGE)?), client))
}

/// The entry that the row's first columns are: revision, time, actor and event.
pub(super) fn audit_entry(user: &UserId, row: &Row) -> Result<AuditEntry, StoreError> {
    let revision = Revision::from_u64(number(column(row, 0, HISTORY)?));
    let at = time(column(row, 1, HISTORY)?);
    let actor = decode_actor(column(row, 2, HISTORY)?)?;
    let event = decode_event(column(row, 3, HISTORY)?)?;
    Ok(AuditEntry::new(user.clone(), revision, at, actor, event))
}

fn pepper_count(row: &Row) -> Result<(PepperVersion, u64), StoreError> {
    let version = u16::try_from(column::<i32>(row, 0, PEPPERS)?);
    let corrupt = |_| StoreError::new(StoreErrorKind::Corrupt, PEPPERS);
    let version = PepperVersion::from_u16(version.map_err(corrupt)?);
    Ok((version, number(column(row, 1, PEPPERS)?)))
}

/// A counter or a time as the database keeps it. Both stay below the limit for
/// longer than anything here will run.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A counter or a time as it is.
pub(super) fn number(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or_default()
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(number(millis))
}

/// One more than fits, to know whether more follow.
pub(super) fn one_further(size: PageSize) -> i64 {
    signed(size.get() as u64 + 1)
}

//! The log of all accounts' entries, and the cursors of its readers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};

use super::SqliteStore;
use super::error::Failure;
use super::read::{entry, number};
use super::write::ordered_time;
use crate::audit::AccountErased;
use crate::store::audit_log::{KEPT_AT_LEAST, or_unreadable};
use crate::store::record::decode_actor;
use crate::store::{
    AuditCursor, AuditItem, AuditLog, AuditPosition, PageSize, StoreError, StoreErrorKind,
};
use crate::time::Timestamp;
use crate::user::UserId;

const READING: &str = "reading the audit log";
const PRUNING: &str = "pruning the audit log";
const READING_DONE: &str = "reading what is done";

/// How many entries are looked at in one transaction, so that a change need not wait
/// long behind them, and how many are removed by one call, so that it ends in time.
const PRUNED_AT_ONCE: i64 = 1_000;
const PRUNED_AT_MOST: u64 = 100_000;

const LOG: &str = "
    SELECT history.revision, at, actor, event, position, user_id
    FROM history LEFT JOIN accounts ON number = account
    WHERE position > ?1 ORDER BY position LIMIT ?2";

/// Also of entries that are gone.
const END: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'history'";

/// None if all of them are too young.
const LAST_OF_NEXT: &str = "
    SELECT max(position) FROM (
        SELECT position, at FROM history WHERE position > ?1 ORDER BY position LIMIT ?2)
    HAVING min(at) < ?3";

const READ_BY_ALL: &str = "SELECT min(position) FROM cursors";

/// An entry stays behind one of its account that stays.
const PRUNE: &str = "
    DELETE FROM history AS entry
    WHERE position > ?1 AND position <= ?2 AND at < ?3 AND (account IS NULL OR (
        EXISTS (
            SELECT 1 FROM history AS later
            WHERE later.account = entry.account AND later.revision > entry.revision)
        AND NOT EXISTS (
            SELECT 1 FROM history AS earlier
            WHERE earlier.account = entry.account AND earlier.revision < entry.revision
                AND earlier.at >= ?3)))";

const CURSORS: &str = "SELECT name, position FROM cursors ORDER BY name";

const LEASE: &str = "
    INSERT INTO cursors (name, position, holder, until) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE holder = excluded.holder OR until <= ?5
    RETURNING position";

const MOVE: &str =
    "UPDATE cursors SET position = max(position, ?3) WHERE name = ?1 AND holder = ?2";

/// The positions one after the other, eight bytes each.
const KEEP_DONE: &str = "UPDATE cursors SET done = ?3 WHERE name = ?1 AND holder = ?2";

const DONE: &str = "SELECT done FROM cursors WHERE name = ?1";

const REMOVE: &str = "DELETE FROM cursors WHERE name = ?1";

#[async_trait]
impl AuditLog for SqliteStore {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        self.read_elsewhere(READING, move |connection| page(connection, after, size)).await
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        self.read(READING, end).await.map(position)
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.min(self.clock.now() - KEPT_AT_LEAST);
        let (mut after, mut removed) = (0, 0);
        while removed < PRUNED_AT_MOST {
            let prune = move |connection: &Connection| prune_next(connection, after, before);
            let Some((last, pruned)) = self.writer.transaction(PRUNING, prune).await? else {
                break;
            };
            removed += pruned;
            after = last;
        }
        Ok(removed)
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        self.read("reading cursors", cursors).await
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let (name, clock) = (name.to_owned(), Arc::clone(&self.clock));
        self.writer
            .change("leasing a cursor", move |connection| {
                lease(connection, &name, holder, clock.now(), time)
            })
            .await
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        let (name, holder, to) = (name.to_owned(), holder.cast_signed(), stored(to));
        self.writer
            .change("moving a cursor", move |connection| {
                Ok(connection.prepare_cached(MOVE)?.execute((name, holder, to))? > 0)
            })
            .await
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        let bytes: Vec<_> = done.iter().flat_map(|done| done.as_u64().to_be_bytes()).collect();
        let (name, holder) = (name.to_owned(), holder.cast_signed());
        self.writer
            .change("keeping what is done", move |connection| {
                Ok(connection.prepare_cached(KEEP_DONE)?.execute((name, holder, bytes))? > 0)
            })
            .await
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        let name = name.to_owned();
        self.read(READING_DONE, move |connection| done(connection, &name)).await
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer
            .change("removing a cursor", move |connection| {
                connection.prepare_cached(REMOVE)?.execute([name])?;
                Ok(())
            })
            .await
    }
}

fn page(
    connection: &Connection,
    after: AuditPosition,
    size: PageSize,
) -> Result<Vec<(AuditPosition, AuditItem)>, Failure> {
    let mut log = connection.prepare_cached(LOG)?;
    let items = log.query_and_then((stored(after), size.get() as i64), item)?;
    items.collect()
}

fn item(row: &Row<'_>) -> Result<(AuditPosition, AuditItem), Failure> {
    let read = known(row).map_err(|failure| failure.store_error(READING));
    let user = row.get_ref(5)?.as_str().ok();
    let at = number(row, 1).ok().map(Timestamp::from_unix_millis);
    Ok((position(row.get(4)?), or_unreadable(read, user, at)?))
}

/// The entry, or where it is of no account, that one was erased.
fn known(row: &Row<'_>) -> Result<AuditItem, Failure> {
    Ok(match row.get_ref(5)?.as_str_or_null()? {
        Some(user) => {
            let corrupt = StoreError::new(StoreErrorKind::Corrupt, READING);
            let user = UserId::new(user).map_err(|cause| corrupt.with_source(cause))?;
            AuditItem::Entry(entry(&user, row)?)
        }
        None => AuditItem::Erased(AccountErased {
            at: Timestamp::from_unix_millis(number(row, 1)?),
            actor: decode_actor(row.get_ref(2)?.as_str()?)?,
        }),
    })
}

fn end(connection: &Connection) -> Result<i64, Failure> {
    let mut end = connection.prepare_cached(END)?;
    Ok(end.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
}

/// Removes what can go of the entries that come next, and answers with the last of
/// them and how many have gone; `None` if none comes that is old enough.
fn prune_next(
    connection: &Connection,
    after: i64,
    before: Timestamp,
) -> Result<Option<(i64, u64)>, Failure> {
    let before = ordered_time(before);
    let last: Option<i64> = connection
        .prepare_cached(LAST_OF_NEXT)?
        .query_row((after, PRUNED_AT_ONCE, before), |row| row.get(0))
        .optional()?;
    let read: Option<i64> =
        connection.prepare_cached(READ_BY_ALL)?.query_row([], |row| row.get(0))?;
    let Some(last) = last.filter(|_| read.is_none_or(|read| after < read)) else {
        return Ok(None);
    };
    let up_to = read.map_or(last, |read| last.min(read));
    let pruned = connection.prepare_cached(PRUNE)?.execute((after, up_to, before))?;
    Ok(Some((last, pruned as u64)))
}

fn cursors(connection: &Connection) -> Result<Vec<AuditCursor>, Failure> {
    let mut cursors = connection.prepare_cached(CURSORS)?;
    let cursors = cursors.query_and_then([], |row| {
        Ok(AuditCursor::new(row.get::<_, String>(0)?, position(row.get(1)?)))
    })?;
    cursors.collect()
}

fn lease(
    connection: &Connection,
    name: &str,
    holder: u64,
    now: Timestamp,
    time: Duration,
) -> Result<Option<AuditPosition>, Failure> {
    let (until, now) = (ordered_time(now + time), ordered_time(now));
    let parameters = (name, end(connection)?, holder.cast_signed(), until, now);
    let mut lease = connection.prepare_cached(LEASE)?;
    let leased = lease.query_row(parameters, |row| row.get(0)).optional()?;
    Ok(leased.map(position))
}

fn done(connection: &Connection, name: &str) -> Result<Vec<AuditPosition>, Failure> {
    let mut done = connection.prepare_cached(DONE)?;
    let kept: Option<Vec<u8>> = done.query_row([name], |row| row.get(0)).optional()?;
    let kept = kept.unwrap_or_default();
    let (positions, []) = kept.as_chunks() else {
        return Err(StoreError::new(StoreErrorKind::Corrupt, READING_DONE).into());
    };
    let position = |bytes: &[u8; 8]| AuditPosition::from_u64(u64::from_be_bytes(*bytes));
    Ok(positions.iter().map(position).collect())
}

const fn position(stored: i64) -> AuditPosition {
    AuditPosition::from_u64(stored.cast_unsigned())
}

fn stored(position: AuditPosition) -> i64 {
    i64::try_from(position.as_u64()).unwrap_or(i64::MAX)
}

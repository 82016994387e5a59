//! The log of all accounts' entries, and the cursors of its readers.
//!
//! Entries get their positions after they are committed, by whoever reads the log.
//! No number that a change could take while it is written would do: it may be
//! committed after a change that took a later one, when a reader has come past it.
//! So nothing of a long transaction holds up a reader but its own entries, which come
//! when it is committed.

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, IsolationLevel, Row};

use super::connection::PooledConnection;
use super::error::{Doing, gave_way};
use super::lease::{IS_THERE, LEASING, Lease};
use super::read::{ask, audit_entry, column, number, signed, time};
use super::schema::unfinished;
use super::write::ATTEMPTS;
use super::{BATCH_LIMIT, LIMIT, PostgresStore};
use crate::audit::AccountErased;
use crate::store::audit_log::{KEPT_AT_LEAST, or_unreadable};
use crate::store::record::decode_actor;
use crate::store::{
    AuditCursor, AuditItem, AuditLog, AuditPosition, PageSize, StoreError, StoreErrorKind,
};
use crate::time::Timestamp;
use crate::user::UserId;

const READING: &str = "reading the audit log";
const NUMBERING: &str = "numbering the audit log";
const PRUNING: &str = "pruning the audit log";
const CURSORS: &str = "reading cursors";
const MOVING: &str = "moving a cursor";
const KEEPING: &str = "keeping what is done";
const REMOVING: &str = "removing a cursor";

/// How many entries get their positions in one transaction.
const NUMBERED_AT_ONCE: i64 = 10_000;

/// How many entries are looked at by one statement that prunes, and how many are
/// removed by one call, so that it ends in time.
const PRUNED_AT_ONCE: i64 = 1_000;
const PRUNED_AT_MOST: u64 = 100_000;

/// One row at least, which says whether there are entries without a position: by
/// their index, since they are asked for in its order.
const PAGE: &str = "
    SELECT entry.revision, entry.at_millis, entry.actor, entry.event, entry.position,
        entry.user_id, coalesce((
            SELECT true FROM tower_api_token.history WHERE position IS NULL
            ORDER BY at_millis, user_id, revision LIMIT 1), false)
    FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
    LEFT JOIN (
        SELECT revision, at_millis, actor, event::text, position, user_id
        FROM tower_api_token.history WHERE position > $1 ORDER BY position LIMIT $2
    ) AS entry ON true
    ORDER BY entry.position";

/// Taken in a statement before, so that the one that numbers sees all that others
/// have numbered. That one finds its rows by indexes: the planner knows little of how
/// many have no position. The lock's number is `audit_nu`.
const ALONE: &str = "
    SELECT pg_advisory_xact_lock(x'61756469745f6e75'::int8);
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off";

/// Numbers the earliest entries that have no position, and says how many they were.
/// Before an entry come those of its account before it, even where a clock has gone
/// back: all behind the account's last that has a position.
const NUMBER: &str = "
    WITH earliest AS (
        SELECT user_id, revision FROM tower_api_token.history
        WHERE position IS NULL ORDER BY at_millis, user_id, revision LIMIT $1
    ), latest AS (
        SELECT user_id, max(revision) AS revision FROM earliest GROUP BY user_id
    ), reached AS (
        SELECT entry.user_id, entry.revision, max(entry.at_millis) OVER (
            PARTITION BY entry.user_id ORDER BY entry.revision) AS at_millis
        FROM latest
        JOIN tower_api_token.history AS entry
            ON entry.user_id = latest.user_id AND entry.revision <= latest.revision
            AND entry.revision > coalesce((
                SELECT before.revision FROM tower_api_token.history AS before
                WHERE before.user_id = latest.user_id AND before.revision < latest.revision
                    AND before.position IS NOT NULL
                ORDER BY before.revision DESC LIMIT 1), 0)
    ), placed AS (
        SELECT user_id, revision,
            row_number() OVER (ORDER BY at_millis, user_id, revision) AS place
        FROM reached
    ), numbered AS (
        UPDATE tower_api_token.history SET position = last.value + placed.place
        FROM placed, tower_api_token.number AS last
        WHERE last.name = 'audit position'
            AND history.user_id = placed.user_id AND history.revision = placed.revision
        RETURNING position
    )
    UPDATE tower_api_token.number
    SET value = greatest(value, (SELECT max(position) FROM numbered))
    WHERE name = 'audit position'
    RETURNING (SELECT count(*) FROM earliest)";

const END: &str = "
    SELECT value, coalesce((
        SELECT true FROM tower_api_token.history WHERE position IS NULL
        ORDER BY at_millis, user_id, revision LIMIT 1), false)
    FROM (SELECT pg_current_wal_lsn()) AS on_a_primary, tower_api_token.number
    WHERE name = 'audit position'";

/// An entry stays behind one of its account that stays, and the last of an account
/// does. An erased account has none. It ends at the cursor that is least far, and where
/// all that come next are too young.
const PRUNE: &str = "
    WITH clock AS (
        SELECT least($2, (extract(epoch FROM clock_timestamp()) * 1000)::int8 - $3) AS before
    ), next AS (
        SELECT user_id, revision, at_millis, position FROM tower_api_token.history
        WHERE position > $1 AND position <= (
            SELECT coalesce(min(position), 9223372036854775807)
            FROM tower_api_token.audit_cursor)
        ORDER BY position LIMIT $4
    ), pruned AS (
        DELETE FROM tower_api_token.history AS entry USING next, clock
        WHERE entry.user_id = next.user_id AND entry.revision = next.revision
            AND next.at_millis < clock.before
            AND (next.user_id = '' OR (
                EXISTS (
                    SELECT FROM tower_api_token.history AS later
                    WHERE later.user_id = next.user_id AND later.revision > next.revision)
                AND NOT EXISTS (
                    SELECT FROM tower_api_token.history AS earlier
                    WHERE earlier.user_id = next.user_id AND earlier.revision < next.revision
                        AND earlier.at_millis >= clock.before)))
        RETURNING entry.position
    )
    SELECT
        (SELECT max(position) FROM next HAVING min(at_millis) < (SELECT before FROM clock)),
        (SELECT count(*) FROM pruned)";

#[async_trait]
impl AuditLog for PostgresStore {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        loop {
            let page = page(self.connection(READING).await?, after, size).await?;
            if page.items.len() == size.get() || !page.more {
                return Ok(page.items);
            }
            self.number_some().await?;
        }
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        let (found, more) = end(self.connection(READING).await?).await?;
        if !more {
            return Ok(found);
        }
        while self.number_some().await? == NUMBERED_AT_ONCE {}
        // Those that have come meanwhile stand behind it.
        end(self.connection(READING).await?).await.map(|(end, _)| end)
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let (mut after, mut removed) = (0, 0);
        while removed < PRUNED_AT_MOST {
            let prune = |connection| prune_next(connection, after, before);
            let Some((last, pruned)) = self.write(PRUNING, BATCH_LIMIT, prune).await? else {
                break;
            };
            removed += pruned;
            after = last;
        }
        Ok(removed)
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        const ALL: &str = "SELECT name, position FROM tower_api_token.audit_cursor ORDER BY name";
        let rows = ask(self.connection(CURSORS).await?, CURSORS, ALL, &[]).await?;
        let cursor = |row: &Row| {
            let name: String = column(row, 0, CURSORS)?;
            Ok(AuditCursor::new(name, position(column(row, 1, CURSORS)?)))
        };
        rows.iter().map(cursor).collect()
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let lease = Lease::new(name, holder, time);
        let leased = |connection| lease.clone().take(connection);
        if let Some(position) = self.write(LEASING, LIMIT, leased).await? {
            return Ok(Some(position));
        }
        let is_there = ask(self.connection(LEASING).await?, LEASING, IS_THERE, &[&name]).await?;
        if !is_there.is_empty() {
            return Ok(None);
        }
        let end = self.audit_end().await?;
        self.write(LEASING, LIMIT, |connection| lease.make(connection, end)).await
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        const MOVE: &str = "
            UPDATE tower_api_token.audit_cursor SET position = greatest(position, $3)
            WHERE name = $1 AND holder = $2 RETURNING 1";
        let (name, holder, to) = (name.to_owned(), holder.cast_signed(), signed(to.as_u64()));
        let moved =
            |connection| async move { ask(connection, MOVING, MOVE, &[&name, &holder, &to]).await };
        Ok(!self.write(MOVING, LIMIT, moved).await?.is_empty())
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        const KEEP: &str = "
            UPDATE tower_api_token.audit_cursor SET done = $3
            WHERE name = $1 AND holder = $2 RETURNING 1";
        let (name, holder) = (name.to_owned(), holder.cast_signed());
        let done: Vec<_> = done.iter().map(|done| signed(done.as_u64())).collect();
        let keep = |connection| async move {
            ask(connection, KEEPING, KEEP, &[&name, &holder, &done]).await
        };
        Ok(!self.write(KEEPING, LIMIT, keep).await?.is_empty())
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        const DONE: &str = "SELECT done FROM tower_api_token.audit_cursor WHERE name = $1";
        let rows = ask(self.connection(CURSORS).await?, CURSORS, DONE, &[&name]).await?;
        let done = rows.first().map(|row| column::<Vec<i64>>(row, 0, CURSORS)).transpose()?;
        Ok(done.unwrap_or_default().into_iter().map(position).collect())
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        const REMOVE: &str = "DELETE FROM tower_api_token.audit_cursor WHERE name = $1";
        let name = name.to_owned();
        let removed = |connection| async move { ask(connection, REMOVING, REMOVE, &[&name]).await };
        self.write(REMOVING, LIMIT, removed).await.map(drop)
    }
}

impl PostgresStore {
    /// Gives positions to some entries that have none, and answers to how many.
    async fn number_some(&self) -> Result<i64, StoreError> {
        self.write(NUMBERING, BATCH_LIMIT, number_next).await
    }
}

async fn number_next(mut connection: PooledConnection) -> Result<i64, StoreError> {
    let mut attempts = 1..ATTEMPTS;
    let numbered = loop {
        match try_to_number(&mut connection).await {
            Err(error) if gave_way(&error) && attempts.next().is_some() => {}
            numbered => break numbered.doing(NUMBERING)?,
        }
    };
    connection.release();
    numbered.ok_or_else(|| unfinished(NUMBERING))
}

/// How many entries got a position; `None` if the log is not made yet.
async fn try_to_number(connection: &mut PooledConnection) -> Result<Option<i64>, Error> {
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let transaction = transaction.start().await?;
    transaction.batch_execute(ALONE).await?;
    let statement = transaction.prepare_cached(NUMBER).await?;
    let numbered = transaction.query_opt(&statement, &[&NUMBERED_AT_ONCE]).await?;
    let numbered = numbered.map(|row| row.try_get(0)).transpose()?;
    transaction.commit().await?;
    Ok(numbered)
}

struct AuditPage {
    items: Vec<(AuditPosition, AuditItem)>,
    /// Whether there are entries without a position.
    more: bool,
}

async fn page(
    connection: PooledConnection,
    after: AuditPosition,
    size: PageSize,
) -> Result<AuditPage, StoreError> {
    let parameters: [&(dyn ToSql + Sync); 2] =
        [&signed(after.as_u64()), &signed(size.get() as u64)];
    let rows = ask(connection, READING, PAGE, &parameters).await?;
    let mut page = AuditPage { items: Vec::with_capacity(rows.len()), more: false };
    for row in &rows {
        page.more = column(row, 6, READING)?;
        if let Some(position) = column(row, 4, READING)? {
            let (user, at) = (column(row, 5, READING).ok(), column(row, 1, READING).ok());
            let item = or_unreadable(item(row), user, at.map(time))?;
            page.items.push((self::position(position), item));
        }
    }
    Ok(page)
}

/// The entry; or where it is of no user, that an account was erased.
fn item(row: &Row) -> Result<AuditItem, StoreError> {
    let user: &str = column(row, 5, READING)?;
    if user.is_empty() {
        let actor = decode_actor(column(row, 2, READING)?)?;
        return Ok(AuditItem::Erased(AccountErased { at: time(column(row, 1, READING)?), actor }));
    }
    let corrupt = StoreError::new(StoreErrorKind::Corrupt, READING);
    let user = UserId::new(user).map_err(|cause| corrupt.with_source(cause))?;
    audit_entry(&user, row).map(AuditItem::Entry)
}

/// The last position that was given, and whether there are entries without one.
async fn end(connection: PooledConnection) -> Result<(AuditPosition, bool), StoreError> {
    let rows = ask(connection, READING, END, &[]).await?;
    let row = rows.first().ok_or_else(|| unfinished(READING))?;
    Ok((position(column(row, 0, READING)?), column(row, 1, READING)?))
}

/// Removes what can go of the entries that come next, and answers with the last of
/// them and how many have gone; `None` if none comes that is old enough.
async fn prune_next(
    connection: PooledConnection,
    after: i64,
    before: Timestamp,
) -> Result<Option<(i64, u64)>, StoreError> {
    let kept = i64::try_from(KEPT_AT_LEAST.as_millis()).unwrap_or(i64::MAX);
    let before = signed(before.unix_millis());
    let rows = ask(connection, PRUNING, PRUNE, &[&after, &before, &kept, &PRUNED_AT_ONCE]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let pruned = number(column(row, 1, PRUNING)?);
    let last: Option<i64> = column(row, 0, PRUNING)?;
    Ok(last.map(|last| (last, pruned)))
}

pub(super) fn position(stored: i64) -> AuditPosition {
    AuditPosition::from_u64(number(stored))
}

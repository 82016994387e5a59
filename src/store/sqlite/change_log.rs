//! The log of changes, from which every process learns of those of the others.
//!
//! Its numbers follow each other without a gap, since one that is not committed
//! is given out again. A reader that finds a gap has lost changes.

use rusqlite::{Connection, OptionalExtension, Row};

use super::failure::Failure;
use crate::account::Revision;
use crate::store::{Change, FeedItem, HeartbeatId};
use crate::token::TokenDigest;
use crate::user::UserId;

/// How many changes are kept at least besides those of the latest batch: a
/// reader that is no further behind loses none.
pub(super) const KEPT: i64 = 10_000;

/// How often the older ones are deleted: each time costs a page or two.
const PRUNE_EVERY: i64 = 1_000;

const APPEND_CHANGE: &str = "INSERT INTO changes (user_id, revision, digests) VALUES (?1, ?2, ?3)";

const APPEND_HEARTBEAT: &str = "INSERT INTO changes (heartbeat) VALUES (?1)";

const PRUNE: &str = "DELETE FROM changes WHERE sequence <= ?1";

const NEWEST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'";

const AFTER: &str = "
    SELECT sequence, user_id, revision, digests, heartbeat FROM changes
    WHERE sequence > ?1 ORDER BY sequence";

/// Writes a change, and answers with its number.
pub(super) fn append_change(connection: &Connection, change: &Change) -> Result<i64, Failure> {
    let digests: Vec<u8> = change.digests.iter().flat_map(TokenDigest::as_bytes).copied().collect();
    let revision = change.revision.as_u64().cast_signed();
    let mut append = connection.prepare_cached(APPEND_CHANGE)?;
    Ok(append.insert((change.user.as_str(), revision, digests))?)
}

/// Writes a heartbeat, and answers with its number.
pub(super) fn append_heartbeat(connection: &Connection, id: HeartbeatId) -> Result<i64, Failure> {
    let mut append = connection.prepare_cached(APPEND_HEARTBEAT)?;
    Ok(append.insert([id.as_u64().cast_signed()])?)
}

/// Deletes old changes now and then, after the last `added` ones up to number
/// `newest`.
pub(super) fn prune(connection: &Connection, newest: i64, added: usize) -> Result<(), Failure> {
    let added = i64::try_from(added).unwrap_or(i64::MAX);
    if newest % PRUNE_EVERY < added {
        let kept = KEPT.saturating_add(added);
        connection.prepare_cached(PRUNE)?.execute([newest.saturating_sub(kept)])?;
    }
    Ok(())
}

/// The number of the latest change; 0 if there never was one.
pub(super) fn newest(connection: &Connection) -> Result<i64, Failure> {
    let mut newest = connection.prepare_cached(NEWEST)?;
    Ok(newest.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Shows every change after number `last`, with its number, in order.
pub(super) fn read_after(
    connection: &Connection,
    last: i64,
    mut show: impl FnMut(i64, FeedItem),
) -> Result<(), Failure> {
    let mut after = connection.prepare_cached(AFTER)?;
    let mut rows = after.query([last])?;
    while let Some(row) = rows.next()? {
        show(row.get(0)?, item(row)?.unwrap_or(FeedItem::Lost));
    }
    Ok(())
}

/// `None` for one that says nothing that this program understands.
fn item(row: &Row<'_>) -> Result<Option<FeedItem>, Failure> {
    if let Some(id) = row.get::<_, Option<i64>>(4)? {
        return Ok(Some(FeedItem::Heartbeat(HeartbeatId::from_u64(id.cast_unsigned()))));
    }
    let (user, digests) = (row.get_ref(1)?.as_str_or_null()?, row.get_ref(3)?.as_blob_or_null()?);
    let revision = row.get::<_, Option<i64>>(2)?;
    Ok(change(user, revision, digests).map(FeedItem::Change))
}

fn change(user: Option<&str>, revision: Option<i64>, digests: Option<&[u8]>) -> Option<Change> {
    let (digests, []) = digests?.as_chunks::<32>() else { return None };
    let digests: Vec<_> = digests.iter().copied().map(TokenDigest::from_bytes).collect();
    let revision = Revision::from_u64(revision?.cast_unsigned());
    Some(Change::new(UserId::new(user?).ok()?, revision, digests))
}

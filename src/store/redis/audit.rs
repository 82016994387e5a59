//! The log of all accounts, read and pruned in pieces for which the server is held a few
//! milliseconds at most; and its readers' cursors.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Script, Value};

use super::connection::{Server, call, text};
use super::error::corrupt;
use super::read::{ask, audit_entry, number};
use super::scripts::audit::{AUDIT, END, KEEP_DONE, LEASE, MOVE, PRUNE};
use super::scripts::{CONFLICT, DONE};
use super::write::{confirm_all, write_command, write_one};
use crate::audit::AccountErased;
use crate::store::audit_log::or_unreadable;
use crate::store::record::decode_actor;
use crate::store::{AuditCursor, AuditItem, AuditPosition, PageSize, StoreError};
use crate::time::Timestamp;
use crate::user::UserId;

const READING: &str = "reading the audit log";
const CURSORS: &str = "reading cursors";
pub(super) const PRUNING: &str = "pruning the audit log";
pub(super) const LEASING: &str = "leasing a cursor";
pub(super) const MOVING: &str = "moving a cursor";
pub(super) const KEEPING: &str = "keeping what is done";
pub(super) const REMOVING: &str = "removing a cursor";

/// How many entries one script looks at, for each of which it asks for two keys.
const PIECE: usize = 100;

/// How long a lease may be: its end must be a number that a script can hold.
const LONGEST: Duration = Duration::from_secs(1 << 40);

/// What replicas lack is given out to nobody: a failover would lose it and give its
/// position to another entry, which whoever reads on behind that would miss.
pub(super) async fn audit(
    server: &Server,
    after: AuditPosition,
    size: PageSize,
) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
    let (mut items, mut reached) = (Vec::new(), after);
    while items.len() < size.get() {
        let count = PIECE.min(size.get() - items.len());
        let (now, piece) = piece(server, reached, count).await?;
        if now == reached {
            break;
        }
        reached = now;
        items.extend(piece);
    }
    if !items.is_empty() {
        confirm_all(server, READING).await?;
    }
    Ok(items)
}

/// Some entries behind `after`, and the position of the last that was looked at.
async fn piece(
    server: &Server,
    after: AuditPosition,
    count: usize,
) -> Result<(AuditPosition, Vec<(AuditPosition, AuditItem)>), StoreError> {
    let deployment = server.deployment(READING).await?;
    let mut read = call(&AUDIT, 3);
    read.arg(&server.keys.marker).arg(&server.keys.log).arg(&server.keys.log_users);
    read.arg(deployment).arg(&server.keys.history).arg(id(after)).arg(count);
    let Value::Array(answer) = server.ask(READING, &AUDIT, &read).await? else {
        return Err(corrupt(READING));
    };
    let [reached, Value::Array(items)] = &answer[..] else { return Err(corrupt(READING)) };
    let reached = position(reached).ok_or_else(|| corrupt(READING))?;
    Ok((reached, items.iter().map(item).collect::<Result<_, _>>()?))
}

fn item(item: &Value) -> Result<(AuditPosition, AuditItem), StoreError> {
    let Value::Array(parts) = item else { return Err(corrupt(READING)) };
    let [id, parts @ ..] = &parts[..] else { return Err(corrupt(READING)) };
    let position = position(id).ok_or_else(|| corrupt(READING))?;
    let user = if let [user, _] = parts { text(user) } else { None };
    Ok((position, or_unreadable(known(parts), user, at(parts))?))
}

fn known(parts: &[Value]) -> Result<AuditItem, StoreError> {
    match parts {
        [Value::Array(erased)] => account_erased(erased).map(AuditItem::Erased),
        [user, entry] => {
            let user = text(user).and_then(|user| UserId::new(user).ok());
            let user = user.ok_or_else(|| corrupt(READING))?;
            audit_entry(&user, entry).map(AuditItem::Entry)
        }
        _ => Err(corrupt(READING)),
    }
}

/// The time, which is the first of the fields in either form.
fn at(parts: &[Value]) -> Option<Timestamp> {
    let Some(Value::Array(last)) = parts.last() else { return None };
    let fields = match last.last() {
        Some(Value::Array(fields)) => fields,
        _ => last,
    };
    fields.get(1).and_then(number).map(Timestamp::from_unix_millis)
}

fn account_erased(fields: &[Value]) -> Result<AccountErased, StoreError> {
    let [_, at, _, actor] = fields else { return Err(corrupt(READING)) };
    let (at, actor) = number(at).zip(text(actor)).ok_or_else(|| corrupt(READING))?;
    Ok(AccountErased { at: Timestamp::from_unix_millis(at), actor: decode_actor(actor)? })
}

/// The id in the log of the entry at the position.
fn id(position: AuditPosition) -> String {
    format!("0-{}", position.as_u64())
}

fn position(id: &Value) -> Option<AuditPosition> {
    text(id)?.strip_prefix("0-")?.parse().ok().map(AuditPosition::from_u64)
}

pub(super) async fn end(server: &Server) -> Result<AuditPosition, StoreError> {
    let deployment = server.deployment(READING).await?;
    let mut end = call(&END, 2);
    end.arg(&server.keys.marker).arg(&server.keys.log).arg(deployment);
    let end = number(&server.ask(READING, &END, &end).await?).ok_or_else(|| corrupt(READING))?;
    confirm_all(server, READING).await?;
    Ok(AuditPosition::from_u64(end))
}

/// Removes entries from the next [`PIECE`] of the log, and answers how many it has
/// removed, and whether those were the last.
///
/// Where it has come to is remembered for the next piece of this process.
pub(super) async fn prune(server: &Server, before: Timestamp) -> Result<(u64, bool), StoreError> {
    let deployment = server.deployment(PRUNING).await?;
    let from = AuditPosition::from_u64(server.pruned_to.load(Ordering::Relaxed));
    let (keys, mut prune) = (&server.keys, call(&PRUNE, 4));
    prune.arg(&keys.marker).arg(&keys.log).arg(&keys.log_users).arg(&keys.cursors);
    prune.arg(deployment).arg(&keys.history).arg(before.unix_millis()).arg(id(from)).arg(PIECE);
    let Value::Array(answer) = write_one(server, PRUNING, &PRUNE, prune).await? else {
        return Err(corrupt(PRUNING));
    };
    let [Value::Int(removed), reached] = &answer[..] else { return Err(corrupt(PRUNING)) };
    let removed = u64::try_from(*removed).map_err(|_| corrupt(PRUNING))?;
    let reached = match reached {
        Value::Nil => None,
        reached => Some(position(reached).ok_or_else(|| corrupt(PRUNING))?),
    };
    server.pruned_to.store(reached.unwrap_or_default().as_u64(), Ordering::Relaxed);
    Ok((removed, reached.is_none()))
}

pub(super) async fn cursors(server: &Server) -> Result<Vec<AuditCursor>, StoreError> {
    let fields = ask(server, CURSORS, server.keys.cursors.clone(), &["HGETALL"]).await?;
    let cursors = fields.as_chunks::<2>().0.iter().map(|[name, cursor]| {
        let (position, _) = text(cursor)?.split_once(' ')?;
        Some(AuditCursor::new(text(name)?, AuditPosition::from_u64(position.parse().ok()?)))
    });
    let mut cursors: Vec<_> = cursors.collect::<Option<_>>().ok_or_else(|| corrupt(CURSORS))?;
    cursors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(cursors)
}

pub(super) async fn lease(
    server: &Server,
    name: &str,
    holder: u64,
    time: Duration,
) -> Result<Option<AuditPosition>, StoreError> {
    let deployment = server.deployment(LEASING).await?;
    let mut lease = call(&LEASE, 3);
    lease.arg(&server.keys.marker).arg(&server.keys.log).arg(&server.keys.cursors);
    lease.arg(deployment).arg(name).arg(holder).arg(time.min(LONGEST).as_millis() as u64);
    match write_one(server, LEASING, &LEASE, lease).await? {
        Value::Nil => Ok(None),
        position => {
            let position = number(&position).ok_or_else(|| corrupt(LEASING))?;
            Ok(Some(AuditPosition::from_u64(position)))
        }
    }
}

pub(super) async fn move_cursor(
    server: &Server,
    name: &str,
    holder: u64,
    to: AuditPosition,
) -> Result<bool, StoreError> {
    let to = to.as_u64().to_string();
    change_cursor(server, MOVING, &MOVE, name, holder, &to).await
}

pub(super) async fn keep_done(
    server: &Server,
    name: &str,
    holder: u64,
    done: &[AuditPosition],
) -> Result<bool, StoreError> {
    let done: Vec<_> = done.iter().map(|done| done.as_u64().to_string()).collect();
    change_cursor(server, KEEPING, &KEEP_DONE, name, holder, &done.join(",")).await
}

/// Whether the holder has changed the cursor by this script.
async fn change_cursor(
    server: &Server,
    doing: &'static str,
    script: &Script,
    name: &str,
    holder: u64,
    argument: &str,
) -> Result<bool, StoreError> {
    let deployment = server.deployment(doing).await?;
    let mut change = call(script, 2);
    change.arg(&server.keys.marker).arg(&server.keys.cursors);
    change.arg(deployment).arg(name).arg(holder).arg(argument);
    match text(&write_one(server, doing, script, change).await?) {
        Some(DONE) => Ok(true),
        Some(CONFLICT) => Ok(false),
        _ => Err(corrupt(doing)),
    }
}

pub(super) async fn done(server: &Server, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
    let cursor = ask(server, CURSORS, server.keys.cursors.clone(), &["HMGET", name]).await?;
    let cursor = match cursor.first() {
        Some(Value::Nil) => return Ok(Vec::new()),
        cursor => cursor.and_then(text).ok_or_else(|| corrupt(CURSORS))?,
    };
    let Some(done) = cursor.split(' ').nth(3) else { return Ok(Vec::new()) };
    let done = done.split(',').map(|done| Some(AuditPosition::from_u64(done.parse().ok()?)));
    done.collect::<Option<_>>().ok_or_else(|| corrupt(CURSORS))
}

pub(super) async fn remove_cursor(server: &Server, name: &str) -> Result<(), StoreError> {
    write_command(server, REMOVING, &server.keys.cursors, &["HDEL", name]).await.map(drop)
}

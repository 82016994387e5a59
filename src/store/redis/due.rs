//! The accounts that are due: members of one sorted set, each the time in twenty digits
//! and the user behind it.
//!
//! All have the same score, so the set is in the byte order of its members: by time, and
//! those of one time by user. A page begins behind an exact member, however many accounts
//! are due at the same time; scores would hold times up to 2⁵³ alone.

use redis::Value;

use super::connection::{Server, call, text};
use super::error::corrupt;
use super::read::{ask, number};
use super::scripts::due::PUT_OFF;
use super::write::{outcome, twenty_digits, write_command, write_one};
use crate::account::Revision;
use crate::store::{Due, Page, PageSize, StoreError};
use crate::time::Timestamp;
use crate::user::UserId;

const READING: &str = "reading what is due";
pub(super) const PUTTING_OFF: &str = "putting off what is due";
pub(super) const SCHEDULE: &str = "keeping a schedule";

/// The field of the numbers that keeps the schedule.
const FIELD: &str = "schedule";

pub(super) async fn due(
    server: &Server,
    until: Timestamp,
    after: Option<&Due>,
    size: PageSize,
) -> Result<Page<Due, Due>, StoreError> {
    let start = after.map_or_else(|| "-".to_owned(), |after| format!("({}", member(after)));
    let end = until.unix_millis().checked_add(1).map(Timestamp::from_unix_millis);
    let end = end.map_or_else(|| "+".to_owned(), |end| format!("({}", twenty_digits(end)));
    let count = (size.get() + 1).to_string();
    let command = ["ZRANGE", &start, &end, "BYLEX", "LIMIT", "0", &count];
    let members = ask(server, READING, server.keys.due.clone(), &command).await?;
    let due = members.iter().map(|member| parse(member).ok_or_else(|| corrupt(READING)));
    Ok(Page::of_due(due.collect::<Result<_, _>>()?, size))
}

fn member(due: &Due) -> String {
    format!("{}{}", twenty_digits(due.at), due.user)
}

fn parse(member: &Value) -> Option<Due> {
    let (at, user) = text(member)?.split_at_checked(20)?;
    Some(Due::new(Timestamp::from_unix_millis(at.parse().ok()?), UserId::new(user).ok()?))
}

pub(super) async fn put_off(
    server: &Server,
    user: &UserId,
    revision: Revision,
    due: Option<Timestamp>,
) -> Result<(), StoreError> {
    let deployment = server.deployment(PUTTING_OFF).await?;
    let mut put_off = call(&PUT_OFF, 3);
    put_off.arg(&server.keys.marker).arg(server.keys.account(user)).arg(&server.keys.due);
    put_off.arg(deployment).arg(user.as_str()).arg(revision.as_u64());
    put_off.arg(due.map(twenty_digits).unwrap_or_default());
    outcome(PUTTING_OFF, write_one(server, PUTTING_OFF, &PUT_OFF, put_off).await)
}

pub(super) async fn schedule(server: &Server) -> Result<u64, StoreError> {
    let kept = ask(server, SCHEDULE, server.keys.numbers.clone(), &["HMGET", FIELD]).await?;
    match kept.first() {
        Some(Value::Nil) => Ok(0),
        Some(kept) => number(kept).ok_or_else(|| corrupt(SCHEDULE)),
        None => Err(corrupt(SCHEDULE)),
    }
}

pub(super) async fn keep_schedule(server: &Server, schedule: u64) -> Result<(), StoreError> {
    let keep = ["HSET", FIELD, &schedule.to_string()];
    write_command(server, SCHEDULE, &server.keys.numbers, &keep).await.map(drop)
}

//! The accounts that are due: members of one sorted set, each the time in twenty digits
//! and the user behind it.
//!
//! All have the same score, so the set is in the byte order of its members: by time, and
//! those of one time by user. A page begins behind an exact member, however many accounts
//! are due at the same time; scores would hold times up to 2⁵³ alone.

use async_trait::async_trait;
use redis::Value;

use super::RedisStore;
use super::connection::{Server, call, text};
use super::error::{Doing, corrupt};
use super::read::{ask, number};
use super::scripts::due::PUT_OFF;
use super::write::{outcome, twenty_digits, write, write_command};
use crate::account::Revision;
use crate::store::{Due, DueAccounts, Page, PageSize, StoreError};
use crate::time::Timestamp;
use crate::user::UserId;

const READING: &str = "reading what is due";
const PUTTING_OFF: &str = "putting off what is due";
const SCHEDULE: &str = "keeping a schedule";

/// How many accounts one transaction puts off: the server does nothing else meanwhile.
const PUT_OFF_AT_ONCE: usize = 500;

/// The field of the numbers that keeps the schedule.
const FIELD: &str = "schedule";

#[async_trait]
impl DueAccounts for RedisStore {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        let start = after.map_or_else(|| "-".to_owned(), |after| format!("({}", member(after)));
        let end = until.unix_millis().checked_add(1).map(Timestamp::from_unix_millis);
        let end = end.map_or_else(|| "+".to_owned(), |end| format!("({}", twenty_digits(end)));
        let count = (size.get() + 1).to_string();
        let command = ["ZRANGE", &start, &end, "BYLEX", "LIMIT", "0", &count];
        let members = ask(&self.server, READING, self.server.keys.due.clone(), &command).await?;
        let due = members.iter().map(|member| parse(member).ok_or_else(|| corrupt(READING)));
        Ok(Page::of_due(due.collect::<Result<_, _>>()?, size))
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        for accounts in accounts.chunks(PUT_OFF_AT_ONCE) {
            let accounts = accounts.to_vec();
            self.write(PUTTING_OFF, |server| async move { put_off(&server, &accounts).await })
                .await?;
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        let numbers = self.server.keys.numbers.clone();
        let kept = ask(&self.server, SCHEDULE, numbers, &["HMGET", FIELD]).await?;
        match kept.first() {
            Some(Value::Nil) => Ok(0),
            Some(kept) => number(kept).ok_or_else(|| corrupt(SCHEDULE)),
            None => Err(corrupt(SCHEDULE)),
        }
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        self.write(SCHEDULE, move |server| async move {
            let keep = ["HSET", FIELD, &schedule.to_string()];
            write_command(&server, SCHEDULE, &server.keys.numbers, &keep).await.map(drop)
        })
        .await
    }
}

fn member(due: &Due) -> String {
    format!("{}{}", twenty_digits(due.at), due.user)
}

fn parse(member: &Value) -> Option<Due> {
    let (at, user) = text(member)?.split_at_checked(20)?;
    Some(Due::new(Timestamp::from_unix_millis(at.parse().ok()?), UserId::new(user).ok()?))
}

/// Puts the accounts off in one transaction.
async fn put_off(
    server: &Server,
    accounts: &[(UserId, Revision, Option<Timestamp>)],
) -> Result<(), StoreError> {
    let (deployment, keys) = (server.deployment(PUTTING_OFF).await?, &server.keys);
    let calls = accounts.iter().map(|(user, revision, due)| {
        let mut put_off = call(&PUT_OFF, 3);
        put_off.arg(&keys.marker).arg(keys.account(user)).arg(&keys.due);
        put_off.arg(deployment).arg(user.as_str()).arg(revision.as_u64());
        put_off.arg(due.map(twenty_digits).unwrap_or_default());
        put_off
    });
    for answer in write(server, PUTTING_OFF, &PUT_OFF, calls.collect()).await? {
        outcome(PUTTING_OFF, answer.doing(PUTTING_OFF))?;
    }
    Ok(())
}

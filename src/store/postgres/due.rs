//! Which accounts are due, by an index of those that ever are.

use async_trait::async_trait;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::connection::PooledConnection;
use super::error::{Doing, corrupt, gave_way};
use super::read::{ask, column, number, one_further, signed, time};
use super::write::ATTEMPTS;
use super::{BATCH_LIMIT, LIMIT, PostgresStore};
use crate::account::Revision;
use crate::store::{Due, DueAccounts, Page, PageSize, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::user::UserId;

const FINDING: &str = "finding accounts that are due";
const PUTTING_OFF: &str = "putting accounts off";
const READING: &str = "reading the schedule";
const KEEPING: &str = "keeping the schedule";

/// How many accounts are put off by one statement.
const PUT_OFF_AT_ONCE: usize = 1_000;

const PUT_OFF: &str = "
    UPDATE tower_api_token.account SET due_at_millis = put_off.due
    FROM unnest($1::text[], $2::int8[], $3::int8[]) AS put_off (user_id, revision, due)
    WHERE account.user_id = put_off.user_id AND account.revision = put_off.revision
        AND account.due_at_millis IS DISTINCT FROM put_off.due";

#[async_trait]
impl DueAccounts for PostgresStore {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        const DUE: &str = "
            SELECT due_at_millis, user_id FROM tower_api_token.account
            WHERE due_at_millis <= $1 AND (due_at_millis, user_id) > ($2, $3)
            ORDER BY due_at_millis, user_id LIMIT $4";
        // No time is as early, and no user id empty.
        let (at, user) =
            after.map_or((-1, ""), |due| (signed(due.at.unix_millis()), due.user.as_str()));
        let until = signed(until.unix_millis());
        let parameters: [&(dyn ToSql + Sync); 4] = [&until, &at, &user, &one_further(size)];
        let rows = ask(self.connection(FINDING).await?, FINDING, DUE, &parameters).await?;
        Ok(Page::of_due(rows.iter().map(due).collect::<Result<_, _>>()?, size))
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        for accounts in accounts.chunks(PUT_OFF_AT_ONCE) {
            let columns = Columns::of(accounts);
            let put_off = |connection| put_off(connection, columns);
            self.write(PUTTING_OFF, BATCH_LIMIT, put_off).await?;
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        const KEPT: &str = "SELECT value FROM tower_api_token.number WHERE name = 'schedule'";
        let rows = ask(self.connection(READING).await?, READING, KEPT, &[]).await?;
        let schedule = rows.first().map(|row| row.try_get(0)).transpose();
        let schedule = schedule.map_err(|error| corrupt(READING, error))?;
        Ok(number(schedule.unwrap_or_default()))
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        const KEEP: &str = "
            INSERT INTO tower_api_token.number (name, value) VALUES ('schedule', $1)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        let keep =
            |connection| async move { ask(connection, KEEPING, KEEP, &[&signed(schedule)]).await };
        self.write(KEEPING, LIMIT, keep).await.map(drop)
    }
}

fn due(row: &Row) -> Result<Due, StoreError> {
    let invalid = StoreError::new(StoreErrorKind::Corrupt, FINDING);
    let user = UserId::new(column::<&str>(row, 1, FINDING)?);
    let user = user.map_err(|cause| invalid.with_source(cause))?;
    Ok(Due::new(time(column(row, 0, FINDING)?), user))
}

/// Accounts to put off, column by column; in the order of users, so that two nodes
/// never wait for each other in a circle.
struct Columns {
    users: Vec<String>,
    revisions: Vec<i64>,
    times: Vec<Option<i64>>,
}

impl Columns {
    fn of(accounts: &[(UserId, Revision, Option<Timestamp>)]) -> Self {
        let mut accounts: Vec<_> = accounts.iter().collect();
        accounts.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let time = |due: Option<Timestamp>| due.map(|due| signed(due.unix_millis()));
        Self {
            users: accounts.iter().map(|(user, ..)| user.as_str().to_owned()).collect(),
            revisions: accounts.iter().map(|(_, revision, _)| signed(revision.as_u64())).collect(),
            times: accounts.iter().map(|(.., due)| time(*due)).collect(),
        }
    }
}

async fn put_off(connection: PooledConnection, columns: Columns) -> Result<(), StoreError> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        match try_to_put_off(&connection, &columns).await {
            Err(error) if gave_way(&error) && attempts.next().is_some() => {}
            done => break done.doing(PUTTING_OFF)?,
        }
    }
    connection.release();
    Ok(())
}

async fn try_to_put_off(connection: &PooledConnection, columns: &Columns) -> Result<(), Error> {
    let Columns { users, revisions, times } = columns;
    let statement = connection.prepare_cached(PUT_OFF).await?;
    connection.execute(&statement, &[users, revisions, times]).await.map(drop)
}

//! Which accounts are due, by an index of those that ever are.

use async_trait::async_trait;
use rusqlite::Connection;

use super::SqliteStore;
use super::error::Failure;
use super::read::{kept_number, number};
use super::write::{ordered_time, set_number, stored_revision};
use crate::account::Revision;
use crate::store::{Due, DueAccounts, Page, PageSize, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::user::UserId;

const FINDING: &str = "finding accounts that are due";

/// How many accounts are put off in one transaction, so that a change need not wait
/// long behind them.
const PUT_OFF_AT_ONCE: usize = 1_000;

const DUE: &str = "
    SELECT due_at, user_id FROM accounts
    WHERE due_at <= ?1 AND (due_at, user_id) > (?2, ?3) ORDER BY due_at, user_id LIMIT ?4";

const PUT_OFF: &str = "
    UPDATE accounts SET due_at = ?3
    WHERE user_id = ?1 AND revision = ?2 AND due_at IS NOT ?3";

/// The number that stands for the policy by which accounts are due.
const SCHEDULE: &str = "schedule";

#[async_trait]
impl DueAccounts for SqliteStore {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        let after = after.cloned();
        self.read_elsewhere(FINDING, move |connection| due(connection, until, after.as_ref(), size))
            .await
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        for accounts in accounts.chunks(PUT_OFF_AT_ONCE) {
            let accounts = accounts.to_vec();
            self.writer
                .change("putting accounts off", move |connection| put_off(connection, &accounts))
                .await?;
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        let schedule = |connection: &Connection| kept_number(connection, SCHEDULE);
        Ok(self.read("reading the schedule", schedule).await?.unwrap_or_default())
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        self.writer
            .change("keeping the schedule", move |connection| {
                set_number(connection, SCHEDULE, schedule)
            })
            .await
    }
}

fn put_off(
    connection: &Connection,
    accounts: &[(UserId, Revision, Option<Timestamp>)],
) -> Result<(), Failure> {
    let mut put_off = connection.prepare_cached(PUT_OFF)?;
    for (user, revision, due) in accounts {
        let due = due.map(ordered_time);
        put_off.execute((user.as_str(), stored_revision(*revision)?, due))?;
    }
    Ok(())
}

fn due(
    connection: &Connection,
    until: Timestamp,
    after: Option<&Due>,
    size: PageSize,
) -> Result<Page<Due, Due>, Failure> {
    // No time is as early, and no user id empty.
    let (at, user) = after.map_or((-1, ""), |due| (ordered_time(due.at), due.user.as_str()));
    let mut statement = connection.prepare_cached(DUE)?;
    let parameters = (ordered_time(until), at, user, size.get() as i64 + 1);
    let due = statement.query_and_then(parameters, |row| {
        let corrupt = StoreError::new(StoreErrorKind::Corrupt, FINDING);
        let user = UserId::new(row.get_ref(1)?.as_str()?);
        let user = user.map_err(|cause| corrupt.with_source(cause))?;
        Ok::<_, Failure>(Due::new(Timestamp::from_unix_millis(number(row, 0)?), user))
    })?;
    Ok(Page::of_due(due.collect::<Result<_, _>>()?, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn accounts_that_are_due_are_found_by_their_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Timestamp::default()).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {DUE}")).unwrap();
        let steps = plan.query_map((1, -1, "", 1), |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        let by_index = "SEARCH accounts USING COVERING INDEX due_accounts";
        assert!(steps[0].starts_with(by_index), "{steps:?}");
    }
}

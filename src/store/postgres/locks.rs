//! Locks that a migration needs while other sessions use the tables.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio::time::{Instant, sleep};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::failure::{gave_way, store_error};
use super::schema::DOING;
use crate::store::{StoreError, StoreErrorKind};

/// Every look-up queues behind a lock that is waited for. This is less than the
/// second after which the server looks for deadlocks and ends a session of its
/// choice: the one that gives way must be this one.
const LIMIT: &str = "SET LOCAL lock_timeout = '500ms'";

/// How long others go on before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// When no new attempt is made any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Those that hold a lock on a table, the longest transactions first. What they
/// execute stays untold: it may contain digests.
const HOLDERS: &str = "
    SELECT string_agg(holder, ', ') FROM (
        SELECT coalesce(
            'session ' || activity.pid
                || coalesce(' of ' || nullif(activity.application_name, ''),
                    ' (' || activity.backend_type || ')', '')
                || coalesce(', in a transaction since ' || activity.xact_start::timestamptz(0), ''),
            'a prepared transaction') AS holder
        FROM (
            SELECT DISTINCT pid FROM pg_locks
            WHERE granted AND locktype = 'relation' AND pid IS DISTINCT FROM pg_backend_pid()
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND relation IN (
                    SELECT oid FROM pg_class
                    WHERE relnamespace = to_regnamespace('tower_api_token'))
        ) AS holding
        LEFT JOIN pg_stat_activity AS activity USING (pid)
        ORDER BY activity.xact_start NULLS LAST LIMIT 3
    ) AS holders";

/// Executes the statement, for which no lock is waited for longer than the limit.
/// Where one is held, all that the statement has locked is let go, and it is tried
/// again after a pause.
pub(super) async fn execute(
    transaction: &mut Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), StoreError> {
    let failed = |error| store_error(DOING, error);
    let until = Instant::now() + PATIENCE;
    transaction.batch_execute(LIMIT).await.map_err(failed)?;
    loop {
        let attempt = transaction.savepoint("attempt").await.map_err(failed)?;
        match attempt.execute(statement, parameters).await {
            Ok(_) => return attempt.commit().await.map_err(failed),
            Err(error) if is_held(&error) => attempt.rollback().await.map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        if Instant::now() >= until {
            return Err(locked(transaction).await.map_or_else(failed, |locked| {
                StoreError::new(StoreErrorKind::Unavailable, DOING).with_source(locked)
            }));
        }
        sleep(PAUSE).await;
    }
}

fn is_held(error: &Error) -> bool {
    gave_way(error) || error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// The tables were in use for too long.
#[derive(Debug, thiserror::Error)]
#[error(
    "other sessions have kept tables locked for {} seconds: {holders}. Migrate again when their \
     transactions have ended",
    PATIENCE.as_secs()
)]
struct Locked {
    holders: String,
}

async fn locked(transaction: &Transaction<'_>) -> Result<Locked, Error> {
    let holders: Option<String> = transaction.query_one(HOLDERS, &[]).await?.try_get(0)?;
    Ok(Locked { holders: holders.unwrap_or_else(|| "none of them holds one now".to_owned()) })
}

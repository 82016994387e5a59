//! What takes longer than the tables may be locked: the indexes of version 3, and what
//! version 2 keeps of each account, for those that version 1 has written.
//!
//! It works beside sessions that use the tables, and waits for their locks in short
//! attempts.

use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, GenericClient, IsolationLevel, Row};

use super::connection::PooledConnection;
use super::error::{Doing, corrupt, gave_way, store_error};
use super::schema::{DOING, LOCK};
use crate::account::Account;
use crate::store::record::decode;
use crate::store::{StoreError, StoreErrorKind};
use crate::token::TokenPrefix;

/// How many accounts are in memory at once.
const PAGE: i64 = 1_000;

const IS_COMPLETE: &str = "SELECT NOT EXISTS (
    SELECT FROM tower_api_token.number WHERE name = 'prefixes missing since')";

const ACCOUNTS: &str = "
    SELECT user_id, record FROM tower_api_token.account
    WHERE user_id > $1 AND prefixes IS NULL ORDER BY user_id LIMIT $2";

/// Each account's prefixes are one text, with commas between and a dash for none.
/// One that has been written meanwhile has its prefixes.
const SET_PREFIXES: &str = "
    UPDATE tower_api_token.account SET prefixes = string_to_array(known.prefixes, ',', '-')
    FROM unnest($1::text[], $2::text[]) AS known (user_id, prefixes)
    WHERE account.user_id = known.user_id AND account.prefixes IS NULL";

/// Version 1 has kept the uses of tokens that their account had forgotten. Those
/// of an account that has been written meanwhile have gone with that change.
const FORGET_USES: &str = "
    DELETE FROM tower_api_token.token_use AS used
    USING unnest($1::text[]) AS page (user_id), tower_api_token.account
    WHERE used.user_id = page.user_id AND account.user_id = page.user_id
        AND account.prefixes IS NULL AND NOT EXISTS (
            SELECT FROM unnest($2::text[], $3::int8[]) AS named (user_id, token_id)
            WHERE named.user_id = used.user_id AND named.token_id = used.token_id)";

const COMPLETE: &str = "
    DELETE FROM tower_api_token.number WHERE name = 'prefixes missing since'";

/// Goes on where an earlier attempt has ended. Look-ups and changes go on beside
/// it, and so may another node that does the same.
pub(super) async fn add_prefixes(connection: &mut PooledConnection) -> Result<(), StoreError> {
    let mut complete = is_complete(connection).await.doing(DOING)?;
    let mut after = String::new();
    while !complete {
        let rows = connection.query(ACCOUNTS, &[&after, &PAGE]).await.doing(DOING)?;
        let page = Page::of(&rows)?;
        page.write(connection).await?;
        match page.users.last() {
            Some(last) => after.clone_from(last),
            None => {
                connection.execute(COMPLETE, &[]).await.doing(DOING)?;
                complete = true;
            }
        }
    }
    Ok(())
}

const HAS_INDEXES: &str = "SELECT EXISTS (
    SELECT FROM tower_api_token.number WHERE name = 'audit position')";

/// Look-ups go on beside it, and changes wait.
const LOCK_INDEXED: &str = "
    LOCK TABLE tower_api_token.account, tower_api_token.history IN SHARE MODE";

const INDEXES: &str = "
    CREATE INDEX account_due ON tower_api_token.account (due_at_millis, user_id)
        WHERE due_at_millis IS NOT NULL;
    CREATE UNIQUE INDEX history_position ON tower_api_token.history (position)
        WHERE position IS NOT NULL;
    CREATE INDEX history_unnumbered ON tower_api_token.history (at_millis, user_id, revision)
        WHERE position IS NULL;
    INSERT INTO tower_api_token.number (name, value) VALUES ('audit position', 0)";

/// Makes the indexes of the log and of what is due, unless they are there.
pub(super) async fn add_indexes(connection: &mut PooledConnection) -> Result<(), StoreError> {
    let client: &Client = connection;
    if has_indexes(client).await.doing(DOING)? {
        return Ok(());
    }
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = transaction.start().await.doing(DOING)?;
    transaction.batch_execute(LOCK).await.doing(DOING)?;
    if !has_indexes(&*transaction).await.doing(DOING)? {
        execute_unlocked(&mut transaction, LOCK_INDEXED, &[]).await?;
        transaction.batch_execute(INDEXES).await.doing(DOING)?;
    }
    transaction.commit().await.doing(DOING)
}

async fn has_indexes(client: &impl GenericClient) -> Result<bool, Error> {
    client.query_one(HAS_INDEXES, &[]).await?.try_get(0)
}

/// Whether every account has been gone through.
pub(super) async fn is_complete(connection: &PooledConnection) -> Result<bool, Error> {
    connection.query_one(IS_COMPLETE, &[]).await?.try_get(0)
}

/// What is known of some accounts, column by column.
#[derive(Default)]
struct Page {
    users: Vec<String>,
    prefixes: Vec<String>,
    named_users: Vec<String>,
    named_tokens: Vec<i64>,
}

impl Page {
    fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let mut page = Self::default();
        for row in rows {
            let user: String = row.try_get(0).map_err(|error| corrupt(DOING, error))?;
            let record = row.try_get(1).map_err(|error| corrupt(DOING, error))?;
            page.add(user, &decode(record)?);
        }
        Ok(page)
    }

    fn add(&mut self, user: String, account: &Account) {
        let prefixes = account.prefixes_in_use();
        let prefixes: Vec<_> = prefixes
            .map(|prefix| prefix.as_ref().map_or("-", TokenPrefix::as_str).to_owned())
            .collect();
        self.prefixes.push(prefixes.join(","));
        for id in account.token_ids().collect::<BTreeSet<_>>() {
            self.named_users.push(user.clone());
            self.named_tokens.push(id.as_u64().cast_signed());
        }
        self.users.push(user);
    }

    async fn write(&self, connection: &mut PooledConnection) -> Result<(), StoreError> {
        let Self { users, prefixes, named_users, named_tokens } = self;
        write(connection, FORGET_USES, &[users, named_users, named_tokens]).await?;
        write(connection, SET_PREFIXES, &[users, prefixes]).await
    }
}

/// Executes one statement, which may wait for changes and make them wait.
async fn write(
    connection: &mut PooledConnection,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), StoreError> {
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = transaction.start().await.doing(DOING)?;
    execute_unlocked(&mut transaction, statement, parameters).await?;
    transaction.commit().await.doing(DOING)
}

/// Every look-up queues behind a lock that is waited for. This is less than the
/// second after which the server looks for deadlocks and ends a session of its
/// choice: the one that gives way must be this one.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";

/// How long others go on before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// When no new attempt is made any more.
const TIMEOUT: Duration = Duration::from_secs(30);

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
pub(super) async fn execute_unlocked(
    transaction: &mut Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), StoreError> {
    let until = Instant::now() + TIMEOUT;
    transaction.batch_execute(LOCK_TIMEOUT).await.doing(DOING)?;
    loop {
        let attempt = transaction.savepoint("attempt").await.doing(DOING)?;
        match attempt.execute(statement, parameters).await {
            Ok(_) => return attempt.commit().await.doing(DOING),
            Err(error) if is_held(&error) => attempt.rollback().await.doing(DOING)?,
            Err(error) => return Err(store_error(DOING, error)),
        }
        if Instant::now() >= until {
            let locked = locked(transaction).await.doing(DOING)?;
            return Err(StoreError::new(StoreErrorKind::Unavailable, DOING).with_source(locked));
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
    TIMEOUT.as_secs()
)]
struct Locked {
    holders: String,
}

async fn locked(transaction: &Transaction<'_>) -> Result<Locked, Error> {
    let holders: Option<String> = transaction.query_one(HOLDERS, &[]).await?.try_get(0)?;
    Ok(Locked { holders: holders.unwrap_or_else(|| "none of them holds one now".to_owned()) })
}

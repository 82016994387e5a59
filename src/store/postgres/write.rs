//! What is written: each change as one statement, so that it is one transaction
//! without a beginning that could be left without an end; what is rare, such as an
//! erasure, as one transaction.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, GenericClient, IsolationLevel, Statement};

use super::connection::{Hidden, PooledConnection};
use super::error::{Doing, gave_way, is_taken, store_error};
use super::feed::{self, CHANNEL};
use super::read::{check, signed};
use crate::account::{Account, LastUse};
use crate::store::record::{ERASED_EVENT, encode, encode_actor, encode_event};
use crate::store::{Erasure, Replacement, StoreError, StoreErrorKind};
use crate::token::{PepperCheck, PepperVersion, TokenId};
use crate::user::UserId;

pub(super) const ONE: &str = "replacing an account";
pub(super) const MANY: &str = "replacing many accounts";
pub(super) const USAGE: &str = "recording last uses";
pub(super) const HEARTBEAT: &str = "sending a heartbeat";
pub(super) const ERASING: &str = "erasing an account";
pub(super) const KEEPING: &str = "keeping a pepper check value";

/// How often a transaction is tried that gave way to others.
pub(super) const ATTEMPTS: usize = 8;

/// Parameters: user, expected revision or null, revision, record, pepper versions,
/// digests, the entries' revisions, times, actors and events, prefixes, the ids of
/// the tokens that are named, the least number that the account has given, and when
/// it is due.
///
/// An account is made only above what erased ones have reached; whoever erases one
/// waits for those that are being made, and the other way round.
///
/// Every part hangs on `changed`, which is empty if the revision is another or
/// if another account names one of the digests; the unique key catches one that
/// comes to be named at the same moment. All parts see the database as it was
/// before, so the message names the digests of before and after. It must be
/// shorter than 8 000 bytes; those of an account that is full fit.
const CHANGE: &str = "
    WITH inserted AS (
        INSERT INTO tower_api_token.account (
            user_id, revision, record, peppers_in_use, prefixes, due_at_millis)
        SELECT $1::text, $3::int8, $4::bytea, $5::int4[], $11::text[], $14::int8
        WHERE $2::int8 IS NULL AND $13::int8 > (
            SELECT value FROM tower_api_token.number WHERE name = 'erased up to' FOR SHARE
        ) AND NOT EXISTS (
            SELECT FROM tower_api_token.digest WHERE digest = ANY ($6::bytea[]))
        ON CONFLICT DO NOTHING
        RETURNING user_id
    ), updated AS (
        UPDATE tower_api_token.account
        SET revision = $3, record = $4, peppers_in_use = $5, prefixes = $11, due_at_millis = $14
        WHERE user_id = $1 AND revision = $2 AND NOT EXISTS (
            SELECT FROM tower_api_token.digest
            WHERE digest = ANY ($6) AND digest.user_id IS DISTINCT FROM $1)
        RETURNING user_id
    ), changed AS (
        SELECT user_id FROM inserted UNION ALL SELECT user_id FROM updated
    ), forgotten AS (
        DELETE FROM tower_api_token.digest USING changed
        WHERE digest.user_id = changed.user_id AND digest.digest <> ALL ($6)
    ), unused AS (
        DELETE FROM tower_api_token.token_use USING changed
        WHERE token_use.user_id = changed.user_id AND token_use.token_id <> ALL ($12::int8[])
    ), named AS (
        INSERT INTO tower_api_token.digest (digest, user_id)
        SELECT fresh, changed.user_id FROM changed, unnest($6) AS fresh
        WHERE NOT EXISTS (SELECT FROM tower_api_token.digest WHERE digest = fresh)
    ), noted AS (
        INSERT INTO tower_api_token.history (user_id, revision, at_millis, actor, event)
        SELECT user_id, revision, at_millis, actor, event::jsonb
        FROM changed, unnest($7::int8[], $8::int8[], $9::text[], $10::text[])
            AS entry (revision, at_millis, actor, event)
    ), affected AS (
        SELECT digest FROM tower_api_token.digest WHERE user_id = $1 UNION SELECT unnest($6)
    ), message AS (
        SELECT concat('c', $3, ' ', translate(
            encode(string_agg(digest, '' ORDER BY digest), 'base64'), E'\\n', ''), ' ', $1) AS text
        FROM affected
    )
    SELECT pg_notify('tower_api_token',
        CASE WHEN octet_length(text) < 8000 THEN text ELSE concat('u', $3, ' ', $1) END)
    FROM changed, message";

struct Parameters {
    user: String,
    expected: Option<i64>,
    revision: i64,
    record: Hidden<Vec<u8>>,
    peppers: Vec<i32>,
    digests: Hidden<Vec<Vec<u8>>>,
    entry_revisions: Vec<i64>,
    times: Vec<i64>,
    actors: Vec<String>,
    events: Vec<String>,
    prefixes: Vec<Option<String>>,
    tokens: Vec<i64>,
    least: i64,
    due: Option<i64>,
}

impl Parameters {
    fn of(replacement: &Replacement) -> Self {
        let Replacement { account, expected, due, .. } = replacement;
        let entries = || replacement.entries();
        Self {
            user: account.user().as_str().to_owned(),
            expected: expected.map(|expected| signed(expected.as_u64())),
            revision: signed(account.revision().as_u64()),
            record: Hidden(encode(account)),
            peppers: account
                .pepper_versions_in_use()
                .map(|pepper| pepper.as_u16().into())
                .collect(),
            digests: Hidden(digests(account)),
            entry_revisions: entries().map(|entry| signed(entry.revision.as_u64())).collect(),
            times: entries().map(|entry| signed(entry.at.unix_millis())).collect(),
            actors: entries().map(|entry| encode_actor(&entry.actor)).collect(),
            events: entries().map(|entry| encode_event(&entry.event)).collect(),
            prefixes: account
                .prefixes_in_use()
                .map(|prefix| prefix.map(|prefix| prefix.as_str().to_owned()))
                .collect(),
            tokens: account.token_ids().map(token_number).collect(),
            least: signed(account.least_number()),
            due: due.map(|due| signed(due.unix_millis())),
        }
    }

    /// Whether the change was made.
    async fn write(
        &self,
        client: &impl GenericClient,
        statement: &Statement,
    ) -> Result<bool, Error> {
        let Self { user, expected, revision, record, peppers, .. } = self;
        let Self { digests, entry_revisions, times, actors, events, .. } = self;
        let Self { prefixes, tokens, least, due, .. } = self;
        let entries: [&(dyn ToSql + Sync); 4] = [entry_revisions, times, actors, events];
        let account: [&(dyn ToSql + Sync); 6] =
            [user, expected, revision, record, peppers, digests];
        let beside: [&(dyn ToSql + Sync); 4] = [prefixes, tokens, least, due];
        let all = [&account[..], &entries, &beside].concat();
        Ok(client.query_opt(statement, &all).await?.is_some())
    }
}

fn digests(account: &Account) -> Vec<Vec<u8>> {
    account.digests().map(|stored| stored.digest.as_bytes().to_vec()).collect()
}

pub(super) async fn replace(
    connection: PooledConnection,
    replacement: Replacement,
) -> Result<(), StoreError> {
    let answer = write(&connection, &Parameters::of(&replacement)).await;
    connection.release();
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(conflict()),
        Err(error) if is_taken(&error) => Err(conflict()),
        Err(error) => Err(store_error(ONE, error)),
    }
}

async fn write(connection: &PooledConnection, parameters: &Parameters) -> Result<bool, Error> {
    let statement = connection.prepare_cached(CHANGE).await?;
    let client: &Client = connection;
    for _ in 1..ATTEMPTS {
        match parameters.write(client, &statement).await {
            Err(error) if gave_way(&error) => {}
            answer => return answer,
        }
    }
    parameters.write(client, &statement).await
}

const fn conflict() -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, ONE)
}

pub(super) async fn replace_many(
    mut connection: PooledConnection,
    replacements: Vec<Replacement>,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let parameters: Vec<_> = replacements.iter().map(Parameters::of).collect();
    let answers = write_all(&mut connection, &parameters).await;
    let answers = answers.doing(MANY)?;
    connection.release();
    Ok(answers)
}

/// One that conflicts without having been seen to (another's digest came in at
/// the same moment, or the history has its revision already) makes all of them
/// fail: then each is written on its own.
async fn write_all(
    connection: &mut PooledConnection,
    parameters: &[Parameters],
) -> Result<Vec<Result<(), StoreError>>, Error> {
    let mut together = true;
    for _ in 1..ATTEMPTS {
        match write_batch(connection, parameters, together).await {
            Err(error) if gave_way(&error) => {}
            Err(error) if is_taken(&error) => together = false,
            answers => return answers,
        }
    }
    write_batch(connection, parameters, together).await
}

/// Writes all in one transaction.
async fn write_batch(
    connection: &mut PooledConnection,
    parameters: &[Parameters],
    together: bool,
) -> Result<Vec<Result<(), StoreError>>, Error> {
    // A text of its own, so that it has a plan of its own.
    let statement = connection.prepare_cached(&format!("{CHANGE} -- in a batch")).await?;
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = transaction.start().await?;
    // The planner takes a table that is being filled for as small as it was, and
    // would read it through for each change.
    transaction.batch_execute("SET LOCAL enable_seqscan = off").await?;
    let answers = if together {
        // All are under way at once: else each would wait for the network.
        let writes = parameters.iter().map(|change| change.write(&*transaction, &statement));
        try_join_all(writes).await?
    } else {
        let mut answers = Vec::with_capacity(parameters.len());
        for change in parameters {
            answers.push(write_apart(&mut transaction, change, &statement).await?);
        }
        answers
    };
    transaction.commit().await?;
    Ok(answers.into_iter().map(|written| written.then_some(()).ok_or_else(conflict)).collect())
}

/// Whether the change was made; what fails of it fails alone.
async fn write_apart(
    transaction: &mut Transaction<'_>,
    change: &Parameters,
    statement: &Statement,
) -> Result<bool, Error> {
    let savepoint = transaction.transaction().await?;
    match change.write(&*savepoint, statement).await {
        Ok(written) => savepoint.commit().await.map(|()| written),
        Err(error) if is_taken(&error) => savepoint.rollback().await.map(|()| false),
        Err(error) => Err(error),
    }
}

/// A batch of uses, column by column: each token once, since one statement
/// writes a row once, and in order, so that two nodes never wait for each other
/// in a circle.
#[derive(Default)]
pub(super) struct UsageColumns {
    users: Vec<String>,
    tokens: Vec<i64>,
    times: Vec<i64>,
    clients: Vec<Option<String>>,
}

impl UsageColumns {
    pub(super) fn of(batch: &[(UserId, LastUse)]) -> Self {
        let mut latest = BTreeMap::new();
        for (user, used) in batch {
            let kept = latest.entry((user, used.id)).or_insert(used);
            if kept.at < used.at {
                *kept = used;
            }
        }
        let mut columns = Self::default();
        for ((user, token), used) in latest {
            columns.users.push(user.as_str().to_owned());
            columns.tokens.push(token_number(token));
            columns.times.push(signed(used.at.unix_millis()));
            columns.clients.push(used.client.as_ref().map(|client| client.as_str().to_owned()));
        }
        columns
    }
}

pub(super) async fn record_usage(
    mut connection: PooledConnection,
    uses: UsageColumns,
) -> Result<(), StoreError> {
    write_uses(&mut connection, &uses).await.doing(USAGE)?;
    connection.release();
    Ok(())
}

/// After the lock, so that an account that was erased is seen to be gone.
async fn write_uses(connection: &mut PooledConnection, uses: &UsageColumns) -> Result<(), Error> {
    const RECORD: &str = "
        INSERT INTO tower_api_token.token_use (user_id, token_id, at_millis, client)
        SELECT user_id, token_id, at_millis, client
        FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[])
            AS used (user_id, token_id, at_millis, client)
        JOIN tower_api_token.account USING (user_id)
        ORDER BY user_id, token_id
        ON CONFLICT (user_id, token_id)
        DO UPDATE SET at_millis = excluded.at_millis, client = excluded.client
        WHERE token_use.at_millis < excluded.at_millis";
    let UsageColumns { users, tokens, times, clients } = uses;
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let transaction = transaction.start().await?;
    transaction.batch_execute(SHARED).await?;
    let statement = transaction.prepare_cached(RECORD).await?;
    transaction.execute(&statement, &[users, tokens, times, clients]).await?;
    transaction.commit().await
}

/// Sends a message that is no change.
pub(super) async fn notify(connection: PooledConnection, message: &str) -> Result<(), StoreError> {
    let statement = connection.prepare_cached("SELECT pg_notify($1, $2)").await.doing(HEARTBEAT)?;
    connection.query_opt(&statement, &[&CHANNEL, &message]).await.doing(HEARTBEAT)?;
    connection.release();
    Ok(())
}

/// Held alone while an account is erased, and shared while uses are recorded: a
/// batch that has seen the account must not bring its uses back. The number is
/// `token_us`.
const ALONE: &str = "SELECT pg_advisory_xact_lock(x'746f6b656e5f7573'::int8)";
const SHARED: &str = "SELECT pg_advisory_xact_lock_shared(x'746f6b656e5f7573'::int8)";

/// Whoever makes an account holds this row too, so that none begins below.
const RAISE: &str = "
    UPDATE tower_api_token.number SET value = greatest(value, $1) WHERE name = 'erased up to'";

const HOLD: &str = "
    SELECT FROM tower_api_token.account WHERE user_id = $1 AND revision = $2 FOR UPDATE";

const FORGET_ERASED: &str = "
    DELETE FROM tower_api_token.digest WHERE erased_millis < $1";

const ERASE_DIGESTS: &str = "
    UPDATE tower_api_token.digest SET user_id = NULL, erased_millis = $2 WHERE user_id = $1";

const ERASE: [&str; 3] = [
    "DELETE FROM tower_api_token.history WHERE user_id = $1",
    "DELETE FROM tower_api_token.token_use WHERE user_id = $1",
    "DELETE FROM tower_api_token.account WHERE user_id = $1",
];

/// An entry without a user: whoever erases an account does it alone, so that each has
/// a number of its own.
const ADD_ERASED: &str = "
    INSERT INTO tower_api_token.history (user_id, revision, at_millis, actor, event)
    SELECT '', coalesce(max(revision), 0) + 1, $1, $2, $3::text::jsonb
    FROM tower_api_token.history WHERE user_id = ''";

pub(super) async fn erase(
    mut connection: PooledConnection,
    erasure: Erasure,
) -> Result<(), StoreError> {
    let mut attempts = 1..ATTEMPTS;
    let erased = loop {
        match write_erasure(&mut connection, &erasure).await {
            Err(error) if gave_way(&error) && attempts.next().is_some() => {}
            erased => break erased.doing(ERASING)?,
        }
    };
    connection.release();
    erased.then_some(()).ok_or_else(|| StoreError::new(StoreErrorKind::Conflict, ERASING))
}

/// Whether it was there to be erased.
async fn write_erasure(
    connection: &mut PooledConnection,
    erasure: &Erasure,
) -> Result<bool, Error> {
    let transaction = connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let transaction = transaction.start().await?;
    transaction.batch_execute(ALONE).await?;
    transaction.execute(RAISE, &[&signed(erasure.reached())]).await?;
    let (user, revision) = (erasure.user().as_str(), signed(erasure.account.revision().as_u64()));
    if transaction.query_opt(HOLD, &[&user, &revision]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    remove_account(&transaction, erasure).await?;
    let message = feed::change(&erasure.change());
    transaction.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &message]).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn remove_account(transaction: &Transaction<'_>, erasure: &Erasure) -> Result<(), Error> {
    let (at, before) = (erasure.at.unix_millis(), erasure.forgets_before().unix_millis());
    transaction.execute(FORGET_ERASED, &[&signed(before)]).await?;
    let user = erasure.user().as_str();
    transaction.execute(ERASE_DIGESTS, &[&user, &signed(at)]).await?;
    let user: [&(dyn ToSql + Sync); 1] = [&user];
    for statement in ERASE {
        transaction.execute(statement, &user).await?;
    }
    let actor = encode_actor(&erasure.erased().actor);
    transaction.execute(ADD_ERASED, &[&signed(at), &actor, &ERASED_EVENT]).await?;
    Ok(())
}

/// The update changes nothing: it lets the statement return the row that is there.
pub(super) async fn keep_pepper_check(
    connection: PooledConnection,
    version: PepperVersion,
    offered: PepperCheck,
) -> Result<PepperCheck, StoreError> {
    const KEEP: &str = "
        INSERT INTO tower_api_token.pepper_check (version, check_value) VALUES ($1, $2)
        ON CONFLICT (version) DO UPDATE SET check_value = pepper_check.check_value
        RETURNING check_value";
    let (version, offered) = (i32::from(version.as_u16()), Hidden(offered.as_bytes().to_vec()));
    let row = connection.query_one(KEEP, &[&version, &offered]).await.doing(KEEPING)?;
    connection.release();
    check(&row, 0, KEEPING)
}

/// A token's number in the same bits: it only has to be the same again.
const fn token_number(token: TokenId) -> i64 {
    token.as_u64().cast_signed()
}

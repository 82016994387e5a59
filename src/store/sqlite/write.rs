//! What is written. Every function here works inside a transaction that its
//! caller begins and commits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::error::Failure;
use super::{feed, read};
use crate::account::{Account, LastUse, Revision};
use crate::audit::{AccountErased, AuditEntry};
use crate::store::record::{ERASED_EVENT, encode, encode_actor, encode_event};
use crate::store::{Change, Erasure, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::{ClientLabel, UserId};

const REPLACING: &str = "replacing an account";

const KEPT: &str = "SELECT record, number, revision FROM accounts WHERE user_id = ?1";

const ADD: &str =
    "INSERT INTO accounts (user_id, revision, record, due_at) VALUES (?1, ?2, ?3, ?4)";

const CHANGE: &str =
    "UPDATE accounts SET revision = ?2, record = ?3, due_at = ?4 WHERE number = ?1";

const ADD_DIGEST: &str =
    "INSERT INTO digests (digest, pepper, in_use, prefix, account) VALUES (?1, ?2, ?3, ?4, ?5)";

const CHANGE_DIGEST: &str =
    "UPDATE digests SET pepper = ?2, in_use = ?3, prefix = ?4 WHERE digest = ?1 AND account = ?5";

const REMOVE_DIGEST: &str = "DELETE FROM digests WHERE digest = ?1";

const ADD_ENTRY: &str =
    "INSERT INTO history (account, revision, at, actor, event) VALUES (?1, ?2, ?3, ?4, ?5)";

const ADD_ERASED: &str = "INSERT INTO history (at, actor, event) VALUES (?1, ?2, ?3)";

const RECORD_USE: &str = "
    INSERT INTO usage (account, token, at, client)
    SELECT number, ?2, ?3, ?4 FROM accounts WHERE user_id = ?1
    ON CONFLICT (account, token) DO UPDATE SET at = excluded.at, client = excluded.client
    WHERE excluded.at > at";

const USED: &str = "SELECT token FROM usage WHERE account = ?1";

const FORGET_USE: &str = "DELETE FROM usage WHERE account = ?1 AND token = ?2";

const SET_NUMBER: &str = "
    INSERT INTO numbers (name, value) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const FORGET_ERASED: &str = "DELETE FROM digests WHERE erased_at IS NOT NULL AND erased_at < ?1";

const ERASE_DIGESTS: &str = "
    UPDATE digests SET account = NULL, in_use = 0, prefix = '', erased_at = ?2
    WHERE digest = ?1";

/// Everything that stands under the account's number, and then itself.
const ERASE: [&str; 3] = [
    "DELETE FROM usage WHERE account = ?1",
    "DELETE FROM history WHERE account = ?1",
    "DELETE FROM accounts WHERE number = ?1",
];

const KEEP_CHECK: &str =
    "INSERT INTO pepper_checks (version, check_value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

const CHECK: &str = "SELECT check_value FROM pepper_checks WHERE version = ?1";

/// An account as the file has it.
struct Kept {
    account: Arc<Account>,
    number: i64,
    revision: i64,
}

/// Makes one change.
pub(super) fn replace(connection: &Connection, replacement: &Replacement) -> Result<(), Failure> {
    let sequence = write(connection, replacement)?;
    feed::prune(connection, sequence, 1)
}

/// Makes all the changes. The first that cannot be made ends the whole.
pub(super) fn replace_all(
    connection: &Connection,
    replacements: &[Replacement],
) -> Result<(), Failure> {
    let mut newest = None;
    for replacement in replacements {
        newest = Some(write(connection, replacement)?);
    }
    newest.map_or(Ok(()), |newest| feed::prune(connection, newest, replacements.len()))
}

/// Makes each change or nothing of it, and answers for each. A failure that is
/// not of one change's making ends the whole.
///
/// SQLite copies every page that a change touches before it, so this takes
/// several times longer than [`replace_all`].
pub(super) fn replace_each(
    connection: &Connection,
    replacements: &[Replacement],
) -> Result<Vec<Result<(), StoreError>>, Failure> {
    let mut results = Vec::with_capacity(replacements.len());
    let mut newest = None;
    for replacement in replacements {
        run(connection, "SAVEPOINT one")?;
        let written = write(connection, replacement).map(|sequence| newest = Some(sequence));
        let result = alone(written)?;
        if result.is_err() {
            run(connection, "ROLLBACK TO one")?;
        }
        run(connection, "RELEASE one")?;
        results.push(result);
    }
    newest.map_or(Ok(()), |newest| feed::prune(connection, newest, results.len()))?;
    Ok(results)
}

/// Takes apart what is wrong with one change and what is wrong with the file.
fn alone(written: Result<(), Failure>) -> Result<Result<(), StoreError>, Failure> {
    let Err(failure) = written else { return Ok(Ok(())) };
    let error = failure.store_error(REPLACING);
    match error.kind() {
        StoreErrorKind::Conflict | StoreErrorKind::Corrupt => Ok(Err(error)),
        _ => Err(error.into()),
    }
}

/// Keeps the latest use of each token. No account is written.
pub(super) fn record_uses(
    connection: &Connection,
    batch: &[(UserId, LastUse)],
) -> Result<(), Failure> {
    let mut record = connection.prepare_cached(RECORD_USE)?;
    for (user, LastUse { id, at, client, .. }) in batch {
        let (token, client) = (id.as_u64(), client.as_ref().map(ClientLabel::as_str));
        let at = i64::try_from(at.unix_millis()).unwrap_or(i64::MAX);
        record.execute((user.as_str(), token.cast_signed(), at, client))?;
    }
    Ok(())
}

/// Puts a heartbeat between the changes before and after it.
pub(super) fn heartbeat(connection: &Connection, id: u64) -> Result<(), Failure> {
    let sequence = feed::append_heartbeat(connection, id)?;
    feed::prune(connection, sequence, 1)
}

/// Makes one change, and answers with its number in the log of changes.
fn write(connection: &Connection, replacement: &Replacement) -> Result<i64, Failure> {
    let Replacement { account, expected, due, .. } = replacement;
    let kept = kept(connection, account.user())?;
    let expected = expected.map(stored_revision).transpose()?;
    if kept.as_ref().map(|kept| kept.revision) != expected {
        return Err(conflict().into());
    }
    if kept.is_none() {
        begins_above_the_erased(connection, account)?;
    }
    let number = write_account(connection, kept.as_ref(), account, *due)?;
    let before = kept.as_ref().map(|kept| &*kept.account);
    write_digests(connection, number, before, account)?;
    if before.is_some_and(|before| has_forgotten(before, account)) {
        forget_uses(connection, number, account)?;
    }
    for entry in replacement.entries() {
        write_entry(connection, number, entry)?;
    }
    feed::append_change(connection, &Change::between(before, account))
}

const fn conflict() -> StoreError {
    StoreError::new(StoreErrorKind::Conflict, REPLACING)
}

fn begins_above_the_erased(connection: &Connection, account: &Account) -> Result<(), Failure> {
    let erased = read::kept_number(connection, read::ERASED_UP_TO)?.unwrap_or_default();
    if account.begins_above(erased) { Ok(()) } else { Err(conflict().into()) }
}

/// Whether a token that was named is named no longer.
fn has_forgotten(before: &Account, after: &Account) -> bool {
    let named: HashSet<_> = after.token_ids().collect();
    before.token_ids().any(|id| !named.contains(&id))
}

/// Deletes the uses of tokens that the account does not name.
pub(super) fn forget_uses(
    connection: &Connection,
    number: i64,
    account: &Account,
) -> Result<(), Failure> {
    let named: HashSet<_> = account.token_ids().map(|id| id.as_u64().cast_signed()).collect();
    let mut used = connection.prepare_cached(USED)?;
    let used: Vec<i64> = used.query_map([number], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut forget = connection.prepare_cached(FORGET_USE)?;
    for token in used.into_iter().filter(|token| !named.contains(token)) {
        forget.execute((number, token))?;
    }
    Ok(())
}

/// Keeps a number under its name.
pub(super) fn set_number(connection: &Connection, name: &str, value: u64) -> Result<(), Failure> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    connection.prepare_cached(SET_NUMBER)?.execute((name, value))?;
    Ok(())
}

fn kept(connection: &Connection, user: &UserId) -> Result<Option<Kept>, Failure> {
    let mut statement = connection.prepare_cached(KEPT)?;
    let mut rows = statement.query([user.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (number, revision) = (row.get(1)?, row.get(2)?);
    Ok(Some(Kept { account: read::account(row)?, number, revision }))
}

fn write_account(
    connection: &Connection,
    kept: Option<&Kept>,
    account: &Account,
    due: Option<Timestamp>,
) -> Result<i64, Failure> {
    let (revision, record) = (stored_revision(account.revision())?, encode(account));
    let due = due.map(ordered_time);
    if let Some(kept) = kept {
        connection.prepare_cached(CHANGE)?.execute((kept.number, revision, record, due))?;
        return Ok(kept.number);
    }
    let user = account.user().as_str();
    Ok(connection.prepare_cached(ADD)?.insert((user, revision, record, due))?)
}

/// That no other account names one of the digests is the table's own rule.
fn write_digests(
    connection: &Connection,
    number: i64,
    before: Option<&Account>,
    after: &Account,
) -> Result<(), Failure> {
    let kept: HashMap<_, _> = before.into_iter().flat_map(digests).collect();
    let named: HashMap<_, _> = digests(after).collect();
    for digest in kept.keys().filter(|digest| !named.contains_key(*digest)) {
        connection.prepare_cached(REMOVE_DIGEST)?.execute([digest.as_bytes()])?;
    }
    for (digest, row) in &named {
        let mut statement = match kept.get(digest) {
            Some(kept) if kept == row => continue,
            Some(_) => connection.prepare_cached(CHANGE_DIGEST)?,
            None => connection.prepare_cached(ADD_DIGEST)?,
        };
        let prefix = row.prefix.as_ref().map_or("", TokenPrefix::as_str);
        statement.execute((digest.as_bytes(), row.pepper, row.in_use, prefix, number))?;
    }
    Ok(())
}

/// What stands beside a digest.
#[derive(PartialEq)]
struct DigestRow {
    pepper: u16,
    in_use: bool,
    prefix: Option<TokenPrefix>,
}

/// Each digest that the account names. The prefix of a token is of interest while
/// it is in use.
fn digests(account: &Account) -> impl Iterator<Item = (TokenDigest, DigestRow)> {
    let in_use = account.tokens_in_use().map(|token| {
        let (pepper, prefix) = (token.digest.pepper.as_u16(), token.hint.prefix());
        (token.digest.digest, DigestRow { pepper, in_use: true, prefix })
    });
    let retired = account.retired().iter().map(|retired| {
        let pepper = retired.digest.pepper.as_u16();
        (retired.digest.digest, DigestRow { pepper, in_use: false, prefix: None })
    });
    in_use.chain(retired)
}

fn write_entry(connection: &Connection, number: i64, entry: &AuditEntry) -> Result<(), Failure> {
    let (actor, event) = (encode_actor(&entry.actor), encode_event(&entry.event));
    let (revision, at) = (stored_revision(entry.revision)?, entry.at.unix_millis().cast_signed());
    connection.prepare_cached(ADD_ENTRY)?.execute((number, revision, at, actor, event))?;
    Ok(())
}

fn write_erased(connection: &Connection, erased: &AccountErased) -> Result<(), Failure> {
    let AccountErased { at, actor } = erased;
    let (at, actor) = (stored_time(*at), encode_actor(actor));
    connection.prepare_cached(ADD_ERASED)?.execute((at, actor, ERASED_EVENT))?;
    Ok(())
}

fn run(connection: &Connection, sql: &str) -> Result<(), Failure> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Removes the account, its history and its uses; that it was erased comes to the log.
pub(super) fn erase(connection: &Connection, erasure: &Erasure) -> Result<(), Failure> {
    let expected = stored_revision(erasure.account.revision())?;
    let kept = kept(connection, erasure.user())?.filter(|kept| kept.revision == expected);
    let Some(Kept { account, number, .. }) = kept else {
        return Err(StoreError::new(StoreErrorKind::Conflict, "erasing an account").into());
    };
    connection.prepare_cached(FORGET_ERASED)?.execute([stored_time(erasure.forgets_before())])?;
    let mut erase_digest = connection.prepare_cached(ERASE_DIGESTS)?;
    for stored in account.digests() {
        erase_digest.execute((stored.digest.as_bytes(), stored_time(erasure.at)))?;
    }
    for statement in ERASE {
        connection.prepare_cached(statement)?.execute([number])?;
    }
    write_erased(connection, &erasure.erased())?;
    let erased = read::kept_number(connection, read::ERASED_UP_TO)?.unwrap_or_default();
    set_number(connection, read::ERASED_UP_TO, erased.max(erasure.reached()))?;
    let sequence = feed::append_change(connection, &erasure.change())?;
    feed::prune(connection, sequence, 1)
}

/// Keeps the check value unless the version has one, and answers with that.
pub(super) fn keep_pepper_check(
    connection: &Connection,
    version: PepperVersion,
    check: &PepperCheck,
) -> Result<PepperCheck, Failure> {
    let version = version.as_u16();
    connection.prepare_cached(KEEP_CHECK)?.execute((version, check.as_bytes()))?;
    let mut kept = connection.prepare_cached(CHECK)?;
    Ok(PepperCheck::from_bytes(kept.query_row([version], |row| row.get(0))?))
}

/// The history is read in the order of revisions, and SQLite's numbers have a
/// sign.
pub(super) fn stored_revision(revision: Revision) -> Result<i64, StoreError> {
    let corrupt = StoreError::new(StoreErrorKind::Corrupt, REPLACING);
    i64::try_from(revision.as_u64()).map_err(|cause| corrupt.with_source(cause))
}

fn stored_time(time: Timestamp) -> i64 {
    time.unix_millis().cast_signed()
}

/// A time that rows are in the order of.
pub(super) fn ordered_time(time: Timestamp) -> i64 {
    i64::try_from(time.unix_millis()).unwrap_or(i64::MAX)
}

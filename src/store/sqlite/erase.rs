//! Erased accounts, and the check values of peppers. Every function here works
//! inside a transaction that its caller begins and commits.

use rusqlite::Connection;

use super::failure::Failure;
use super::write::{Kept, kept, set_number, stored_revision};
use super::{change_log, read};
use crate::store::{Erasure, StoreError, StoreErrorKind};
use crate::token::{PepperCheck, PepperVersion};

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

/// Removes the account, its history and its uses.
pub(super) fn erase(connection: &Connection, erasure: &Erasure) -> Result<(), Failure> {
    let expected = stored_revision(erasure.account.revision())?;
    let kept = kept(connection, erasure.user())?.filter(|kept| kept.revision == expected);
    let Some(Kept { account, number, .. }) = kept else {
        return Err(StoreError::new(StoreErrorKind::Conflict, "erasing an account").into());
    };
    let millis = |at: crate::time::Timestamp| at.unix_millis().cast_signed();
    connection.prepare_cached(FORGET_ERASED)?.execute([millis(erasure.forgets_before())])?;
    let mut erase_digest = connection.prepare_cached(ERASE_DIGESTS)?;
    for stored in account.digests() {
        erase_digest.execute((stored.digest.as_bytes(), millis(erasure.at)))?;
    }
    for statement in ERASE {
        connection.prepare_cached(statement)?.execute([number])?;
    }
    let erased = read::kept_number(connection, read::ERASED_UP_TO)?.unwrap_or_default();
    set_number(connection, read::ERASED_UP_TO, erased.max(erasure.reached()))?;
    let sequence = change_log::append_change(connection, &erasure.change())?;
    change_log::prune(connection, sequence, 1)
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

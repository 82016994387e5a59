//! Erased accounts.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, IsolationLevel, Transaction};

use super::change::signed;
use super::failure::{gave_way, store_error};
use super::lent::Lent;
use super::message::{self, CHANNEL};
use crate::store::{Erasure, StoreError, StoreErrorKind};

pub(super) const ERASING: &str = "erasing an account";

/// How often it is tried when it gives way to others.
const ATTEMPTS: usize = 8;

/// Held alone while an account is erased, and shared while uses are recorded: a
/// batch that has seen the account must not bring its uses back. The number is
/// `token_us`.
pub(super) const ALONE: &str = "SELECT pg_advisory_xact_lock(x'746f6b656e5f7573'::int8)";
pub(super) const SHARED: &str = "SELECT pg_advisory_xact_lock_shared(x'746f6b656e5f7573'::int8)";

/// Whoever makes an account holds this row too, so that none begins below.
const RAISE: &str = "
    UPDATE tower_api_token.number SET value = greatest(value, $1) WHERE name = 'erased up to'";

const HOLD: &str = "
    SELECT FROM tower_api_token.account WHERE user_id = $1 AND revision = $2 FOR UPDATE";

const FORGET_ERASED: &str = "
    DELETE FROM tower_api_token.digest WHERE erased_at_millis < $1";

const ERASE_DIGESTS: &str = "
    UPDATE tower_api_token.digest SET user_id = NULL, erased_at_millis = $2 WHERE user_id = $1";

const ERASE: [&str; 3] = [
    "DELETE FROM tower_api_token.history WHERE user_id = $1",
    "DELETE FROM tower_api_token.token_use WHERE user_id = $1",
    "DELETE FROM tower_api_token.account WHERE user_id = $1",
];

pub(super) async fn erase(mut lent: Lent, erasure: Erasure) -> Result<(), StoreError> {
    let mut attempts = 1..ATTEMPTS;
    let erased = loop {
        match write(&mut lent, &erasure).await {
            Err(error) if gave_way(&error) && attempts.next().is_some() => {}
            erased => break erased.map_err(|error| store_error(ERASING, error))?,
        }
    };
    lent.give_back();
    erased.then_some(()).ok_or_else(|| StoreError::new(StoreErrorKind::Conflict, ERASING))
}

/// Whether it was there to be erased.
async fn write(lent: &mut Lent, erasure: &Erasure) -> Result<bool, Error> {
    let transaction = lent.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let transaction = transaction.start().await?;
    transaction.batch_execute(ALONE).await?;
    transaction.execute(RAISE, &[&signed(erasure.reached())]).await?;
    let (user, revision) = (erasure.user().as_str(), signed(erasure.account.revision().as_u64()));
    if transaction.query_opt(HOLD, &[&user, &revision]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    remove(&transaction, erasure).await?;
    let message = message::change(&erasure.change());
    transaction.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &message]).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn remove(transaction: &Transaction<'_>, erasure: &Erasure) -> Result<(), Error> {
    let (at, before) = (erasure.at.unix_millis(), erasure.forgets_before().unix_millis());
    transaction.execute(FORGET_ERASED, &[&signed(before)]).await?;
    let user = erasure.user().as_str();
    transaction.execute(ERASE_DIGESTS, &[&user, &signed(at)]).await?;
    let user: [&(dyn ToSql + Sync); 1] = [&user];
    for statement in ERASE {
        transaction.execute(statement, &user).await?;
    }
    Ok(())
}

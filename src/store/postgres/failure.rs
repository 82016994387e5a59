//! What the driver's errors mean.

use deadpool_postgres::PoolError;
use tokio::time::error::Elapsed;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::{StoreError, StoreErrorKind};

/// What the server answered, without its detail: "Key (digest)=(...) already
/// exists" would put a digest into a log.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
struct Refusal {
    code: String,
    message: String,
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Self {
        Self { code: error.code().code().to_owned(), message: error.message().to_owned() }
    }
}

/// The server's or the connection's failure.
pub(super) fn unavailable(doing: &'static str, error: Error) -> StoreError {
    let failure = StoreError::new(StoreErrorKind::Unavailable, doing);
    match error.as_db_error() {
        Some(refusal) => failure.with_source(Refusal::from(refusal)),
        None => failure.with_source(error),
    }
}

/// The pool's failure.
pub(super) fn no_connection(doing: &'static str, error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => unavailable(doing, error),
        error => StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error),
    }
}

/// The store's own patience has ended.
pub(super) fn late(doing: &'static str, elapsed: Elapsed) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing).with_source(elapsed)
}

/// A column that does not hold what the schema says.
pub(super) fn corrupt(doing: &'static str, error: Error) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, doing).with_source(error)
}

/// Whether a unique key exists already.
pub(super) fn is_taken(error: &Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Whether the server chose this transaction to give way: nothing was written,
/// and the same again may succeed.
pub(super) fn gave_way(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

//! What the driver's errors mean.

use std::io;

use deadpool_postgres::PoolError;
use tokio::time::error::Elapsed;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::{StoreError, StoreErrorKind};

/// What the server answered, without its detail: "Key (digest)=(...) already
/// exists" would put a digest into a log.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {code}){advice}")]
struct Refusal {
    code: String,
    message: String,
    advice: &'static str,
}

/// What the server's code stands for, and what its own words leave open.
fn meaning(state: &SqlState) -> (StoreErrorKind, &'static str) {
    match state.code() {
        // Undefined table, schema or column.
        "42P01" | "3F000" | "42703" => {
            (StoreErrorKind::NotSetUp, ": the tables are gone, or another version's: migrate it")
        }
        // Who asks, which database, and what the user may do.
        "28000" | "28P01" | "3D000" | "42501" => (StoreErrorKind::Refused, ""),
        // Prepared statements that are another session's.
        "42P05" | "26000" => (
            StoreErrorKind::Refused,
            ": a pooler in transaction mode stands before the server, and must keep prepared \
             statements or be bypassed",
        ),
        // Characters that the encoding lacks.
        "22P05" | "22021" => (StoreErrorKind::Refused, ": the database's encoding must be UTF8"),
        // Corrupted data, or a corrupted index.
        "XX001" | "XX002" => (StoreErrorKind::Corrupt, ""),
        // A deadlock or a serialization failure among others, which changes have
        // been tried again after.
        _ => (StoreErrorKind::Unavailable, ""),
    }
}

/// Names what was being done when the driver failed.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| store_error(doing, error))
    }
}

/// The server's or the connection's failure.
pub(super) fn store_error(doing: &'static str, error: Error) -> StoreError {
    let Some(refusal) = error.as_db_error() else {
        return StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error);
    };
    let (kind, advice) = meaning(refusal.code());
    let (code, message) = (refusal.code().code().to_owned(), refusal.message().to_owned());
    StoreError::new(kind, doing).with_source(Refusal { code, message, advice })
}

/// A connection could not be opened.
pub(super) fn not_connected(doing: &'static str, error: Error) -> StoreError {
    if is_disagreement(&error) {
        return StoreError::new(StoreErrorKind::Refused, doing).with_source(error);
    }
    store_error(doing, error)
}

/// Whether client and server were connected, but one of them does not accept
/// the other's TLS or way to authenticate.
fn is_disagreement(error: &Error) -> bool {
    let Some(cause) = std::error::Error::source(error) else { return false };
    match cause.downcast_ref::<io::Error>() {
        // What TLS refuses about a certificate, among others.
        Some(cause) => cause.kind() == io::ErrorKind::InvalidData,
        None => !cause.is::<DbError>(),
    }
}

/// The pool's failure.
pub(super) fn no_connection(doing: &'static str, error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => not_connected(doing, error),
        error => StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error),
    }
}

/// The store's own time-out has passed.
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

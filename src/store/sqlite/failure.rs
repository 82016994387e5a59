//! From what SQLite reports to what a store reports.
//!
//! Codes are compared, never text. An error of the driver holds a code, a text
//! about the statement and at most the statement itself, but no value that was
//! bound to it: no digest can be in one.

use rusqlite::ffi::{
    SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE, SQLITE_READONLY_CANTINIT,
    SQLITE_READONLY_DBMOVED, SQLITE_READONLY_DIRECTORY,
};
use rusqlite::{Error, ErrorCode};

use super::options::SqliteOpenError;
use super::schema::SchemaError;
use crate::store::{StoreError, StoreErrorKind};

/// What stops a piece of work on a connection.
#[derive(Debug)]
pub(super) enum Failure {
    Driver(Error),
    Schema(SchemaError),
    Refused(StoreError),
}

impl Failure {
    /// Whether another connection is in the way, for a moment.
    pub(super) fn is_busy(&self) -> bool {
        self.code() == Some(ErrorCode::DatabaseBusy)
    }

    /// Whether a statement could not be made, as it happens where a table is
    /// missing.
    pub(super) fn is_bad_statement(&self) -> bool {
        self.code() == Some(ErrorCode::Unknown)
    }

    /// The failure as the store reports it.
    pub(super) fn store_error(self, doing: &'static str) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Schema(cause) => StoreError::new(cause.kind(), doing).with_source(cause),
            Self::Driver(cause) if needs_directory(&cause) => {
                StoreError::new(StoreErrorKind::Refused, doing).with_source(ReadOnlyDirectory)
            }
            Self::Driver(cause) => StoreError::new(kind(&cause), doing).with_source(cause),
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Driver(cause) => code(cause),
            Self::Schema(_) | Self::Refused(_) => None,
        }
    }
}

/// Of a statement that is no longer understood, the driver's own accessor for
/// the code knows nothing.
fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::SqlInputError { error, .. } => Some(error.code),
        error => error.sqlite_error_code(),
    }
}

/// SQLite keeps two files beside the store's.
#[derive(Debug, thiserror::Error)]
#[error("the file's directory must be writable: SQLite keeps the write-ahead log there")]
struct ReadOnlyDirectory;

/// Whether the file's directory is what cannot be written.
pub(super) fn needs_directory(error: &Error) -> bool {
    let code = extended_code(error);
    matches!(code, Some(SQLITE_READONLY_DIRECTORY | SQLITE_READONLY_CANTINIT))
}

fn extended_code(error: &Error) -> Option<i32> {
    error.sqlite_error().map(|cause| cause.extended_code)
}

pub(super) fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::SqliteFailure(cause, _) if is_uniqueness(cause.extended_code) => {
            StoreErrorKind::Conflict
        }
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => StoreErrorKind::Corrupt,
        error => match code(error) {
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation,
            ) => StoreErrorKind::Corrupt,
            // A file that was moved away is no matter of rights.
            Some(ErrorCode::ReadOnly) if extended_code(error) == Some(SQLITE_READONLY_DBMOVED) => {
                StoreErrorKind::Unavailable
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreErrorKind::Refused,
            _ => StoreErrorKind::Unavailable,
        },
    }
}

const fn is_uniqueness(extended_code: i32) -> bool {
    matches!(extended_code, SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE)
}

pub(super) const fn unavailable(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<rusqlite::types::FromSqlError> for Failure {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Driver(error.into())
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

/// What stands in the way of opening the file at the path anew. One that is
/// missing may be on its way.
impl From<SqliteOpenError> for Failure {
    fn from(error: SqliteOpenError) -> Self {
        let is_missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let kind = match &error {
            SqliteOpenError::File(cause) if is_missing(cause) => None,
            error => error.kind(),
        };
        let kind = kind.unwrap_or(StoreErrorKind::Unavailable);
        StoreError::new(kind, "opening the file that is at the path now").with_source(error).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

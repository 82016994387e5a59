//! From what SQLite reports to what a store reports.
//!
//! Codes are compared, never text. An error of the driver holds a code, a text
//! about the statement and at most the statement itself, but no value that was
//! bound to it: no digest can be in one.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::ffi::{
    SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE, SQLITE_READONLY_CANTINIT,
    SQLITE_READONLY_DBMOVED, SQLITE_READONLY_DIRECTORY,
};
use rusqlite::{Error, ErrorCode};

use super::options::SqliteOptions;
use super::schema::VERSION;
use crate::store::{StoreError, StoreErrorKind};

/// Why a file cannot be opened, used or copied as a store.
///
/// Of a file that is not set up it is the
/// [`source`](std::error::Error::source) of the errors of a
/// [`SqliteStore`](super::SqliteStore), until it is put right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// A database in memory, a directory or a device: a store has several
    /// connections, and they share nothing but a file.
    #[error("a store needs a regular file: not memory, a directory or a device")]
    NotAFile,
    /// The time to wait for others is too long.
    #[error("the busy time-out must not be longer than an hour")]
    BusyTimeout,
    /// The interval at which a feed polls is too short or too long.
    #[error("the poll interval must be from a millisecond to a second")]
    PollInterval,
    /// There must be connections to read with, and not too many.
    #[error("the number of readers must be from 1 to {}", SqliteOptions::MAX_READERS)]
    Readers,
    /// This version of SQLite can lose commits (the defect of the write-ahead
    /// log in 3.7.0 to 3.51.2).
    #[error("SQLite must be version 3.51.3 or later, and is {found}")]
    Version {
        /// The version that was found, as major × 1 000 000 + minor × 1 000 +
        /// patch.
        found: i32,
    },
    /// The file's system cannot hold a write-ahead log; network file systems
    /// cannot.
    #[error("the file cannot have a write-ahead log: its journal mode stays {found}")]
    JournalMode {
        /// The journal mode that the file has.
        found: String,
    },
    /// The file holds something else than an SQLite database.
    #[error("the file is not an SQLite database: a store needs a file of its own")]
    NotADatabase,
    /// The directory cannot be written. SQLite keeps two files beside the
    /// store's.
    #[error("the file's directory must be writable: SQLite keeps the write-ahead log there")]
    ReadOnlyDirectory,
    /// The operating system does not let the file be read and written.
    #[error("the file cannot be read and written")]
    File(#[source] io::Error),
    /// Each time that the file was opened, the path led to another one
    /// afterwards.
    #[error("the file was replaced while it was opened, again and again")]
    Replaced,
    /// SQLite could not open the file, set a connection up or make a copy.
    #[error("SQLite cannot open or copy the file")]
    Driver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that writes could not be started.
    #[error("no thread for the writer")]
    Thread(#[source] io::Error),
    /// The file has no tables yet: call
    /// [`SqliteStore::migrate`](super::SqliteStore::migrate).
    #[error("the file has no tables yet: migrate it")]
    NoTables,
    /// An earlier version of this crate has made the file: call
    /// [`SqliteStore::migrate`](super::SqliteStore::migrate).
    #[error("the file has schema version {found}, and this program needs {VERSION}: migrate it")]
    OlderSchema {
        /// The version that the file has.
        found: i32,
    },
    /// A later version of this crate has migrated the file.
    #[error("the file has schema version {found}, and this program knows {VERSION}")]
    NewerSchema {
        /// The version that the file has.
        found: i32,
    },
    /// The file holds the tables of another program.
    #[error("the file belongs to another program: a store needs a file of its own")]
    Foreign,
    /// The file is a copy made by [`SqliteStore::backup`](super::SqliteStore::backup),
    /// in which tokens are live that have ended since: restore it first.
    #[error("the file is a backup, in which tokens are live that have ended since: restore it")]
    Backup,
    /// The file to restore from is no copy that
    /// [`SqliteStore::backup`](super::SqliteStore::backup) has made.
    #[error("the file is not marked as a backup")]
    NotABackup,
    /// There is a file of the copy's name already; it is left as it is.
    #[error("there is a file of that name already, and it is not overwritten")]
    CopyExists,
    /// Beside the copy there is the write-ahead log of another file, which
    /// SQLite would take for the copy's.
    #[error("{} belongs to the file that was there before: remove it first", .0.display())]
    StrayLog(PathBuf),
    /// The copy cannot be written.
    #[error("the copy cannot be written")]
    Copy(#[source] io::Error),
    /// The store that is to be copied cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteError {
    /// What kind of failure of a store it is; `None` if an option is wrong, or
    /// what was named to copy from or to.
    #[must_use]
    pub fn kind(&self) -> Option<StoreErrorKind> {
        Some(match self {
            Self::BusyTimeout | Self::PollInterval | Self::Readers => return None,
            Self::NotABackup | Self::CopyExists | Self::StrayLog(_) => return None,
            Self::NotAFile
            | Self::Version { .. }
            | Self::JournalMode { .. }
            | Self::ReadOnlyDirectory => StoreErrorKind::Refused,
            Self::NotADatabase
            | Self::NoTables
            | Self::OlderSchema { .. }
            | Self::Foreign
            | Self::Backup => StoreErrorKind::NotSetUp,
            Self::NewerSchema { .. } => StoreErrorKind::NewerSchema,
            Self::File(error) | Self::Copy(error) => match error.kind() {
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory => StoreErrorKind::Refused,
                _ => StoreErrorKind::Unavailable,
            },
            Self::Driver(error) => error.downcast_ref().map_or(StoreErrorKind::Unavailable, kind),
            Self::Replaced | Self::Thread(_) => StoreErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
        })
    }

    /// Says what SQLite's own words leave open: whether it is the file or its
    /// directory that cannot be used.
    pub(super) fn explained(self, path: &Path) -> Self {
        let Self::Driver(error) = &self else { return self };
        let Some(error) = error.downcast_ref::<Error>() else { return self };
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(_) if needs_directory(error) => Self::ReadOnlyDirectory,
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                match OpenOptions::new().read(true).write(true).open(path) {
                    Err(error) => Self::File(error),
                    Ok(_) => self,
                }
            }
            _ => self,
        }
    }
}

impl From<Error> for SqliteError {
    fn from(error: Error) -> Self {
        Self::Driver(Box::new(error))
    }
}

/// What stops a piece of work on a connection.
#[derive(Debug)]
pub(super) enum Failure {
    Driver(Error),
    /// The file does not have this schema.
    Schema(SqliteError),
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
            Self::Schema(cause) => {
                let kind = cause.kind().unwrap_or(StoreErrorKind::Unavailable);
                StoreError::new(kind, doing).with_source(cause)
            }
            Self::Driver(cause) if needs_directory(&cause) => {
                StoreError::new(StoreErrorKind::Refused, doing)
                    .with_source(SqliteError::ReadOnlyDirectory)
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

/// Whether the file's directory is what cannot be written.
fn needs_directory(error: &Error) -> bool {
    let code = extended_code(error);
    matches!(code, Some(SQLITE_READONLY_DIRECTORY | SQLITE_READONLY_CANTINIT))
}

fn extended_code(error: &Error) -> Option<i32> {
    error.sqlite_error().map(|cause| cause.extended_code)
}

fn kind(error: &Error) -> StoreErrorKind {
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

/// What stands in the way of opening the file at the path anew. One that is
/// missing may be on its way.
impl From<SqliteError> for Failure {
    fn from(error: SqliteError) -> Self {
        let is_missing = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        let kind = match &error {
            SqliteError::File(cause) if is_missing(cause) => None,
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

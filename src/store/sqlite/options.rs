//! How a file is opened.

use std::error::Error;
use std::fs::{Metadata, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;

use super::{SqliteStore, failure};
use crate::store::StoreErrorKind;
use crate::time::{Clock, SystemClock};

/// How a [`SqliteStore`] opens its file.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::store::SqliteOptions;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("tokens.db");
/// let store = SqliteOptions::new().busy_timeout(Duration::from_secs(2)).open(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteOptions {
    pub(super) busy_timeout: Duration,
    pub(super) poll_interval: Duration,
    pub(super) readers: usize,
    pub(super) mmap_size: u64,
    pub(super) max_size: Option<u64>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SqliteOptions {
    /// The greatest number of connections that read.
    pub const MAX_READERS: usize = 64;

    /// Every option at its default.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            busy_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(5),
            readers: threads.clamp(2, 16),
            mmap_size: 1 << 30,
            max_size: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// How long a call waits for other processes that write, or for a
    /// connection to read with, before it is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable). Default: 5
    /// seconds; at most an hour. Reads beyond 256 that wait at once are so
    /// without waiting.
    pub const fn busy_timeout(mut self, time: Duration) -> Self {
        self.busy_timeout = time;
        self
    }

    /// How often an open feed looks for changes made by other processes; those
    /// of this store reach it at once. Default: 5 milliseconds; at least one
    /// millisecond, at most a second.
    pub const fn poll_interval(mut self, time: Duration) -> Self {
        self.poll_interval = time;
        self
    }

    /// How many connections read at the same time. Default: one for each
    /// processor, at least 2 and at most 16; from 1 to
    /// [`MAX_READERS`](Self::MAX_READERS).
    pub const fn readers(mut self, count: usize) -> Self {
        self.readers = count;
        self
    }

    /// How many bytes of the file each connection that reads maps into memory;
    /// zero for none. Default: 1 GiB. A file that another program cuts short while it is
    /// mapped ends this program.
    pub const fn mmap_size(mut self, bytes: u64) -> Self {
        self.mmap_size = bytes;
        self
    }

    /// What the file must not grow beyond, in bytes, rounded down to whole
    /// pages; a write that would is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable). Default: the
    /// file may grow as the disk allows.
    pub const fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Where the store's time comes from. Default: the system's clock, which
    /// all processes on this machine share.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the file at `path`, and makes an empty one if there is none.
    ///
    /// # Errors
    ///
    /// [`SqliteOpenError`] names the option or the rule that is broken.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, SqliteOpenError> {
        self.check()?;
        let path = regular_file(path.as_ref())?;
        SqliteStore::with(&path, &self).map_err(|error| error.explained(&path))
    }

    fn check(&self) -> Result<(), SqliteOpenError> {
        let intervals = Duration::from_millis(1)..=Duration::from_secs(1);
        if self.busy_timeout > Duration::from_secs(3_600) {
            Err(SqliteOpenError::BusyTimeout)
        } else if !intervals.contains(&self.poll_interval) {
            Err(SqliteOpenError::PollInterval)
        } else if !(1..=Self::MAX_READERS).contains(&self.readers) {
            Err(SqliteOpenError::Readers)
        } else {
            Ok(())
        }
    }
}

/// The absolute path, so that SQLite takes no name for anything but a file: not
/// `file:a?mode=memory`, for one.
fn regular_file(path: &Path) -> Result<PathBuf, SqliteOpenError> {
    let in_memory = path.as_os_str().is_empty() || path == Path::new(":memory:");
    if in_memory || path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(SqliteOpenError::NotAFile);
    }
    std::path::absolute(path).map_err(|_| SqliteOpenError::NotAFile)
}

/// What is at the path, if it is a file.
pub(super) fn file_at(path: &Path) -> Result<Metadata, SqliteOpenError> {
    let found = path.metadata().map_err(SqliteOpenError::File)?;
    if found.is_file() { Ok(found) } else { Err(SqliteOpenError::NotAFile) }
}

/// Why a file cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteOpenError {
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
    File(#[source] std::io::Error),
    /// Each time that the file was opened, the path led to another one
    /// afterwards.
    #[error("the file was replaced while it was opened, again and again")]
    Replaced,
    /// SQLite could not open the file or set a connection up.
    #[error("the file cannot be opened")]
    Driver(#[source] Box<dyn Error + Send + Sync>),
    /// The thread that writes could not be started.
    #[error("no thread for the writer")]
    Thread(#[source] std::io::Error),
}

impl SqliteOpenError {
    /// What kind of failure of a store it is; `None` if it is an option that is
    /// wrong.
    #[must_use]
    pub fn kind(&self) -> Option<StoreErrorKind> {
        Some(match self {
            Self::BusyTimeout | Self::PollInterval | Self::Readers => return None,
            Self::NotAFile
            | Self::Version { .. }
            | Self::JournalMode { .. }
            | Self::ReadOnlyDirectory => StoreErrorKind::Refused,
            Self::NotADatabase => StoreErrorKind::NotSetUp,
            Self::File(error) => match error.kind() {
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory => StoreErrorKind::Refused,
                _ => StoreErrorKind::Unavailable,
            },
            Self::Driver(error) => {
                error.downcast_ref().map_or(StoreErrorKind::Unavailable, failure::kind)
            }
            Self::Replaced | Self::Thread(_) => StoreErrorKind::Unavailable,
        })
    }

    /// Says what SQLite's own words leave open: whether it is the file or its
    /// directory that cannot be used.
    fn explained(self, path: &Path) -> Self {
        let Self::Driver(error) = &self else { return self };
        let Some(error) = error.downcast_ref::<rusqlite::Error>() else { return self };
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(_) if failure::needs_directory(error) => Self::ReadOnlyDirectory,
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

impl From<rusqlite::Error> for SqliteOpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Driver(Box::new(error))
    }
}

//! How a file is opened, and how safely it is then written.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::SqliteStore;
use super::error::{Failure, SqliteError};
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
            readers: (2 * threads).clamp(4, 16),
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

    /// How many connections read at the same time. Default: two for each
    /// processor, so that look-ups find one while others read long pages, at least 4
    /// and at most 16; from 1 to [`MAX_READERS`](Self::MAX_READERS).
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
    /// [`SqliteError`] names the option or the rule that is broken.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, SqliteError> {
        self.check()?;
        let path = regular_file(path.as_ref())?;
        SqliteStore::with(&path, &self).map_err(|error| error.explained(&path))
    }

    fn check(&self) -> Result<(), SqliteError> {
        let intervals = Duration::from_millis(1)..=Duration::from_secs(1);
        if self.busy_timeout > Duration::from_secs(3_600) {
            Err(SqliteError::BusyTimeout)
        } else if !intervals.contains(&self.poll_interval) {
            Err(SqliteError::PollInterval)
        } else if !(1..=Self::MAX_READERS).contains(&self.readers) {
            Err(SqliteError::Readers)
        } else {
            Ok(())
        }
    }
}

/// The absolute path, so that SQLite takes no name for anything but a file: not
/// `file:a?mode=memory`, for one.
fn regular_file(path: &Path) -> Result<PathBuf, SqliteError> {
    let in_memory = path.as_os_str().is_empty() || path == Path::new(":memory:");
    if in_memory || path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(SqliteError::NotAFile);
    }
    std::path::absolute(path).map_err(|_| SqliteError::NotAFile)
}

/// What is at the path, if it is a file.
pub(super) fn file_at(path: &Path) -> Result<Metadata, SqliteError> {
    let found = path.metadata().map_err(SqliteError::File)?;
    if found.is_file() { Ok(found) } else { Err(SqliteError::NotAFile) }
}

/// How safely the store writes, read back from the connection that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// When a commit counts as done.
    /// `off`, `normal`: when it was handed to the operating system, whose crash may
    /// undo it; `full`: when it has reached the disk; `extra`: and the directory
    /// too.
    pub synchronous: &'static str,
    /// How a commit is kept until it is in the file itself: `wal`.
    pub journal_mode: String,
    /// Whether references between tables are enforced.
    pub foreign_keys: bool,
    /// The version of SQLite, such as `3.51.3`.
    pub sqlite_version: String,
}

impl Durability {
    /// Whether an acknowledged change survives a crash of the system.
    #[must_use]
    pub fn survives_a_crash(&self) -> bool {
        matches!(self.synchronous, "full" | "extra") && self.journal_mode == "wal"
    }

    pub(super) fn of(connection: &Connection) -> Result<Self, Failure> {
        let version = connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
        Ok(Self {
            synchronous: synchronous(connection.pragma_query_one(None, "synchronous")?),
            journal_mode: connection.pragma_query_one(None, "journal_mode")?,
            foreign_keys: connection.pragma_query_one(None, "foreign_keys")?,
            sqlite_version: version,
        })
    }
}

const fn synchronous(number: i64) -> &'static str {
    match number {
        0 => "off",
        1 => "normal",
        2 => "full",
        _ => "extra",
    }
}

//! How each connection is opened and set up.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::error::{Failure, SqliteError};
use super::file::{FileId, Opened};
use super::options::{SqliteOptions, file_at};
use super::schema;

/// Versions 3.7.0 to 3.51.2 can lose commits of a write-ahead log that several
/// connections share.
const OLDEST_VERSION: i32 = 3_051_003;

/// What a log that has grown is cut back to, in bytes.
const LOG_SIZE: i64 = 64 << 20;

/// What the writer may keep of the file in its own memory, in KiB. A batch of
/// new digests lands anywhere in its table.
const WRITER_CACHE: i64 = 64 << 10;

const STATEMENTS: usize = 32;

pub(super) fn check_version(found: i32) -> Result<(), SqliteError> {
    if found < OLDEST_VERSION { Err(SqliteError::Version { found }) } else { Ok(()) }
}

/// How often a file is opened that is replaced while it is opened.
const ATTEMPTS: usize = 10;

/// All connections of a store but those of its feeds, and the file they are to.
pub(super) struct Connections {
    pub(super) file: Arc<Opened>,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
}

impl Connections {
    /// Opens the file at the path, and makes an empty one if there is none; `None`
    /// if it is not for a store to work on.
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Option<Self>, SqliteError> {
        make_private(path);
        match refuse_others(path, options) {
            Ok(()) => Self::open_with(path, options, OpenFlags::SQLITE_OPEN_CREATE).map(Some),
            Err(Failure::Driver(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Opens the file that is at the path now. In one without our tables, which
    /// somebody else may be about to write, nothing is changed.
    pub(super) fn open_existing(path: &Path, options: &SqliteOptions) -> Result<Self, Failure> {
        if file_at(path)?.len() == 0 {
            return Err(Failure::Schema(SqliteError::NoTables));
        }
        schema::verify(&reader(path, options, options.busy_timeout)?)?;
        Ok(Self::open_with(path, options, OpenFlags::empty())?)
    }

    /// Opens the file that is at the path now, to make tables in it.
    pub(super) fn open_to_migrate(path: &Path, options: &SqliteOptions) -> Result<Self, Failure> {
        file_at(path)?;
        refuse_others(path, options)?;
        Ok(Self::open_with(path, options, OpenFlags::empty())?)
    }

    fn open_with(
        path: &Path,
        options: &SqliteOptions,
        flags: OpenFlags,
    ) -> Result<Self, SqliteError> {
        for _ in 0..ATTEMPTS {
            let before = FileId::at(path);
            let writer = writer(path, options, flags)?;
            let reader = |_| reader(path, options, Duration::ZERO);
            let readers = (0..options.readers).map(reader).collect::<Result<Vec<_>, _>>()?;
            let (Ok(before), Ok(file)) = (before, Opened::at(path)) else { continue };
            let moved = has_moved(&writer) || readers.iter().any(has_moved);
            if !moved && file.is(before) && file.is_at(path) {
                return Ok(Self { file: Arc::new(file), writer, readers });
            }
        }
        Err(SqliteError::Replaced)
    }
}

/// Refuses the file of another program, or a backup, while it is as it was: the
/// connection that writes would switch it to a write-ahead log. What else is wrong
/// with a file that connection tells.
fn refuse_others(path: &Path, options: &SqliteOptions) -> Result<(), Failure> {
    let reader = reader(path, options, options.busy_timeout).map_err(Failure::from);
    match reader.and_then(|reader| schema::verify(&reader)) {
        Err(refused @ Failure::Schema(SqliteError::Foreign | SqliteError::Backup)) => Err(refused),
        Err(busy) if busy.is_busy() => Err(busy),
        _ => Ok(()),
    }
}

/// Whether the file that this connection has open has lost the name by which it
/// was opened.
#[cfg(unix)]
pub(super) fn has_moved(connection: &Connection) -> bool {
    use rusqlite::{FileControl, MAIN_DB};
    let mut moved = 0;
    let asked = connection.file_control(Some(MAIN_DB), FileControl::HasMoved(&mut moved));
    asked.is_err() || moved != 0
}

/// The system lets nobody rename or remove a file that is open.
#[cfg(not(unix))]
pub(super) const fn has_moved(_: &Connection) -> bool {
    false
}

/// Opens the connection that writes. It maps nothing: what it writes goes
/// through its own memory anyway.
pub(super) fn writer(
    path: &Path,
    options: &SqliteOptions,
    flags: OpenFlags,
) -> Result<Connection, SqliteError> {
    let connection = open(path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(options.busy_timeout)?;
    write_ahead(&connection, options.busy_timeout)?;
    let set = |name, value| connection.pragma_update(None, name, value);
    set("synchronous", 2)?;
    // Elsewhere than on Apple's systems these do nothing.
    set("fullfsync", 1)?;
    set("checkpoint_fullfsync", 1)?;
    set("foreign_keys", 1)?;
    set("trusted_schema", 0)?;
    set("cache_size", -WRITER_CACHE)?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {LOG_SIZE}"), [], |_| Ok(()))?;
    limit(&connection, options)?;
    Ok(connection)
}

/// Opens a connection that can only read. Until a write that is in its way is
/// over it waits for `timeout`.
pub(super) fn reader(
    path: &Path,
    options: &SqliteOptions,
    timeout: Duration,
) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "query_only", 1)?;
    connection.pragma_update(None, "trusted_schema", 0)?;
    map(&connection, options)?;
    // The first read opens the log, by its name: that of another file may have it
    // later.
    connection.pragma_query_value(None, "user_version", |_| Ok(()))?;
    connection.busy_timeout(timeout)?;
    Ok(connection)
}

/// Makes an empty file that its owner alone can read, if there is none: SQLite
/// itself would leave that to the process's mask, and gives the log beside it
/// the same mode. Why it cannot be made SQLite then says.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    // Each connection is used by one thread at a time.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else SQLite makes each statement anew for each value that it looks up, in
    // case the value's frequency called for another plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Switches the file to a write-ahead log. SQLite itself does not wait here for
/// others who do the same.
fn write_ahead(connection: &Connection, timeout: Duration) -> Result<(), SqliteError> {
    let deadline = Instant::now() + timeout;
    let switch = || connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
    let found: String = loop {
        match switch() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            mode => break mode?,
        }
    };
    if found == "wal" { Ok(()) } else { Err(SqliteError::JournalMode { found }) }
}

fn is_busy(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn map(connection: &Connection, options: &SqliteOptions) -> Result<(), Error> {
    let bytes = i64::try_from(options.mmap_size).unwrap_or(i64::MAX);
    connection.query_row(&format!("PRAGMA mmap_size = {bytes}"), [], |_| Ok(()))
}

fn limit(connection: &Connection, options: &SqliteOptions) -> Result<(), Error> {
    let Some(bytes) = options.max_size else { return Ok(()) };
    let page: u64 =
        connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
    let pages = u32::try_from(bytes / page).unwrap_or(u32::MAX - 1).max(1);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_with_the_defect_of_the_write_ahead_log_is_refused() {
        assert!(matches!(check_version(3_051_002), Err(SqliteError::Version { found: 3_051_002 })));
        assert!(check_version(3_051_003).is_ok());
        assert!(check_version(rusqlite::version_number()).is_ok());
    }
}

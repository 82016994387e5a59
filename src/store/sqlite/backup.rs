//! Copies of a file, which are marked so that no store serves from one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::SqliteError;
use super::schema::{APPLICATION, BACKUP};

/// How long a copy waits for those who write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Copies the file, as it is at one moment, to a marked one.
pub(super) fn back_up(path: &Path, to: &Path) -> Result<(), SqliteError> {
    copy(path, to, BACKUP)
}

/// Copies a marked file to one that is not marked.
pub(super) fn unmarked_copy(backup: &Path, to: &Path) -> Result<(), SqliteError> {
    let mut log = backup.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(SqliteError::StrayLog(log.into()));
    }
    let source = Connection::open_with_flags(backup, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mark: i32 = source.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if mark != BACKUP {
        return Err(SqliteError::NotABackup);
    }
    drop(source);
    copy(backup, to, APPLICATION)
}

/// The copy has its name only when it is whole, marked and on the disk.
fn copy(from: &Path, to: &Path, mark: i32) -> Result<(), SqliteError> {
    let to = std::path::absolute(to).map_err(SqliteError::Copy)?;
    create(&to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SqliteError::CopyExists,
        _ => SqliteError::Copy(error),
    })?;
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let made = write(from, &part, mark).and_then(|()| {
        fs::rename(&part, &to).and_then(|()| flush_directory(&to)).map_err(SqliteError::Copy)
    });
    if made.is_err() {
        drop((fs::remove_file(&part), fs::remove_file(&to)));
    }
    made
}

fn write(from: &Path, part: &Path, mark: i32) -> Result<(), SqliteError> {
    // What a copy that broke off has left.
    drop(fs::remove_file(part));
    create(part).map_err(SqliteError::Copy)?;
    let name = part.to_str().ok_or_else(|| {
        let problem = "the name of the copy is not UTF-8";
        SqliteError::Copy(io::Error::new(io::ErrorKind::InvalidFilename, problem))
    })?;
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(TIMEOUT)?;
    source.execute("VACUUM INTO ?1", [name])?;
    drop(source);
    let copy = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy.pragma_update(None, "application_id", mark)?;
    drop(copy);
    File::open(part).and_then(|file| file.sync_all()).map_err(SqliteError::Copy)
}

/// Makes an empty file that its owner alone can read.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Makes sure that the name survives a crash of the system.
#[cfg(unix)]
fn flush_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// No directory can be flushed here.
#[cfg(not(unix))]
fn flush_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

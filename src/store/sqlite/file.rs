//! Whether the path still leads to the file that is open.
//!
//! SQLite goes on with the file that it has opened, wherever that file has gone:
//! it would answer from one that was deleted, and acknowledge changes into it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::has_moved;

/// How long a look-up relies on the last look at the path.
const TRUSTED: Duration = Duration::from_millis(500);

/// What tells one file from every other that exists at the same time. An open
/// file keeps its number, even when it has no name any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that the path leads to, through symbolic links.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&path.metadata()?))
    }

    #[cfg(unix)]
    fn of(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: found.dev(), inode: found.ino() }
    }

    /// The standard library has no number for a file here, and the system lets
    /// nobody replace one that is open.
    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        Self { device: 0, inode: 0 }
    }
}

/// The files that all connections of a store use.
#[derive(Debug)]
pub(super) struct Opened {
    file: FileId,
    /// The file's own name, without symbolic links: SQLite derives the others
    /// from it.
    name: PathBuf,
    log: FileId,
    index: FileId,
}

impl Opened {
    /// The files at the path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let name = path.canonicalize()?;
        let file = FileId::at(&name)?;
        let log = FileId::at(&beside(&name, "-wal"))?;
        let index = FileId::at(&beside(&name, "-shm"))?;
        Ok(Self { file, name, log, index })
    }

    /// A file that is read without a log.
    #[cfg(test)]
    pub(super) fn without_log(path: &Path) -> io::Result<Self> {
        let (name, file) = (path.canonicalize()?, FileId::at(path)?);
        Ok(Self { file, name, log: file, index: file })
    }

    /// Whether it is this file.
    pub(super) fn is(&self, file: FileId) -> bool {
        self.file == file
    }

    /// Whether the path leads to this file and all three have their names: what
    /// is written is then found by whoever opens the path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        is_at(self.file, path) && self.has_log() && is_at(self.index, &beside(&self.name, "-shm"))
    }

    /// Whether the log has its name.
    pub(super) fn has_log(&self) -> bool {
        is_at(self.log, &beside(&self.name, "-wal"))
    }

    /// Whether the file has lost its name while the log has not: SQLite would
    /// take the log for that of the file which has the name now.
    pub(super) fn has_left_its_log(&self) -> bool {
        !is_at(self.file, &self.name) && self.has_log()
    }

    /// Removes the log, and its index, from beside another file.
    pub(super) fn remove_log(&self) -> io::Result<()> {
        for (id, end) in [(self.log, "-wal"), (self.index, "-shm")] {
            let path = beside(&self.name, end);
            if is_at(id, &path) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn is_at(id: FileId, path: &Path) -> bool {
    FileId::at(path).is_ok_and(|found| found == id)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The path that a store was given, and the file there that its connections
/// have open; none while it has no connections.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    opened: Mutex<Option<Arc<Opened>>>,
    began: Instant,
    /// In milliseconds since the beginning.
    trusted_until: AtomicU64,
}

impl OpenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        let opened = Mutex::new(None);
        Self { path, opened, began: Instant::now(), trusted_until: AtomicU64::new(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the open file is the one at the path, as of at most half a second
    /// ago.
    pub(super) fn is_current(&self) -> bool {
        self.now() < self.trusted_until.load(Ordering::Relaxed) || self.look().is_some()
    }

    /// The open file if it is the one at the path now.
    pub(super) fn look(&self) -> Option<Arc<Opened>> {
        let opened = self.opened();
        let now = self.now();
        let current = opened.as_ref().filter(|opened| opened.is_at(&self.path));
        let until = if current.is_some() { now + TRUSTED.as_millis() as u64 } else { 0 };
        self.trusted_until.store(until, Ordering::Relaxed);
        current.cloned()
    }

    /// Whether the path leads to the file that this connection has open.
    pub(super) fn is_that_of(&self, connection: &Connection) -> bool {
        self.look().is_some() && !has_moved(connection)
    }

    /// From now on there are connections to this file.
    pub(super) fn open(&self, file: Arc<Opened>) {
        *self.opened() = Some(file);
    }

    /// From now on no file counts as open: what was.
    pub(super) fn close(&self) -> Option<Arc<Opened>> {
        let mut opened = self.opened();
        self.trusted_until.store(0, Ordering::Relaxed);
        opened.take()
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// No code that holds this lock can panic half-way through a change.
    fn opened(&self) -> MutexGuard<'_, Option<Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file at the path is not the one that was open.
#[derive(Debug, thiserror::Error)]
#[error("the file was replaced, moved or removed")]
pub(super) struct Replaced;

//! What the thread that writes does, and how it goes over to another file.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::connection::Connections;
use super::failure::{Failure, unavailable};
use super::file::{OpenFile, Opened, Replaced};
use super::options::SqliteOptions;
use super::readers::Readers;
use crate::store::StoreError;

/// How long after another file was opened no change is made. A change is
/// written on what was read before: here that could be the former file, and an
/// account of the same revision in this one something else.
const SETTLING: Duration = Duration::from_secs(1);

const OPENING: &str = "opening the file that is at the path now";

/// What a job is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Make tables, where there may be none yet.
    Migrate,
    /// Write what hangs on nothing that was read before.
    Use,
    /// Write what hangs on what was read before.
    Change,
}

/// The connection that writes, and all that must change with it.
pub(super) struct Worker {
    file: Arc<OpenFile>,
    readers: Arc<Readers>,
    options: SqliteOptions,
    /// None while the path leads to no file that could be opened.
    connection: Option<Connection>,
    /// The file that is being left, until it is closed.
    leaving: Option<Arc<Opened>>,
    /// When another file was opened.
    renewed_at: Option<Instant>,
}

impl Worker {
    pub(super) const fn new(
        file: Arc<OpenFile>,
        readers: Arc<Readers>,
        options: SqliteOptions,
    ) -> Self {
        Self { file, readers, options, connection: None, leaving: None, renewed_at: None }
    }

    /// From now on these connections are used.
    pub(super) fn open(&mut self, connections: Connections) {
        let Connections { file, writer, readers } = connections;
        self.connection = Some(writer);
        self.readers.open(&file, readers);
        self.file.open(file);
    }

    /// Does the work on the file that is at the path, and answers only if it
    /// still is there afterwards.
    pub(super) fn run<T>(
        &mut self,
        purpose: Purpose,
        patience: Duration,
        unavailable: impl Fn() -> StoreError,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.follow_the_path(purpose, Instant::now() + patience)?;
        if purpose == Purpose::Change && self.is_settling() {
            return Err(unavailable().with_source(Replaced).into());
        }
        let Some(connection) = &mut self.connection else {
            return Err(unavailable().with_source(Replaced).into());
        };
        end_leftover(connection);
        connection.busy_timeout(patience)?;
        // A transaction that the work has begun is rolled back when it is dropped.
        let done = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .map_err(|panic| unavailable().with_source(Panicked::of(&*panic)))??;
        if !self.file.is_that_of(connection) {
            return Err(unavailable().with_source(Replaced).into());
        }
        Ok(done)
    }

    /// Leaves a file that was replaced: another process that opens the path would
    /// take its log for that of the file which is there now. The next job opens that.
    pub(super) fn look(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| !self.file.is_that_of(connection)) {
            // Reads that are under way are not waited for: the next look tries again.
            let _ = self.leave(Instant::now());
        }
    }

    /// Leaves no log beside a file that it does not belong to.
    pub(super) fn end(mut self) {
        if self.file.look().is_none() {
            // Nobody is left to be told if it cannot be done.
            let _ = self.leave(Instant::now() + self.options.busy_timeout);
        }
    }

    fn is_settling(&self) -> bool {
        self.renewed_at.is_some_and(|at| at.elapsed() < SETTLING)
    }

    /// Opens the file that is at the path, unless it is open.
    fn follow_the_path(&mut self, purpose: Purpose, deadline: Instant) -> Result<(), Failure> {
        if let Some(connection) = &self.connection
            && self.file.is_that_of(connection)
        {
            return Ok(());
        }
        self.leave(deadline)?;
        let (path, options) = (self.file.path(), &self.options);
        let connections = match purpose {
            Purpose::Migrate => Connections::open_to_migrate(path, options)?,
            Purpose::Use | Purpose::Change => Connections::open_existing(path, options)?,
        };
        self.renewed_at = Some(Instant::now());
        self.open(connections);
        Ok(())
    }

    /// Closes every connection to the file. What the system knows of a process's
    /// locks is lost with the first file of two that it closes, where both have
    /// the same log: so no other file is opened before.
    fn leave(&mut self, deadline: Instant) -> Result<(), Failure> {
        if let Some(opened) = self.file.close() {
            self.leaving = Some(opened);
        }
        self.readers.close();
        let Some(leaving) = &self.leaving else { return Ok(()) };
        while Arc::strong_count(leaving) > 1 {
            if Instant::now() >= deadline {
                return Err(unavailable("closing the former file").with_source(Replaced).into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let left_log = leaving.has_left_its_log();
        if let Some(connection) = &self.connection {
            if left_log {
                connection.busy_timeout(deadline.saturating_duration_since(Instant::now()))?;
                empty_log(connection)?;
            } else if !leaving.has_log() {
                // Another program's may be in the file by now.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            }
        }
        self.connection = None;
        if left_log {
            leaving.remove_log().map_err(|cause| unavailable(OPENING).with_source(cause))?;
        }
        self.leaving = None;
        Ok(())
    }
}

/// Moves what stands in the log alone into the file, wherever that is by now:
/// all that was acknowledged is then in it.
fn empty_log(connection: &Connection) -> Result<(), Failure> {
    let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: bool = connection.query_row(empty, [], |row| row.get(0))?;
    if busy {
        Err(unavailable("emptying the former file's log").with_source(Replaced).into())
    } else {
        Ok(())
    }
}

/// A transaction whose roll-back failed with the disk would be in the way of
/// all later ones. If this fails too, the next job's beginning reports it.
fn end_leftover(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// A piece of work ended in the middle.
#[derive(Debug, thiserror::Error)]
#[error("a defect of this program ended the work: {0}")]
struct Panicked(String);

impl Panicked {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    }
}

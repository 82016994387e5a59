//! The one thread that writes, and how it goes over to another file.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::connection::Connections;
use super::error::{Failure, unavailable};
use super::file::{OpenFile, Opened, Replaced};
use super::options::SqliteOptions;
use super::readers::Readers;
use super::schema;
use crate::store::StoreError;

/// How many jobs wait for the writer before it refuses more.
const QUEUE: usize = 1_024;

/// How often a writer without jobs looks whether the path still leads to its file.
const IDLE: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// The only connection of this store that writes, and the thread that owns it.
///
/// A job that nobody waits for any longer is not begun, and one that is begun
/// is completed. Dropping the writer does the jobs that still wait, and closes
/// the connection.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    timeout: Duration,
    file: Arc<OpenFile>,
}

impl Writer {
    /// A job that is not done within `timeout` is given up; with a time-out of zero, one that
    /// finds another process writing.
    pub(super) fn start(
        worker: Worker,
        file: Arc<OpenFile>,
        timeout: Duration,
    ) -> Result<Self, std::io::Error> {
        let (jobs, queue) = sync_channel(QUEUE);
        let builder = thread::Builder::new().name("sqlite-writer".to_owned());
        let thread = builder.spawn(move || work(worker, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), timeout, file })
    }

    /// Does the work on the writer's connection, after what was asked before.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_for(Purpose::Use, doing, work).await
    }

    /// As [`run`](Self::run), on a file that may have no tables yet.
    pub(super) async fn run_to_migrate<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_for(Purpose::Migrate, doing, work).await
    }

    /// Does the work in one transaction that holds the write lock from its
    /// beginning: a reading one that came to write could find the file changed
    /// under it, and no waiting would help.
    pub(super) async fn transaction<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(Purpose::Use, doing, work).await
    }

    /// As [`transaction`](Self::transaction), for work that hangs on what was
    /// read before.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(Purpose::Change, doing, work).await
    }

    async fn transact<T: Send + 'static>(
        &self,
        purpose: Purpose,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        let work = move |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            schema::verify(&transaction)?;
            let result = work(&transaction)?;
            if !file.is_that_of(&transaction) {
                return Err(unavailable(doing).with_source(Replaced).into());
            }
            transaction.commit()?;
            Ok(result)
        };
        self.run_for(purpose, doing, work).await
    }

    async fn run_for<T: Send + 'static>(
        &self,
        purpose: Purpose,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let (asked_at, timeout) = (Instant::now(), self.timeout);
        let job: Job = Box::new(move |worker| {
            if !answer.is_closed() {
                let done = time_left(timeout, asked_at)
                    .and_then(|left| worker.run(purpose, left, || unavailable(doing), work));
                // Its receiver may have gone meanwhile; the work is done.
                let _ = answer.send(done);
            }
        });
        self.send(job).map_err(|cause| unavailable(doing).with_source(cause))?;
        let answer = answered.await.map_err(|_| unavailable(doing).with_source(NoWriter::Ended))?;
        answer.map_err(|failure| failure.store_error(doing))
    }

    fn send(&self, job: Job) -> Result<(), NoWriter> {
        let jobs = self.jobs.as_ref().ok_or(NoWriter::Ended)?;
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => NoWriter::Busy,
            TrySendError::Disconnected(_) => NoWriter::Ended,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        join(self.thread.take());
    }
}

/// Waits for a thread to end, unless it is this one: a waker that it calls may
/// drop the last handle to the store.
pub(super) fn join(thread: Option<JoinHandle<()>>) {
    let other = thread.filter(|thread| thread.thread().id() != thread::current().id());
    // A thread that panicked has nothing left to wait for.
    let _ = other.map(JoinHandle::join);
}

/// Nothing that a job does ends the thread: whoever waits for it hears of it,
/// and the next job is done.
fn work(mut worker: Worker, queue: &Receiver<Job>) {
    loop {
        match queue.recv_timeout(IDLE) {
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(|| job(&mut worker)))),
            Err(RecvTimeoutError::Timeout) => worker.look(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    worker.end();
}

/// What is left of the time-out after the wait in the queue: the jobs before it
/// may each have waited for another process.
fn time_left(timeout: Duration, asked_at: Instant) -> Result<Duration, Failure> {
    let left = timeout.saturating_sub(asked_at.elapsed());
    if left.is_zero() && !timeout.is_zero() {
        return Err(unavailable("waiting for the writer").with_source(NoWriter::Busy).into());
    }
    Ok(left)
}

/// Why the writer did not take or finish a job.
#[derive(Debug, thiserror::Error)]
enum NoWriter {
    #[error("too many writes are waiting")]
    Busy,
    #[error("the writer has ended")]
    Ended,
}

/// How long after another file was opened no change is made. A change is
/// written on what was read before: here that could be the former file, and an
/// account of the same revision in this one something else.
const COOL_DOWN: Duration = Duration::from_secs(1);

const OPENING: &str = "opening the file that is at the path now";

/// What a job is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
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
    fn run<T>(
        &mut self,
        purpose: Purpose,
        timeout: Duration,
        unavailable: impl Fn() -> StoreError,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.follow_the_path(purpose, Instant::now() + timeout)?;
        if purpose == Purpose::Change && self.is_cooling_down() {
            return Err(unavailable().with_source(Replaced).into());
        }
        let Some(connection) = &mut self.connection else {
            return Err(unavailable().with_source(Replaced).into());
        };
        end_leftover(connection);
        connection.busy_timeout(timeout)?;
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
    fn look(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| !self.file.is_that_of(connection)) {
            // Reads that are under way are not waited for: the next look tries again.
            let _ = self.leave(Instant::now());
        }
    }

    /// Leaves no log beside a file that it does not belong to.
    fn end(mut self) {
        if self.file.look().is_none() {
            // Nobody is left to be told if it cannot be done.
            let _ = self.leave(Instant::now() + self.options.busy_timeout);
        }
    }

    fn is_cooling_down(&self) -> bool {
        self.renewed_at.is_some_and(|at| at.elapsed() < COOL_DOWN)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteOptions;
    use crate::store::{SqliteStore, StoreErrorKind};

    fn count(connection: &Connection) -> Result<i64, Failure> {
        Ok(connection.query_row("SELECT count(*) FROM changes", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_alone_is_rolled_back_and_the_writer_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let store: SqliteStore = SqliteOptions::new().open(&path).unwrap();
        store.migrate().await.unwrap();
        let panicking = |connection: &Connection| -> Result<(), Failure> {
            connection.execute_batch("INSERT INTO changes (heartbeat) VALUES (1)")?;
            panic!("on purpose");
        };
        for _ in 0..3 {
            let error = store.writer.transaction("panicking", panicking).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            assert_eq!(error.to_string(), "store unavailable while panicking");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(source, "a defect of this program ended the work: on purpose");
            assert_eq!(store.writer.transaction("counting", count).await.unwrap(), 0);
        }
        // Nothing that the job left open is in the way of another process.
        let other = Connection::open(&path).unwrap();
        other.execute_batch("INSERT INTO changes (heartbeat) VALUES (2)").unwrap();
        assert_eq!(store.writer.transaction("counting", count).await.unwrap(), 1);
    }
}

//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure::{Failure, unavailable};
use super::file::{OpenFile, Replaced};
use super::schema;
use super::worker::{Purpose, Worker};
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
    patience: Duration,
    file: Arc<OpenFile>,
}

impl Writer {
    /// A job that is not done within `patience` is given up; with none, one that
    /// finds another process writing.
    pub(super) fn start(
        worker: Worker,
        file: Arc<OpenFile>,
        patience: Duration,
    ) -> Result<Self, std::io::Error> {
        let (jobs, queue) = sync_channel(QUEUE);
        let builder = thread::Builder::new().name("sqlite-writer".to_owned());
        let thread = builder.spawn(move || work(worker, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), patience, file })
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
        let (asked_at, patience) = (Instant::now(), self.patience);
        let job: Job = Box::new(move |worker| {
            if !answer.is_closed() {
                let done = time_left(patience, asked_at)
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

/// What is left of the patience after the time in the queue: the jobs before it
/// may each have waited for another process.
fn time_left(patience: Duration, asked_at: Instant) -> Result<Duration, Failure> {
    let left = patience.saturating_sub(asked_at.elapsed());
    if left.is_zero() && !patience.is_zero() {
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

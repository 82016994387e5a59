//! The one thread that writes.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure::{Failure, unavailable};
use super::schema;
use crate::store::StoreError;

/// How many jobs wait for the writer before it refuses more.
const QUEUE: usize = 1_024;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The only connection of this store that writes, and the thread that owns it.
///
/// A job that nobody waits for any longer is not begun, and one that is begun
/// is completed. Dropping the writer does the jobs that still wait, and closes
/// the connection.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, std::io::Error> {
        let (jobs, queue) = sync_channel(QUEUE);
        let builder = thread::Builder::new().name("sqlite-writer".to_owned());
        let thread = builder.spawn(move || work(connection, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does the work on the writer's connection, after what was asked before.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if !answer.is_closed() {
                // Its receiver may have gone meanwhile; the work is done.
                let _ = answer.send(work(connection));
            }
        });
        self.send(job).map_err(|cause| unavailable(doing).with_source(cause))?;
        let answer = answered.await.map_err(|_| unavailable(doing).with_source(NoWriter::Ended))?;
        answer.map_err(|failure| failure.store_error(doing))
    }

    /// Does the work in one transaction that holds the write lock from its
    /// beginning: a reading one that came to write could find the file changed
    /// under it, and no waiting would help.
    pub(super) async fn transaction<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(doing, |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            schema::verify(&transaction)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
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

fn work(mut connection: Connection, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        end_leftover(&connection);
        job(&mut connection);
    }
}

/// A transaction whose roll-back failed with the disk would be in the way of
/// all later ones. If this fails too, the next job's beginning reports it.
fn end_leftover(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// Why the writer did not take or finish a job.
#[derive(Debug, thiserror::Error)]
enum NoWriter {
    #[error("too many writes are waiting")]
    Busy,
    #[error("the writer has ended")]
    Ended,
}

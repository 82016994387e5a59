//! The connections that read.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::{Failure, unavailable};
use super::schema;

/// Connections that can only read, each used by one thread at a time.
pub(super) struct Readers {
    /// The last one given back is the next one taken: its memory is warm.
    idle: Mutex<Vec<Reader>>,
    given_back: Condvar,
}

struct Reader {
    connection: Connection,
    verified: bool,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let reader = |connection| Reader { connection, verified: false };
        let idle = connections.into_iter().map(reader).collect();
        Self { idle: Mutex::new(idle), given_back: Condvar::new() }
    }

    /// Does the work on this thread at once; `None` if it would have to wait.
    pub(super) fn try_run<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        let reader = self.idle().pop()?;
        let result = self.run(reader, work);
        if result.as_ref().is_err_and(Failure::is_busy) { None } else { Some(result) }
    }

    /// Does the work on this thread, and waits for what is in its way: at most
    /// `patience` for a connection, and as long for other processes.
    pub(super) fn wait_and_run<T>(
        &self,
        patience: Duration,
        doing: &'static str,
        work: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reader = self.wait(patience).ok_or_else(|| unavailable(doing).with_source(NoReader))?;
        self.run(reader, |connection| {
            connection.busy_timeout(patience)?;
            let result = work(connection);
            connection.busy_timeout(Duration::ZERO)?;
            result
        })
    }

    fn wait(&self, patience: Duration) -> Option<Reader> {
        let deadline = Instant::now() + patience;
        let mut idle = self.idle();
        loop {
            if let Some(reader) = idle.pop() {
                return Some(reader);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.given_back.wait_timeout(idle, left);
            idle = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn run<T>(
        &self,
        mut reader: Reader,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = reader.run(work);
        self.idle().push(reader);
        self.given_back.notify_one();
        result
    }

    /// No code that holds this lock can panic half-way through a change.
    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The schema is looked at before the first work, and when a statement no
    /// longer fits it.
    fn run<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.verified {
            schema::verify(&self.connection)?;
            self.verified = true;
        }
        let result = work(&self.connection);
        if result.as_ref().is_err_and(Failure::is_bad_statement) {
            self.verified = false;
            schema::verify(&self.connection)?;
        }
        result
    }
}

/// Every connection that reads was in use for too long.
#[derive(Debug, thiserror::Error)]
#[error("all connections that read are in use")]
struct NoReader;

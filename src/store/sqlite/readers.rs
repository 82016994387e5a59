//! The connections that read.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::failure::{Failure, unavailable};
use super::schema;

/// Connections that can only read, each used by one thread at a time.
pub(super) struct Readers {
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    /// The last one given back is the next one taken: its memory is warm.
    idle: Vec<Reader>,
    /// How many threads wait for one: to wake nobody is a call to the system
    /// too.
    waiting: usize,
}

struct Reader {
    connection: Connection,
    verified: bool,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let reader = |connection| Reader { connection, verified: false };
        let idle = connections.into_iter().map(reader).collect();
        let state = Mutex::new(State { idle, waiting: 0 });
        Self { state, given_back: Condvar::new() }
    }

    /// Does the work on this thread at once; `None` if it would have to wait.
    pub(super) fn try_run<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        let reader = self.state().idle.pop()?;
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
        let mut state = self.state();
        state.waiting += 1;
        let none_idle = |state: &mut State| state.idle.is_empty();
        let waited = self.given_back.wait_timeout_while(state, patience, none_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.idle.pop()
    }

    fn run<T>(
        &self,
        mut reader: Reader,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = reader.run(work);
        let mut state = self.state();
        state.idle.push(reader);
        if state.waiting > 0 {
            self.given_back.notify_one();
        }
        result
    }

    /// No code that holds this lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::store::StoreErrorKind;

    const PATIENCE: Duration = Duration::from_secs(60);
    const READING: &str = "reading";

    /// A file without a write-ahead log, which a writer can keep others from
    /// reading, and one connection that reads it.
    fn file() -> (tempfile::TempDir, Connection, Readers) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let mut writer = Connection::open(&path).unwrap();
        schema::migrate(&mut writer).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.busy_timeout(Duration::ZERO).unwrap();
        (directory, writer, Readers::new(vec![reader]))
    }

    fn accounts(connection: &Connection) -> Result<i64, Failure> {
        Ok(connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?)
    }

    #[test]
    fn work_on_a_busy_file_is_left_to_a_thread_that_can_wait() {
        let (_directory, writer, readers) = file();
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert!(readers.try_run(accounts).is_none());
        let failure = readers.wait_and_run(Duration::from_millis(10), READING, accounts);
        let error = failure.unwrap_err().store_error(READING);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| readers.wait_and_run(PATIENCE, READING, accounts));
            writer.execute_batch("COMMIT").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
    }

    #[test]
    fn work_without_an_idle_connection_waits_for_one_with_a_bound() {
        let (_directory, _writer, readers) = file();
        let (taken, free) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                readers.try_run(|connection| {
                    taken.wait();
                    free.wait();
                    accounts(connection)
                })
            });
            taken.wait();
            assert!(readers.try_run(accounts).is_none());
            let failure = readers.wait_and_run(Duration::from_millis(10), READING, accounts);
            let error = failure.unwrap_err().store_error(READING);
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            free.wait();
            assert_eq!(readers.wait_and_run(PATIENCE, READING, accounts).unwrap(), 0);
        });
    }
}

//! The connections that read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{Failure, unavailable};
use super::file::Opened;
use super::schema;
use crate::store::StoreError;

/// How many reads may wait at once. Each has a thread of the runtime that may
/// block, and the host has other work for those.
const LONGEST_QUEUE: usize = 256;

/// Connections that can only read, each used by one thread at a time.
pub(super) struct Readers {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// The last one put back is the next one taken: its memory is warm.
    idle: Vec<Reader>,
    /// The file that they read; none while it is being opened.
    file: Option<Arc<Opened>>,
    /// How many threads wait for one: to wake nobody is a call to the system
    /// too.
    waiting: usize,
    /// How many reads are queued or under way.
    queued: usize,
}

struct Reader {
    connection: Connection,
    file: Arc<Opened>,
    verified: bool,
}

impl Readers {
    pub(super) const fn new() -> Self {
        let state = State { idle: Vec::new(), file: None, waiting: 0, queued: 0 };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// From now on reads use these connections to the file.
    pub(super) fn open(&self, file: &Arc<Opened>, connections: Vec<Connection>) {
        let reader = |connection| Reader { connection, file: Arc::clone(file), verified: false };
        let mut state = self.state();
        state.idle = connections.into_iter().map(reader).collect();
        state.file = Some(Arc::clone(file));
        self.returned.notify_all();
    }

    /// Closes every connection: those that are in use when they are put back.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.file = None;
        let idle = std::mem::take(&mut state.idle);
        self.returned.notify_all();
        drop(state);
        drop(idle);
    }

    /// Does the work on this thread at once; `None` if it would have to wait.
    pub(super) fn try_run<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Option<Result<T, Failure>> {
        let reader = self.state().idle.pop()?;
        let result =
            PooledReader { readers: self, reader: Some(reader) }.run(|reader| reader.run(work));
        if result.as_ref().is_err_and(Failure::is_busy) { None } else { Some(result) }
    }

    /// Queues work that may have to wait, for `timeout` in all from now
    /// on. Too many at once are refused: they would be too late anyway.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        timeout: Duration,
        doing: &'static str,
    ) -> Result<QueuedRead, StoreError> {
        let mut state = self.state();
        if state.queued == LONGEST_QUEUE {
            return Err(unavailable(doing).with_source(NoReader));
        }
        state.queued += 1;
        Ok(QueuedRead { readers: Arc::clone(self), timeout, asked_at: Instant::now(), doing })
    }

    fn wait(&self, timeout: Duration) -> Option<PooledReader<'_>> {
        let mut state = self.state();
        state.waiting += 1;
        let none_idle = |state: &mut State| state.idle.is_empty() && state.file.is_some();
        let waited = self.returned.wait_timeout_while(state, timeout, none_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        let reader = state.idle.pop()?;
        Some(PooledReader { readers: self, reader: Some(reader) })
    }

    /// One to another file than is open now is closed.
    fn put_back(&self, reader: Reader) {
        let mut state = self.state();
        if state.file.as_ref().is_some_and(|file| Arc::ptr_eq(file, &reader.file)) {
            state.idle.push(reader);
            if state.waiting > 0 {
                self.returned.notify_one();
            }
        }
    }

    /// No code that holds this lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that is put back whatever becomes of its work.
struct PooledReader<'a> {
    readers: &'a Readers,
    reader: Option<Reader>,
}

impl PooledReader<'_> {
    fn run<T>(
        mut self,
        work: impl FnOnce(&mut Reader) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reader = self.reader.as_mut().ok_or_else(|| unavailable("reading"))?;
        work(reader)
    }
}

impl Drop for PooledReader<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.readers.put_back(reader);
        }
    }
}

/// A read in the queue.
pub(super) struct QueuedRead {
    readers: Arc<Readers>,
    timeout: Duration,
    asked_at: Instant,
    doing: &'static str,
}

impl QueuedRead {
    /// Does the work on this thread, and waits for what is in its way: another
    /// read, or another process.
    pub(super) fn run<T>(
        self,
        work: impl Fn(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reader = self.readers.wait(self.time_left());
        let reader = reader.ok_or_else(|| unavailable(self.doing).with_source(NoReader))?;
        reader.run(|reader| {
            reader.connection.busy_timeout(self.time_left())?;
            let result = reader.run(work);
            reader.connection.busy_timeout(Duration::ZERO)?;
            result
        })
    }

    fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.asked_at.elapsed())
    }
}

impl Drop for QueuedRead {
    fn drop(&mut self) {
        self.readers.state().queued -= 1;
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

/// Every connection that reads was in use for too long, or too many waited.
#[derive(Debug, thiserror::Error)]
#[error("all connections that read are in use")]
struct NoReader;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::store::StoreErrorKind;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const READING: &str = "reading";

    /// A file without a write-ahead log, which a writer can keep others from
    /// reading, and one connection that reads it.
    fn file() -> (tempfile::TempDir, Connection, Arc<Readers>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let mut writer = Connection::open(&path).unwrap();
        schema::migrate(&mut writer, crate::time::Timestamp::default()).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.busy_timeout(Duration::ZERO).unwrap();
        let file = Arc::new(Opened::without_log(&path).unwrap());
        let readers = Readers::new();
        readers.open(&file, vec![reader]);
        (directory, writer, Arc::new(readers))
    }

    fn accounts(connection: &Connection) -> Result<i64, Failure> {
        Ok(connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?)
    }

    fn enqueue(readers: &Arc<Readers>, timeout: Duration) -> QueuedRead {
        readers.enqueue(timeout, READING).unwrap()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Failure>) {
        let error = result.unwrap_err().store_error(READING);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn store_003_too_many_waiting_reads_are_refused_and_time_in_the_queue_counts() {
        let (_directory, writer, readers) = file();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let timeout = Duration::from_millis(200);
        let turns: Vec<_> = (0..LONGEST_QUEUE).map(|_| enqueue(&readers, timeout)).collect();
        let excess = readers.enqueue(timeout, READING).map(drop).unwrap_err();
        assert_eq!(excess.kind(), StoreErrorKind::Unavailable);
        let begun = Instant::now();
        for turn in turns {
            refused(turn.run(accounts));
        }
        // Each with a time-out of its own, they would take fifty seconds.
        assert!(begun.elapsed() < timeout * 100);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(enqueue(&readers, TIMEOUT).run(accounts).unwrap(), 0);
    }

    #[test]
    fn a_connection_that_has_not_been_used_yet_waits_as_well() {
        let (_directory, writer, readers) = file();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| enqueue(&readers, TIMEOUT).run(accounts));
            thread::sleep(Duration::from_millis(50));
            writer.execute_batch("COMMIT").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
    }

    #[test]
    fn work_on_a_busy_file_is_left_to_a_thread_that_can_wait() {
        let (_directory, writer, readers) = file();
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert!(readers.try_run(accounts).is_none());
        refused(enqueue(&readers, Duration::from_millis(10)).run(accounts));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| enqueue(&readers, TIMEOUT).run(accounts));
            writer.execute_batch("COMMIT").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
    }

    #[test]
    fn a_connection_whose_work_panics_is_returned() {
        let (_directory, _writer, readers) = file();
        let panics = || readers.try_run(|_| -> Result<(), _> { panic!("on purpose") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
    }

    #[test]
    fn a_connection_to_a_former_file_is_closed_when_it_is_returned() {
        let (_directory, _writer, readers) = file();
        let former = readers.state().file.clone().unwrap();
        readers
            .try_run(|_| {
                readers.close();
                Ok(())
            })
            .unwrap()
            .unwrap();
        assert!(readers.try_run(accounts).is_none());
        assert_eq!(Arc::strong_count(&former), 1, "no connection is left");
        let begun = Instant::now();
        refused(enqueue(&readers, TIMEOUT).run(accounts));
        assert!(begun.elapsed() < TIMEOUT, "nobody waits while no file is open");
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
            refused(enqueue(&readers, Duration::from_millis(10)).run(accounts));
            free.wait();
            assert_eq!(enqueue(&readers, TIMEOUT).run(accounts).unwrap(), 0);
        });
    }
}

//! The connections that read.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::{Failure, unavailable};
use super::file::Opened;
use super::schema;
use crate::store::StoreError;

/// How many reads may wait at once. Each has a thread of the runtime that may
/// block, and the host has other work for those.
const LONGEST_QUEUE: usize = 256;

/// Connections that can only read, each used by one thread at a time.
pub(super) struct Readers {
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    /// The last one given back is the next one taken: its memory is warm.
    idle: Vec<Reader>,
    /// The file that they read; none while it is being opened.
    file: Option<Arc<Opened>>,
    /// How many threads wait for one: to wake nobody is a call to the system
    /// too.
    waiting: usize,
    /// How many reads have lined up, waiting or under way.
    lined_up: usize,
}

struct Reader {
    connection: Connection,
    file: Arc<Opened>,
    verified: bool,
}

impl Readers {
    pub(super) const fn new() -> Self {
        let state = State { idle: Vec::new(), file: None, waiting: 0, lined_up: 0 };
        Self { state: Mutex::new(state), given_back: Condvar::new() }
    }

    /// From now on reads use these connections to the file.
    pub(super) fn open(&self, file: &Arc<Opened>, connections: Vec<Connection>) {
        let reader = |connection| Reader { connection, file: Arc::clone(file), verified: false };
        let mut state = self.state();
        state.idle = connections.into_iter().map(reader).collect();
        state.file = Some(Arc::clone(file));
        self.given_back.notify_all();
    }

    /// Closes every connection: those that are in use when they are given back.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.file = None;
        let idle = std::mem::take(&mut state.idle);
        self.given_back.notify_all();
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
            Borrowed { readers: self, reader: Some(reader) }.run(|reader| reader.run(work));
        if result.as_ref().is_err_and(Failure::is_busy) { None } else { Some(result) }
    }

    /// Lines up for work that may have to wait, for `patience` in all from now
    /// on. Too many at once are refused: they would be too late anyway.
    pub(super) fn line_up(
        self: &Arc<Self>,
        patience: Duration,
        doing: &'static str,
    ) -> Result<Turn, StoreError> {
        let mut state = self.state();
        if state.lined_up == LONGEST_QUEUE {
            return Err(unavailable(doing).with_source(NoReader));
        }
        state.lined_up += 1;
        Ok(Turn { readers: Arc::clone(self), patience, asked_at: Instant::now(), doing })
    }

    fn wait(&self, patience: Duration) -> Option<Borrowed<'_>> {
        let mut state = self.state();
        state.waiting += 1;
        let none_idle = |state: &mut State| state.idle.is_empty() && state.file.is_some();
        let waited = self.given_back.wait_timeout_while(state, patience, none_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        let reader = state.idle.pop()?;
        Some(Borrowed { readers: self, reader: Some(reader) })
    }

    /// One to another file than is open now is closed.
    fn give_back(&self, reader: Reader) {
        let mut state = self.state();
        if state.file.as_ref().is_some_and(|file| Arc::ptr_eq(file, &reader.file)) {
            state.idle.push(reader);
            if state.waiting > 0 {
                self.given_back.notify_one();
            }
        }
    }

    /// No code that holds this lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that is given back whatever becomes of its work.
struct Borrowed<'a> {
    readers: &'a Readers,
    reader: Option<Reader>,
}

impl Borrowed<'_> {
    fn run<T>(
        mut self,
        work: impl FnOnce(&mut Reader) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reader = self.reader.as_mut().ok_or_else(|| unavailable("reading"))?;
        work(reader)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.readers.give_back(reader);
        }
    }
}

/// A read that has lined up.
pub(super) struct Turn {
    readers: Arc<Readers>,
    patience: Duration,
    asked_at: Instant,
    doing: &'static str,
}

impl Turn {
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
        self.patience.saturating_sub(self.asked_at.elapsed())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.readers.state().lined_up -= 1;
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

    const PATIENCE: Duration = Duration::from_secs(60);
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

    fn line_up(readers: &Arc<Readers>, patience: Duration) -> Turn {
        readers.line_up(patience, READING).unwrap()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Failure>) {
        let error = result.unwrap_err().store_error(READING);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn store_003_too_many_waiting_reads_are_refused_and_time_in_the_queue_counts() {
        let (_directory, writer, readers) = file();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let patience = Duration::from_millis(200);
        let turns: Vec<_> = (0..LONGEST_QUEUE).map(|_| line_up(&readers, patience)).collect();
        let excess = readers.line_up(patience, READING).map(drop).unwrap_err();
        assert_eq!(excess.kind(), StoreErrorKind::Unavailable);
        let begun = Instant::now();
        for turn in turns {
            refused(turn.run(accounts));
        }
        // Each with a patience of its own, they would take fifty seconds.
        assert!(begun.elapsed() < patience * 100);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(line_up(&readers, PATIENCE).run(accounts).unwrap(), 0);
    }

    #[test]
    fn a_connection_that_has_not_been_used_yet_waits_as_well() {
        let (_directory, writer, readers) = file();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| line_up(&readers, PATIENCE).run(accounts));
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
        refused(line_up(&readers, Duration::from_millis(10)).run(accounts));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| line_up(&readers, PATIENCE).run(accounts));
            writer.execute_batch("COMMIT").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
    }

    #[test]
    fn a_connection_whose_work_panics_is_given_back() {
        let (_directory, _writer, readers) = file();
        let panics = || readers.try_run(|_| -> Result<(), _> { panic!("on purpose") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(readers.try_run(accounts).unwrap().unwrap(), 0);
    }

    #[test]
    fn a_connection_to_a_former_file_is_closed_when_it_is_given_back() {
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
        refused(line_up(&readers, PATIENCE).run(accounts));
        assert!(begun.elapsed() < PATIENCE, "nobody waits while no file is open");
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
            refused(line_up(&readers, Duration::from_millis(10)).run(accounts));
            free.wait();
            assert_eq!(line_up(&readers, PATIENCE).run(accounts).unwrap(), 0);
        });
    }
}

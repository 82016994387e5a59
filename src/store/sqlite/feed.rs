//! The log of changes in the file, and the thread that tells this store's feeds of
//! every change that any process has written to it.
//!
//! The log's numbers follow each other without a gap, since one that is not
//! committed is given out again. A reader that finds a gap has lost changes.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::oneshot;

use super::error::{Failure, unavailable};
use super::file::{OpenFile, Opened, Replaced};
use super::options::SqliteOptions;
use super::writer::join;
use super::{connection, schema};
use crate::account::Revision;
use crate::store::feed::FeedHub;
use crate::store::{Change, Feed, FeedItem, StoreError};
use crate::token::TokenDigest;
use crate::user::UserId;

pub(super) const OPENING: &str = "opening a feed";

/// Starts the thread when a feed is first wanted, and ends it when dropped. As
/// long as nobody has a feed it sleeps.
pub(super) struct Feeds {
    file: Arc<OpenFile>,
    options: SqliteOptions,
    running: Mutex<Option<Running>>,
}

struct Running {
    requests: Sender<Request>,
    thread: JoinHandle<()>,
}

enum Request {
    /// Look now: this store has made a change.
    Look,
    /// Open a feed of everything that is committed after this.
    Open(oneshot::Sender<Result<Feed, Failure>>),
}

impl Feeds {
    pub(super) const fn new(file: Arc<OpenFile>, options: SqliteOptions) -> Self {
        Self { file, options, running: Mutex::new(None) }
    }

    /// Every change committed by now is behind the feed, every later one is in
    /// it.
    pub(super) async fn open(&self) -> Result<Feed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests()?.send(Request::Open(answer)).map_err(|_| unavailable(OPENING))?;
        let feed = answered.await.map_err(|_| unavailable(OPENING))?;
        feed.map_err(|failure| failure.store_error(OPENING))
    }

    /// Lets open feeds have this store's own changes at once.
    pub(super) fn look(&self) {
        if let Some(running) = &*self.running() {
            // A thread that has ended has no feeds.
            let _ = running.requests.send(Request::Look);
        }
    }

    fn requests(&self) -> Result<Sender<Request>, StoreError> {
        let mut running = self.running();
        if let Some(running) = &*running
            && !running.thread.is_finished()
        {
            return Ok(running.requests.clone());
        }
        let (requests, asked) = channel();
        let poller = Poller::new(Arc::clone(&self.file), self.options.clone());
        let builder = thread::Builder::new().name("sqlite-feed".to_owned());
        let thread = builder.spawn(move || poller.run(&asked));
        let thread = thread.map_err(|cause| unavailable(OPENING).with_source(cause))?;
        *running = Some(Running { requests: requests.clone(), thread });
        Ok(requests)
    }

    /// No code that holds this lock can panic half-way through a change.
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        let running = self.running().take();
        join(running.map(|running| running.thread));
    }
}

/// Polls the file through a connection of its own, for which every commit is
/// one of others.
struct Poller {
    file: Arc<OpenFile>,
    options: SqliteOptions,
    hub: FeedHub,
    connection: Option<Watch>,
    /// The number of the last change that was handed on; `None` before the
    /// first look.
    last: Option<i64>,
    /// Whether the feeds have been told that the file cannot be read.
    failing: bool,
}

struct Watch {
    connection: Connection,
    file: Arc<Opened>,
    /// What `data_version` was at the last look; it changes with every commit.
    seen: Option<i64>,
}

impl Poller {
    fn new(file: Arc<OpenFile>, options: SqliteOptions) -> Self {
        let hub = FeedHub::default();
        Self { file, options, hub, connection: None, last: None, failing: false }
    }

    /// Works until the store is dropped.
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let request = match self.pause() {
                Some(pause) => requests.recv_timeout(pause),
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match request {
                Ok(Request::Open(answer)) => {
                    let feed = self.look().map(|()| self.hub.subscribe());
                    // Nobody may wait for it any longer.
                    let _ = answer.send(feed);
                }
                Ok(Request::Look) if self.hub.subscribers() == 0 => {}
                // A failure is told to the feeds, and the next look tries again.
                Ok(Request::Look) | Err(RecvTimeoutError::Timeout) => drop(self.look()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long to wait for a request before the next look; `None`: until there
    /// is one, since nobody has a feed. What was seen before is of no use then.
    fn pause(&mut self) -> Option<Duration> {
        if self.hub.subscribers() > 0 {
            return Some(self.options.poll_interval);
        }
        (self.connection, self.last, self.failing) = (None, None, false);
        None
    }

    fn look(&mut self) -> Result<(), Failure> {
        let looked = self.hand_on_changes();
        if looked.is_err() && !self.failing {
            self.hub.send(&FeedItem::Lost);
        }
        self.failing = looked.is_err();
        looked
    }

    /// After a failure the next look opens the file anew.
    fn hand_on_changes(&mut self) -> Result<(), Failure> {
        let watch = self.connection.take();
        let file = self.file.look();
        let mut watch = match (watch, file) {
            (Some(watch), Some(file)) if Arc::ptr_eq(&watch.file, &file) => watch,
            (watch, file) => {
                if watch.is_some() {
                    self.leave();
                }
                // The writer opens another file once nobody has the former one.
                drop(watch);
                let file = file.ok_or_else(|| unavailable(OPENING).with_source(Replaced))?;
                Watch::open(self.file.path(), file, &self.options)?
            }
        };
        let version = watch.version()?;
        if watch.seen != Some(version) {
            self.catch_up(&watch.connection)?;
            watch.seen = Some(version);
        }
        self.connection = Some(watch);
        Ok(())
    }

    /// What is in another file nobody has heard of, and its log has numbers of
    /// its own.
    fn leave(&mut self) {
        self.hub.send(&FeedItem::Lost);
        self.last = None;
    }

    fn catch_up(&mut self, connection: &Connection) -> Result<(), Failure> {
        let newest = newest(connection)?;
        let mut last = *self.last.get_or_insert(newest);
        if newest < last {
            // Another file is in its place, such as a copy made earlier.
            self.hub.send(&FeedItem::Lost);
            last = newest;
        }
        let result = read_after(connection, last, |sequence, item| {
            if sequence != last + 1 {
                self.hub.send(&FeedItem::Lost);
            }
            self.hub.send(&item);
            last = sequence;
        });
        self.last = Some(last);
        result
    }
}

impl Watch {
    fn open(path: &Path, file: Arc<Opened>, options: &SqliteOptions) -> Result<Self, Failure> {
        let connection = connection::reader(path, options, options.busy_timeout)?;
        schema::verify(&connection)?;
        if connection::has_moved(&connection) || !file.is_at(path) {
            return Err(unavailable(OPENING).with_source(Replaced).into());
        }
        Ok(Self { connection, file, seen: None })
    }

    fn version(&self) -> Result<i64, Failure> {
        let mut version = self.connection.prepare_cached("PRAGMA data_version")?;
        Ok(version.query_row([], |row| row.get(0))?)
    }
}

/// How many changes are kept at least besides those of the latest batch: a
/// reader that is no further behind loses none.
const KEPT: i64 = 10_000;

/// How often the older ones are deleted: each time costs a page or two.
const PRUNE_EVERY: i64 = 1_000;

const APPEND_CHANGE: &str = "INSERT INTO changes (user_id, revision, digests) VALUES (?1, ?2, ?3)";

const APPEND_HEARTBEAT: &str = "INSERT INTO changes (heartbeat) VALUES (?1)";

const PRUNE: &str = "DELETE FROM changes WHERE sequence <= ?1";

const NEWEST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'";

const AFTER: &str = "
    SELECT sequence, user_id, revision, digests, heartbeat FROM changes
    WHERE sequence > ?1 ORDER BY sequence";

/// Writes a change, and answers with its number.
pub(super) fn append_change(connection: &Connection, change: &Change) -> Result<i64, Failure> {
    let digests: Vec<u8> = change.digests.iter().flat_map(TokenDigest::as_bytes).copied().collect();
    let revision = change.revision.as_u64().cast_signed();
    let mut append = connection.prepare_cached(APPEND_CHANGE)?;
    Ok(append.insert((change.user.as_str(), revision, digests))?)
}

/// Writes a heartbeat, and answers with its number.
pub(super) fn append_heartbeat(connection: &Connection, id: u64) -> Result<i64, Failure> {
    let mut append = connection.prepare_cached(APPEND_HEARTBEAT)?;
    Ok(append.insert([id.cast_signed()])?)
}

/// Deletes old changes now and then, after the last `added` ones up to number
/// `newest`.
pub(super) fn prune(connection: &Connection, newest: i64, added: usize) -> Result<(), Failure> {
    let added = i64::try_from(added).unwrap_or(i64::MAX);
    if newest % PRUNE_EVERY < added {
        let kept = KEPT.saturating_add(added);
        connection.prepare_cached(PRUNE)?.execute([newest.saturating_sub(kept)])?;
    }
    Ok(())
}

/// The number of the latest change; 0 if there never was one.
fn newest(connection: &Connection) -> Result<i64, Failure> {
    let mut newest = connection.prepare_cached(NEWEST)?;
    Ok(newest.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Shows every change after number `last`, with its number, in order.
fn read_after(
    connection: &Connection,
    last: i64,
    mut show: impl FnMut(i64, FeedItem),
) -> Result<(), Failure> {
    let mut after = connection.prepare_cached(AFTER)?;
    let mut rows = after.query([last])?;
    while let Some(row) = rows.next()? {
        show(row.get(0)?, item(row)?.unwrap_or(FeedItem::Lost));
    }
    Ok(())
}

/// `None` for one that says nothing that this program understands.
fn item(row: &Row<'_>) -> Result<Option<FeedItem>, Failure> {
    if let Some(id) = row.get::<_, Option<i64>>(4)? {
        return Ok(Some(FeedItem::Heartbeat(id.cast_unsigned())));
    }
    let (user, digests) = (row.get_ref(1)?.as_str_or_null()?, row.get_ref(3)?.as_blob_or_null()?);
    let revision = row.get::<_, Option<i64>>(2)?;
    Ok(change(user, revision, digests).map(FeedItem::Change))
}

fn change(user: Option<&str>, revision: Option<i64>, digests: Option<&[u8]>) -> Option<Change> {
    let (digests, []) = digests?.as_chunks::<32>() else { return None };
    let digests: Vec<_> = digests.iter().copied().map(TokenDigest::from_bytes).collect();
    let revision = Revision::from_u64(revision?.cast_unsigned());
    Some(Change::new(UserId::new(user?).ok()?, revision, digests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_polled_for_once_the_last_feed_is_dropped() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let file = Arc::new(OpenFile::new(path.path().to_owned()));
        let mut poller = Poller::new(file, SqliteOptions::new());
        assert_eq!(poller.pause(), None);
        let feeds = [poller.hub.subscribe(), poller.hub.subscribe()];
        assert_eq!(poller.pause(), Some(poller.options.poll_interval));
        let [one, other] = feeds;
        drop(one);
        assert!(poller.pause().is_some());
        poller.last = Some(7);
        drop(other);
        assert_eq!(poller.pause(), None);
        assert_eq!(poller.last, None, "the next feed begins where it is opened");
    }
}

//! The thread that tells this store's feeds of every change of the file.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::{Failure, unavailable};
use super::file::{OpenFile, Opened, Replaced};
use super::options::SqliteOptions;
use super::writer::join;
use super::{change_log, connection, schema};
use crate::store::feed::FeedHub;
use crate::store::{Feed, FeedItem, StoreError};

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
        let newest = change_log::newest(connection)?;
        let mut last = *self.last.get_or_insert(newest);
        if newest < last {
            // Another file is in its place, such as a copy made earlier.
            self.hub.send(&FeedItem::Lost);
            last = newest;
        }
        let result = change_log::read_after(connection, last, |sequence, item| {
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

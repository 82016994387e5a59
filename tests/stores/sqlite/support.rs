//! Files, accounts and waiting, for the tests beside it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tempfile::TempDir;
use tower_api_token::store::{Feed, FeedItem, SqliteStore};

pub(crate) use crate::sample::{account, change as step, digest, token, user};

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of its own for each test, and a file in it.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("tokens.db")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A store on the file, with its tables.
    pub(crate) async fn store(&self) -> SqliteStore {
        let store = SqliteStore::open(self.path()).unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// The file, past the store.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

/// The next item of a feed that is not a heartbeat.
pub(crate) async fn next(feed: &mut Feed) -> FeedItem {
    tokio::time::timeout(PATIENCE, feed.next()).await.expect("an item in time").expect("an item")
}

/// Polls until the condition holds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Polls a future once.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future to its end without any runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(PATIENCE);
    }
}

/// What SQLite itself finds wrong with the file, and every account whose
/// digests are not those in the table.
pub(crate) fn assert_sound(connection: &rusqlite::Connection) {
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let strays: i64 = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(strays, 0);
}

pub(crate) fn count(connection: &rusqlite::Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

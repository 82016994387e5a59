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
use tower_api_token::account::{Account, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::identity::{Actor, UserId};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{Feed, FeedItem, Replacement, SqliteStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};

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

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A digest that no other number has.
pub(crate) fn digest(number: u64) -> TokenDigest {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

pub(crate) fn token(id: u64, digest_number: u64) -> TokenRecord {
    let digest = StoredDigest::new(digest(digest_number), PepperVersion::NONE);
    let at = Timestamp::from_unix_millis(1_000);
    TokenRecord::new(TokenId::from_u64(id), digest, TokenHint::unknown(), at)
}

/// `name` at `revision`, whose primary has the digest of that number.
pub(crate) fn account(name: &str, revision: u64, digest_number: u64) -> Account {
    Account::builder(user(name))
        .revision(Revision::from_u64(revision))
        .methods(MethodSet::new(["GET"]).unwrap())
        .primary(token(revision, digest_number))
        .build()
        .unwrap()
}

/// Puts `account` in the place of its former revision.
pub(crate) fn step(account: Account) -> Replacement {
    let former = account.revision().as_u64() - 1;
    let expected = (former > 0).then(|| Revision::from_u64(former));
    let entry = AuditEntry::new(
        account.user().clone(),
        account.revision(),
        Timestamp::from_unix_millis(2_000),
        Actor::administrator("root").unwrap(),
        Event::TokenIssued { id: TokenId::from_u64(account.revision().as_u64()) },
    );
    Replacement::new(account, expected, entry)
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

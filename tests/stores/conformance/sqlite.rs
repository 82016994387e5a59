//! The conformance suite on `SqliteStore`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tower_api_token::conformance_suite;
use tower_api_token::store::conformance::{Failing, Harness, Migrating, Nodes};
use tower_api_token::store::{SqliteStore, StoreError};

conformance_suite!(suite, SqliteHarness::new(), Migrating + Nodes + Failing,);

/// Files in a directory of its own.
struct SqliteHarness {
    directory: TempDir,
    files: AtomicUsize,
    /// The file that was made last.
    last: Mutex<PathBuf>,
}

impl SqliteHarness {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, files: AtomicUsize::new(0), last: Mutex::default() }
    }

    /// A path where there is no file yet.
    fn path(&self) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("{number}.db"));
        self.last.lock().unwrap().clone_from(&path);
        path
    }
}

impl Harness for SqliteHarness {
    type Store = SqliteStore;

    async fn store(&self) -> SqliteStore {
        let store = SqliteStore::open(self.path()).unwrap();
        store.migrate().await.unwrap();
        store
    }
}

impl Migrating for SqliteHarness {
    async fn unmigrated(&self, count: usize) -> Vec<SqliteStore> {
        let path = self.path();
        (0..count).map(|_| SqliteStore::open(&path).unwrap()).collect()
    }

    async fn migrate(&self, store: &SqliteStore) -> Result<(), StoreError> {
        store.migrate().await
    }
}

impl Nodes for SqliteHarness {
    async fn another(&self, _: &SqliteStore) -> SqliteStore {
        let path = self.last.lock().unwrap().clone();
        SqliteStore::open(path).unwrap()
    }
}

impl Failing for SqliteHarness {
    /// Nobody has made its tables.
    async fn failing(&self) -> SqliteStore {
        SqliteStore::open(self.path()).unwrap()
    }
}

//! SQLite: a connection for each thread by hand.

use std::cell::RefCell;
use std::path::PathBuf;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Runtime;
use tower_api_token::store::SqliteStore;
use tower_api_token::token::TokenDigest;

use super::measure::{Candidate, LookUp, Store};
use super::population::populate;
use super::table::Table;

const FIND: &str = "SELECT record FROM digests JOIN accounts ON number = account WHERE digest = ?1";

/// How much of the file the driver may map, as the store does.
const MAPPED: i64 = 1 << 30;

struct Driver(PathBuf);

thread_local! {
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

impl Driver {
    fn open(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.0, flags).expect("the file");
        connection.pragma_update(None, "mmap_size", MAPPED).expect("a map");
        // Else it would make the statement anew for each value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).expect("a switch");
        connection
    }
}

impl LookUp for Driver {
    const QUICK: bool = true;

    async fn look_up(&self, digest: &TokenDigest) -> bool {
        CONNECTION.with_borrow_mut(|connection| {
            let connection = connection.get_or_insert_with(|| self.open());
            let mut statement = connection.prepare_cached(FIND).expect("a statement");
            let mut rows = statement.query([digest.as_bytes()]).expect("an answer");
            let row = rows.next().expect("an answer");
            let record = row.map(|row| row.get::<_, Vec<u8>>(0).expect("a record"));
            record.is_some_and(|record| !record.is_empty())
        })
    }
}

pub(crate) fn measure(runtime: &Runtime, rows: u64) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tokens.db");
    let open = || SqliteStore::open(&path).expect("the file");
    let store = open();
    runtime.block_on(async {
        store.migrate().await.expect("the tables");
        populate(&store, rows).await;
    });
    let candidates = [
        Candidate::new("`rusqlite`", Driver(path.clone()), rows),
        Candidate::new("`SqliteStore`", Store(store), rows),
        crate::cached(runtime, "`CachedStore<SqliteStore>`", open()),
    ];
    Table::of(runtime, candidates).print_ratios()
}

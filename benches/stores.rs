//! Look-ups of each store, without and with the cache, beside the raw driver's.
//!
//! ```sh
//! cargo bench --bench stores --all-features
//! ```
//!
//! `--rows N` sets another number of accounts than 100 000. All candidates of a
//! store take turns within one run, 64 look-ups under way at any time, and what
//! counts is the ratio of a store to its driver in the same round. The driver
//! does by hand, in one round trip, what has to be done to have the account's
//! record: it neither checks nor decodes it. Through the cache, 1 000 of the
//! tokens are looked up.

mod look_ups {
    pub(crate) mod measure;
    pub(crate) mod population;
    pub(crate) mod postgres;
    pub(crate) mod redis;
    pub(crate) mod sqlite;
    pub(crate) mod table;
}
mod support {
    pub(crate) mod arguments;
    pub(crate) mod statistics;
}
#[expect(dead_code, reason = "no test runs here")]
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "no test runs here")]
#[path = "../tests/support/redis.rs"]
mod redis_server;
#[path = "../tests/support/server.rs"]
mod server;

use std::sync::Arc;

use tokio::runtime::Runtime;
use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore};

use self::look_ups::measure::{Candidate, Store};
use self::look_ups::population::{WORKING_SET, populate};
use self::look_ups::table::{Table, head};
use self::support::arguments::argument;

/// The bar for a store over its driver.
const BAR: f64 = 0.85;

fn main() {
    let rows = argument("--rows", 100_000) as u64;
    let runtime = Runtime::new().expect("a runtime");
    println!("{rows} accounts\n");
    head();
    memory(&runtime, rows);
    let ratios = [
        ("SQLite", look_ups::sqlite::measure(&runtime, rows)),
        ("PostgreSQL", look_ups::postgres::measure(&runtime, rows)),
        ("Redis", look_ups::redis::measure(&runtime, rows)),
    ];
    let told = ratios.map(|(store, ratio)| format!("{ratio:.2} on {store}"));
    let kept = ratios.iter().all(|(_, ratio)| *ratio >= BAR);
    let kept = if kept { "kept" } else { "not kept" };
    println!("\nstore ratio: {}; bar {BAR}: {kept}", told.join(", "));
}

/// No driver stands behind this one.
fn memory(runtime: &Runtime, rows: u64) {
    let store = Arc::new(MemoryStore::new());
    runtime.block_on(populate(&*store, rows));
    let candidates = [
        Candidate::new("`MemoryStore`", Store(Arc::clone(&store)), rows),
        cached(runtime, "`CachedStore<MemoryStore>`", store),
    ];
    Table::of(runtime, candidates).print();
}

/// The store behind a cache.
fn cached<S>(runtime: &Runtime, name: &'static str, store: S) -> Candidate
where
    S: tower_api_token::store::AccountStore,
{
    let cache = runtime.block_on(async {
        let cache = CachedStore::start(store, CacheOptions::new()).expect("a cache");
        while !cache.is_trusted() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        cache
    });
    Candidate::new(name, Store(cache), WORKING_SET)
}
